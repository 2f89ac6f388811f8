// Lists that are read to their end.
import { pageSize } from './capabilities'

type Page<T> = { items: T[]; next_cursor?: string | null }
type FetchPage<T> = (query: { limit: number; cursor?: string }) => Promise<Page<T>>

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
