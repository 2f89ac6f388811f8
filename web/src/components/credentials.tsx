// Where one is signed in, and one's API tokens: everything that can act as oneself.
import { type ApiToken, api, ask, type Session } from '../api/client'
import { exactly, fromNow } from '../format'
import { Failed, Loading } from './states'
import { complain } from './toast'
import { type Loaded, useLoad } from './use-load'

export function SessionList({ changed }: { changed?: () => void }) {
  const sessions = useLoad(async () => (await ask(api.GET('/v1/me/sessions'))).items)
  const end = (session: Session) =>
    ask(api.DELETE('/v1/me/sessions/{id}', { params: { path: { id: session.id } } })).then(() => {
      sessions.reload()
      changed?.()
    }, complain)
  return (
    <Items of={sessions} none="">
      {(session) => (
        <li key={session.id}>
          <div>
            <strong>{browser(session.user_agent)}</strong> {session.current && <span class="tag">this one</span>}
            <p class="hint">
              {session.address} · used {fromNow(session.last_used_at)}
            </p>
          </div>
          {!session.current && (
            <button type="button" onClick={() => end(session)}>
              Sign it out
            </button>
          )}
        </li>
      )}
    </Items>
  )
}

export function TokenList({ revoke }: { revoke: (token: ApiToken) => void }) {
  const tokens = useLoad(async () => (await ask(api.GET('/v1/me/tokens'))).items)
  return (
    <Items of={tokens} none="No API tokens. Make one for a program that shall reach your files.">
      {(token) => (
        <li key={token.id}>
          <div>
            <strong>{token.name}</strong> <code>…{token.last_four}</code>
            <p class="hint">
              {token.last_used_at ? `used ${fromNow(token.last_used_at)}` : 'never used'}
              {token.expires_at ? ` · until ${exactly(token.expires_at)}` : ' · until it is revoked'}
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

type ItemsProps<T> = { of: Loaded<T[]>; none: string; children: (item: T) => preact.JSX.Element }

function Items<T>({ of, none, children }: ItemsProps<T>) {
  if (of.error && !of.data) return <Failed error={of.error} retry={of.reload} />
  if (!of.data) return <Loading />
  if (of.data.length === 0) return <p class="hint">{none}</p>
  return <ul class="items">{of.data.map(children)}</ul>
}

/** "Firefox on Linux", as far as it can be told. */
function browser(agent: string): string {
  const name = /(Edg|OPR|Firefox|Chrome|Safari|curl)/.exec(agent)?.[1]
  const system = /(Android|iPhone|iPad|Windows|Mac OS X|Linux)/.exec(agent)?.[1]
  const known: Record<string, string> = { Edg: 'Edge', OPR: 'Opera', 'Mac OS X': 'macOS' }
  if (!name) return agent || 'A program'
  return system ? `${known[name] ?? name} on ${known[system] ?? system}` : (known[name] ?? name)
}
