// Speaks with the server. Every failure becomes a `Problem`, whose message can be shown as it is.
import createClient from 'openapi-fetch'
import type { components, paths } from '../../schema.gen'

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
export type Link = Schemas['Link']
export type Diagnostics = Schemas['Diagnostics']
export type AccessEntry = Schemas['AccessEntry']
export type AuditEvent = Schemas['AuditEvent']

export const api = createClient<paths>({ baseUrl: location.origin })

/** What the server said is wrong, in its own words (RFC 9457). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: Record<string, string> = {},
    readonly request?: string,
  ) {
    super(message)
  }

  static of(status: number, body: unknown): Problem {
    const problem = (body ?? {}) as Partial<Schemas['Problem']>
    const fields: Record<string, string> = {}
    for (const { pointer, parameter, header, detail } of problem.errors ?? []) {
      fields[pointer?.replace(/^\//, '') ?? parameter ?? header ?? ''] = detail
    }
    const detail = problem.detail || problem.title || `The server answered with ${status}.`
    return new Problem(status, problem.code ?? 'unknown', sentence(detail), fields, problem.request_id)
  }
}

const AWAY = new Problem(0, 'away', 'The server cannot be reached. Check the connection, then try again.')

/** Who wants to know that the session is over. */
export const signedOut = { told: () => {} }

type Answer<T> = { data?: T; error?: unknown; response: Response }

/** The data of an answer. Fails with a `Problem`. */
export async function ask<T>(request: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>
  try {
    answer = await request
  } catch (error) {
    throw error instanceof DOMException && error.name === 'AbortError' ? error : AWAY
  }
  if (answer.response.ok) return answer.data as T
  const problem = Problem.of(answer.response.status, answer.error)
  if (problem.code === 'unauthorized') signedOut.told()
  throw problem
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError'
}

/** Something that can be shown for whatever went wrong. */
export function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function sentence(text: string): string {
  const begun = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`
}

/** Where a file's bytes are, through this server, so that the page's policy need allow no other. */
export function contentUrl(id: string): string {
  return `/v1/files/${id}/content?via=proxy`
}

export function downloadUrl(id: string): string {
  return `/v1/files/${id}/content?download=1`
}
