// The client of the API. Every failure becomes a `Problem`, whose message can be shown as it is.
import createClient from 'openapi-fetch'
import type { components, paths } from '../../schema.gen'
import { base, pathOf } from '../base'
import { fieldName, problemMessage } from './messages'

type Schemas = components['schemas']
export type StoredFile = Schemas['StoredFile']
export type Folder = Schemas['Folder']
export type User = Schemas['User']
export type ServerCapabilities = Schemas['ServerCapabilities']
export type StorageUsage = Schemas['StorageUsage']
export type AdminUser = Schemas['AdminUser']
export type Session = Schemas['Session']
export type ApiToken = Schemas['ApiToken']
export type FsckRun = Schemas['FsckRun']
export type TrashedFile = Schemas['TrashedFile']
export type TrashedFolder = Schemas['TrashedFolder']
export type Link = Schemas['Link']
export type Diagnostics = Schemas['Diagnostics']
export type AccessEntry = Schemas['AccessEntry']
export type AuditEvent = Schemas['AuditEvent']

export const api = createClient<paths>({ baseUrl: location.origin + base })

/** An error response of the server (RFC 9457), or a failure to reach it. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    /** The names of the rejected values. */
    readonly fields: string[] = [],
  ) {
    super(message)
  }

  static from(status: number, body: unknown): Problem {
    const problem = (body ?? {}) as Partial<Schemas['Problem']>
    const fields = (problem.errors ?? []).map(fieldName)
    return new Problem(status, problem.code ?? 'unknown', problemMessage(status, problem), fields)
  }
}

const UNREACHABLE = new Problem(0, 'unreachable', 'Can’t reach the server. Check your connection.')

let signedOutListener = () => {}

/** Sets what to do when the server responds that the user is not signed in. */
export function onSignedOut(listener: () => void) {
  signedOutListener = listener
}

let passwordChangeListener = () => {}

/** Sets what to do when the server responds that the user must change the password first. */
export function onPasswordChangeRequired(listener: () => void) {
  passwordChangeListener = listener
}

type Result<T> = { data?: T; error?: unknown; response: Response }

/** The data of a response. Fails with a `Problem`. */
export async function request<T>(pending: Promise<Result<T>>): Promise<T> {
  let result: Result<T>
  try {
    result = await pending
  } catch (error) {
    throw isAbort(error) ? error : UNREACHABLE
  }
  if (result.response.ok) return result.data as T
  const problem = Problem.from(result.response.status, result.error)
  if (problem.code === 'unauthorized') signedOutListener()
  if (problem.code === 'password_change_required') passwordChangeListener()
  throw problem
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** What to show for an error of any kind. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Where to read the content of a file: through this server, so that the page's policy need not allow another. */
export function contentUrl(id: string): string {
  return pathOf(`/v1/files/${id}/content?via=proxy`)
}

export function downloadUrl(id: string): string {
  return pathOf(`/v1/files/${id}/content?download=1`)
}
