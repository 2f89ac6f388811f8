// For admins: the health checks of the server, and how to fix what fails.
import { useState } from 'preact/hooks'
import { api, type Diagnostics, Problem, request } from '../api/client'
import { Icon } from '../components/icon'
import { Failed, Loading } from '../components/states'
import { showError } from '../components/toast'
import { useLoad } from '../components/use-load'
import { count, dateTime } from '../format'

const ORDER = ['failed', 'warning', 'skipped', 'ok']

export function Health() {
  const [busy, setBusy] = useState(false)
  const diagnostics = useLoad(async (): Promise<Diagnostics | null> => {
    try {
      return await request(api.GET('/v1/admin/doctor'))
    } catch (error) {
      // The first checks after the start of the server are still running.
      if (error instanceof Problem && error.code === 'not_found') return null
      throw error
    }
  })
  const check = async () => {
    setBusy(true)
    try {
      await request(api.POST('/v1/admin/doctor'))
      diagnostics.reload()
    } catch (error) {
      showError(error)
    } finally {
      setBusy(false)
    }
  }
  if (diagnostics.error && diagnostics.data === undefined) {
    return <Failed error={diagnostics.error} retry={diagnostics.reload} />
  }
  if (diagnostics.data === undefined) return <Loading />
  return (
    <section class="card">
      <h2>Health</h2>
      <div class="buttons">
        <button type="button" class="primary" disabled={busy} aria-busy={busy} onClick={check}>
          <Icon name="retry" size={18} /> Check again
        </button>
      </div>
      {diagnostics.data ? <Checks diagnostics={diagnostics.data} /> : <p class="hint">Not checked yet</p>}
      <p class="hint">
        The server runs these checks automatically. <code>strongroom doctor</code> on the command line runs more.
      </p>
    </section>
  )
}

function Checks({ diagnostics }: { diagnostics: Diagnostics }) {
  const number = (outcome: string) => diagnostics.checks.filter((check) => check.outcome === outcome).length
  const [failed, warned] = [number('failed'), number('warning')]
  const checks = diagnostics.checks.toSorted((one, other) => ORDER.indexOf(one.outcome) - ORDER.indexOf(other.outcome))
  return (
    <>
      <p class={`verdict ${failed ? 'failed' : 'ok'}`} role="status">
        <Icon name={failed ? 'alert' : 'check'} size={18} />
        {failed ? `${count(failed, 'check')} failed` : warned ? 'Working, with warnings' : 'All checks passed'}
      </p>
      <p class="hint">Checked {dateTime(diagnostics.at)}</p>
      <ul class="items">
        {checks.map((check) => (
          <li key={check.name}>
            <div>
              <code>{check.name}</code>
              <p class="hint">
                {check.action}: {check.observed}
              </p>
              {check.remedy && (
                <p>
                  <strong>Fix:</strong> {check.remedy}
                </p>
              )}
            </div>
            <span class={`tag ${check.outcome === 'failed' ? 'bad' : check.outcome}`}>{check.outcome}</span>
          </li>
        ))}
      </ul>
    </>
  )
}
