// For admins: is the set-up sound, and what is to be done where it is not.
import { useState } from 'preact/hooks'
import { api, ask, type Diagnostics, Problem } from '../api/client'
import { Icon } from '../components/icon'
import { Failed, Loading } from '../components/states'
import { complain } from '../components/toast'
import { useLoad } from '../components/use-load'
import { exactly } from '../format'

const RANK = ['failed', 'warning', 'skipped', 'ok']

export function Doctor() {
  const [busy, setBusy] = useState(false)
  const found = useLoad(async (): Promise<Diagnostics | null> => {
    try {
      return await ask(api.GET('/v1/admin/doctor'))
    } catch (error) {
      // The server's first look is not over.
      if (error instanceof Problem && error.code === 'not_found') return null
      throw error
    }
  })
  const look = async () => {
    setBusy(true)
    try {
      await ask(api.POST('/v1/admin/doctor'))
      found.reload()
    } catch (error) {
      complain(error)
    } finally {
      setBusy(false)
    }
  }
  if (found.error && found.data === undefined) return <Failed error={found.error} retry={found.reload} />
  if (found.data === undefined) return <Loading />
  return (
    <section class="card">
      <h2>Is the set-up sound?</h2>
      <div class="buttons">
        <button type="button" class="primary" disabled={busy} aria-busy={busy} onClick={look}>
          <Icon name="retry" size={18} /> Look again
        </button>
      </div>
      {found.data ? <Found found={found.data} /> : <p class="hint">The server has not looked yet.</p>}
      <p class="hint">
        This is what the server looks at by itself. On the command line, <code>strongroom doctor</code> tries more.
      </p>
    </section>
  )
}

function Found({ found }: { found: Diagnostics }) {
  const count = (outcome: string) => found.checks.filter((check) => check.outcome === outcome).length
  const [failed, warned] = [count('failed'), count('warning')]
  const checks = found.checks.toSorted((one, other) => RANK.indexOf(one.outcome) - RANK.indexOf(other.outcome))
  return (
    <>
      <p class={`verdict ${failed ? 'failed' : 'ok'}`} role="status">
        <Icon name={failed ? 'alert' : 'check'} size={18} />
        {failed ? 'Something failed.' : warned ? 'It works, but it could be better.' : 'Nothing is wrong.'}
      </p>
      <p class="hint">Looked at {exactly(found.at)}</p>
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
                  <strong>What to do:</strong> {check.remedy}
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
