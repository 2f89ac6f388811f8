// The sessions and API tokens of the user: everything that can act on their behalf.
import { type ApiToken, api, request, type Session } from '../api/client'
import { dateTime, fromNow } from '../format'
import { Failed, Loading } from './states'
import { showError } from './toast'
import { type Loaded, useLoad } from './use-load'

export function SessionItems({ changed }: { changed?: () => void }) {
  const sessions = useLoad(async () => (await request(api.GET('/v1/me/sessions'))).items)
  const end = (session: Session) =>
    request(api.DELETE('/v1/me/sessions/{id}', { params: { path: { id: session.id } } })).then(() => {
      sessions.reload()
      changed?.()
    }, showError)
  return (
    <Items list={sessions} none="">
      {(session) => (
        <li key={session.id}>
          <div>
            <strong>{browserName(session.user_agent)}</strong> {session.current && <span class="tag">This device</span>}
            <p class="hint">
              {session.address} · used {fromNow(session.last_used_at)}
            </p>
          </div>
          {!session.current && (
            <button type="button" onClick={() => end(session)}>
              Sign out
            </button>
          )}
        </li>
      )}
    </Items>
  )
}

export function TokenItems({ revoke }: { revoke: (token: ApiToken) => void }) {
  const tokens = useLoad(async () => (await request(api.GET('/v1/me/tokens'))).items)
  return (
    <Items list={tokens} none="No API tokens. Create one to let an app access your files.">
      {(token) => (
        <li key={token.id}>
          <div>
            <strong>{token.name}</strong> <code>…{token.last_four}</code>
            <p class="hint">
              {token.last_used_at ? `used ${fromNow(token.last_used_at)}` : 'never used'} ·{' '}
              {token.expires_at ? `expires ${dateTime(token.expires_at)}` : 'no expiry'}
            </p>
          </div>
          <button type="button" onClick={() => revoke(token)}>
            Revoke
          </button>
        </li>
      )}
    </Items>
  )
}

type ItemsProps<T> = { list: Loaded<T[]>; none: string; children: (item: T) => preact.JSX.Element }

function Items<T>({ list, none, children }: ItemsProps<T>) {
  if (list.error && !list.data) return <Failed error={list.error} retry={list.reload} />
  if (!list.data) return <Loading />
  if (list.data.length === 0) return <p class="hint">{none}</p>
  return <ul class="items">{list.data.map(children)}</ul>
}

/** "Firefox on Linux", as far as the user agent is recognized. */
function browserName(userAgent: string): string {
  const name = /(Edg|OPR|Firefox|Chrome|Safari|curl)/.exec(userAgent)?.[1]
  const system = /(Android|iPhone|iPad|Windows|Mac OS X|Linux)/.exec(userAgent)?.[1]
  const known: Record<string, string> = { Edg: 'Edge', OPR: 'Opera', 'Mac OS X': 'macOS' }
  if (!name) return userAgent || 'Unknown app'
  return system ? `${known[name] ?? name} on ${known[system] ?? system}` : (known[name] ?? name)
}
