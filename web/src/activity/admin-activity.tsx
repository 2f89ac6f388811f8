// For admins: the trail of everybody.
import { useMemo, useState } from 'preact/hooks'
import { pageSize } from '../api/capabilities'
import { api, ask } from '../api/client'
import { Choice } from '../components/dialog'
import { me } from '../session'
import { type Source, Trail } from './activity-list'
import { KINDS, type Kind } from './sentence'
import { nameOf } from './user-names'

const PAGE = 100

export function Events({ user }: { user: string | null }) {
  const [kind, setKind] = useState<Kind | ''>('')
  const source = useMemo<Source>(() => {
    const filter = { ...(user ? { user_id: user } : {}), ...(kind ? { kind } : {}) }
    return async (cursor) =>
      ask(api.GET('/v1/admin/events', { params: { query: { ...filter, limit: await pageSize(PAGE), cursor } } }))
  }, [user, kind])
  const kinds = KINDS.map((key): [string, string] => [key, key.replaceAll('_', ' ')])
  return (
    <section class="card">
      <h2>{user ? `What happened with ${nameOf(user)}` : 'What happened'}</h2>
      {user && (
        <p>
          <a href="/admin/events">Show everybody’s trail</a>
        </p>
      )}
      <Choice
        label="Kind"
        name="kind"
        value={kind}
        options={[['', 'everything'], ...kinds.sort(([, one], [, other]) => one.localeCompare(other))]}
        onChange={(event) => setKind(event.currentTarget.value as Kind | '')}
      />
      <Trail key={`${user} ${kind}`} source={source} around={{ me: me.value?.id ?? '', nameOf }} />
    </section>
  )
}
