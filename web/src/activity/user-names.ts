// The names of users, for admins. Each is fetched when it is first needed.
import { signal } from '@preact/signals'
import { api, request } from '../api/client'

const names = signal<ReadonlyMap<string, string>>(new Map())
const requested = new Set<string>()

export function nameOf(id: string): string {
  const known = names.value.get(id)
  if (known !== undefined) return known
  // Signals must not change during the render that reads them.
  queueMicrotask(() => void fetchName(id))
  return '…'
}

async function fetchName(id: string) {
  if (requested.has(id)) return
  requested.add(id)
  let name = 'Deleted user'
  try {
    name = (await request(api.GET('/v1/admin/users/{id}', { params: { path: { id } } }))).name
  } catch {
    // The user was deleted, or the request failed: the event is shown all the same.
  }
  names.value = new Map(names.value).set(id, name)
}
