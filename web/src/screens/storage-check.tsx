// For admins: checks that the database and the store agree.
import { useEffect } from 'preact/hooks'
import { nameOf } from '../activity/user-names'
import { api, type FsckRun, Problem, request } from '../api/client'
import { Icon } from '../components/icon'
import { Failed, Loading } from '../components/states'
import { showError } from '../components/toast'
import { useLoad } from '../components/use-load'
import { bytes, count, dateTime, number } from '../format'

const POLL_INTERVAL = 1500

export function StorageCheck() {
  const latest = useLoad(async (): Promise<FsckRun | null> => {
    try {
      return await request(api.GET('/v1/admin/fsck'))
    } catch (error) {
      if (error instanceof Problem && error.code === 'not_found') return null
      throw error
    }
  })
  const running = latest.data?.state === 'running'
  useEffect(() => {
    if (!running) return
    const timer = setTimeout(latest.reload, POLL_INTERVAL)
    return () => clearTimeout(timer)
  }, [latest.data, running])
  const start = (full: boolean) =>
    request(api.POST('/v1/admin/fsck', { body: { full } })).then(latest.reload, showError)
  if (latest.error && latest.data === undefined) return <Failed error={latest.error} retry={latest.reload} />
  if (latest.data === undefined) return <Loading />
  return (
    <section class="card">
      <h2>Is everything in place?</h2>
      <div class="buttons">
        <button type="button" class="primary" disabled={running} onClick={() => start(false)}>
          Run check
        </button>
        <button type="button" disabled={running} onClick={() => start(true)}>
          Full check (reads every file)
        </button>
      </div>
      {latest.data ? <Report run={latest.data} /> : <p class="hint">No check has run yet</p>}
    </section>
  )
}

function verdict(run: FsckRun): string {
  if (run.state === 'running') return 'Running…'
  if (run.clean) return 'No problems found'
  if (run.error) return `Check failed: ${run.error}`
  const problems = Object.values(run.counts).reduce((sum, found) => sum + found, 0)
  return `${count(problems, 'problem')} found`
}

function Report({ run }: { run: FsckRun }) {
  const facts: [string, string][] = [
    ['Started', dateTime(run.started_at)],
    ['Finished', run.finished_at ? dateTime(run.finished_at) : '…'],
    ['Database rows', number(run.rows)],
    ['Objects', number(run.objects)],
    ['Open uploads', number(run.uploads)],
    ['Data read', bytes(run.hashed_bytes)],
    ['In quarantine', number(run.quarantined)],
  ]
  return (
    <>
      <p class={`verdict ${run.state === 'running' ? '' : run.clean ? 'ok' : 'failed'}`} role="status">
        <Icon name={run.state === 'running' ? 'clock' : run.clean ? 'check' : 'alert'} size={18} /> {verdict(run)}
      </p>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {run.findings.length > 0 && (
        <ul class="items">
          {run.findings.map((finding) => (
            <li key={`${finding.kind} ${finding.key} ${finding.upload_id}`}>
              <div>
                <strong>{finding.kind.replaceAll('_', ' ')}</strong>{' '}
                {finding.action && <span class="tag">{finding.action}</span>}
                <p>{finding.detail}</p>
                <p class="hint">
                  {finding.space_id && `File of ${nameOf(finding.space_id)} · `}
                  <code>{finding.key}</code>
                </p>
              </div>
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
