// The signed-in user and their storage usage.
import { signal } from '@preact/signals'
import { getCapabilities } from './api/capabilities'
import { api, onPasswordChangeRequired, onSignedOut, request, type StorageUsage, type User } from './api/client'
import { deleteAllHandles } from './uploads/file-handles'

/** Undefined until known; null when signed out. */
export const me = signal<User | null | undefined>(undefined)
export const usage = signal<StorageUsage | null>(null)
/** Grows with each change of the avatar, so that its URL changes too. */
export const avatarRevision = signal(0)

onSignedOut(() => {
  me.value = null
  usage.value = null
})

onPasswordChangeRequired(() => {
  if (me.value) me.value = { ...me.value, must_change_password: true }
})

/** Fetches the signed-in user. */
export async function refreshMe() {
  // The first list needs them: fetched at the same time, which saves a round trip.
  getCapabilities().catch(() => {})
  me.value = await request(api.GET('/v1/me'))
}

export async function refreshUsage() {
  usage.value = await request(api.GET('/v1/me/usage'))
}

export async function logIn(email: string, password: string) {
  me.value = (await request(api.POST('/v1/auth/login', { body: { email, password } }))).user
}

export async function register(email: string, name: string, password: string) {
  me.value = (await request(api.POST('/v1/auth/register', { body: { email, name, password } }))).user
}

export async function logOut() {
  await request(api.POST('/v1/auth/logout'))
  await deleteAllHandles()
  // A reload removes everything of this user from memory.
  location.assign('/')
}
