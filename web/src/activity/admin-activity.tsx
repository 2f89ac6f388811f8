// For admins: the activity of all users, or of one of them.
import { useMemo, useState } from 'preact/hooks'
import { pageSize } from '../api/capabilities'
import { api, request } from '../api/client'
import { pathOf } from '../base'
import { Select } from '../components/dialog'
import { me } from '../session'
import { ActivityList, type Source } from './activity-list'
import { type EventKind, KINDS, kindLabel } from './sentence'
import { nameOf } from './user-names'

const PAGE = 100

export function AdminActivity({ user }: { user: string | null }) {
  const [kind, setKind] = useState<EventKind | ''>('')
  const source = useMemo<Source>(() => {
    const filter = { ...(user ? { space_id: user } : {}), ...(kind ? { kind } : {}) }
    return async (cursor) =>
      request(api.GET('/v1/admin/events', { params: { query: { ...filter, limit: await pageSize(PAGE), cursor } } }))
  }, [user, kind])
  const kinds = KINDS.map((key): [string, string] => [key, kindLabel(key)])
  return (
    <section class="card">
      <h2>{user ? `Activity of ${nameOf(user)}` : 'Activity'}</h2>
      {user && (
        <p>
          <a href={pathOf('/admin/activity')}>Show all users</a>
        </p>
      )}
      <Select
        label="Event type"
        name="kind"
        value={kind}
        options={[['', 'All'], ...kinds.sort(([, one], [, other]) => one.localeCompare(other))]}
        onChange={(event) => setKind(event.currentTarget.value as EventKind | '')}
      />
      <ActivityList key={`${user} ${kind}`} source={source} context={{ me: me.value?.id ?? '', nameOf }} />
    </section>
  )
}
