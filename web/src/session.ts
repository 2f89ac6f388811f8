// Who is signed in here, and what they use.
import { signal } from '@preact/signals'
import { getCapabilities } from './api/capabilities'
import { api, ask, type StorageUsage, signedOut, type User } from './api/client'
import { forgetAllHandles } from './uploads/file-handles'

/** Undefined until it is known; null when nobody is signed in. */
export const me = signal<User | null | undefined>(undefined)
export const usage = signal<StorageUsage | null>(null)
/** Grows when the avatar changes, so that its address does. */
export const avatarRevision = signal(0)

signedOut.told = () => {
  me.value = null
  usage.value = null
}

/** Finds out who is signed in. */
export async function refreshMe() {
  // Needed by the first list; fetched at the same time to save a round trip.
  getCapabilities().catch(() => {})
  me.value = await ask(api.GET('/v1/me'))
}

export async function refreshUsage() {
  usage.value = await ask(api.GET('/v1/me/usage'))
}

export async function logIn(email: string, password: string) {
  me.value = (await ask(api.POST('/v1/auth/login', { body: { email, password } }))).user
}

export async function register(email: string, name: string, password: string) {
  me.value = (await ask(api.POST('/v1/auth/register', { body: { email, name, password } }))).user
}

export async function logOut() {
  await ask(api.POST('/v1/auth/logout'))
  await forgetAllHandles()
  // Nothing of this person stays behind in the page.
  location.assign('/')
}
