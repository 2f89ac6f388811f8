// What this server can do and how much it accepts in one request. Asked once, not before each request.
import { api, ask, type ServerCapabilities } from './client'

let cached: Promise<ServerCapabilities> | null = null

export function getCapabilities(): Promise<ServerCapabilities> {
  cached ??= ask(api.GET('/v1/capabilities')).catch((error) => {
    cached = null
    throw error
  })
  return cached
}

/** Items to ask for in one page: as many as wanted, within the server's limit. */
export async function pageSize(wanted: number): Promise<number> {
  return Math.min(wanted, (await getCapabilities()).page_limit)
}

/** Files to send in one batch: as many as wanted, within the server's limit. */
export async function batchSize(wanted: number): Promise<number> {
  return Math.min(wanted, (await getCapabilities()).batch_limit)
}

type Page<T> = { items: T[]; next_cursor?: string | null }
type FetchPage<T> = (query: { limit: number; cursor?: string }) => Promise<Page<T>>

/** Items per page where a whole list is read. */
const PAGE = 1000

/** The pages of a list, one after the other. */
export async function* eachPage<T>(fetchPage: FetchPage<T>): AsyncGenerator<T[]> {
  const limit = await pageSize(PAGE)
  let cursor: string | undefined
  do {
    const page: Page<T> = await fetchPage({ limit, cursor })
    yield page.items
    cursor = page.next_cursor ?? undefined
  } while (cursor)
}

/** All items of a list. */
export async function fetchAllPages<T>(fetchPage: FetchPage<T>): Promise<T[]> {
  const all: T[] = []
  for await (const items of eachPage(fetchPage)) all.push(...items)
  return all
}
