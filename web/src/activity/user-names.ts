// What people are called, for admins: asked for when a name is wanted first.
import { signal } from '@preact/signals'
import { api, ask } from '../api/client'

const names = signal<ReadonlyMap<string, string>>(new Map())

export function nameOf(id: string): string {
  const known = names.value.get(id)
  if (known !== undefined) return known
  // Not within the drawing that asked.
  queueMicrotask(() => void look(id))
  return '…'
}

const asked = new Set<string>()

async function look(id: string) {
  if (asked.has(id)) return
  asked.add(id)
  let name = 'Somebody who is gone'
  try {
    name = (await ask(api.GET('/v1/admin/users/{id}', { params: { path: { id } } }))).name
  } catch {
    // Erased, or the name does not matter as much as the event.
  }
  names.value = new Map(names.value).set(id, name)
}
