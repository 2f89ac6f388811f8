// The entries of a folder or search: folders first, then files, loaded page by page while scrolling.
import { signal } from '@preact/signals'
import { pageSize } from '../api/capabilities'
import { api, type Folder, isAbort, request, type StoredFile } from '../api/client'
import { fetchAllPages } from '../api/pages'

export type Sort = 'name' | '-name' | 'updated_at' | '-updated_at' | 'size' | '-size'
export type ListingOptions = { path: string; query: string; sort: Sort }

const FIRST_PAGE = 200
const PAGE = 1000

export class Listing {
  readonly folders = signal<Folder[]>([])
  readonly files = signal<StoredFile[]>([])
  readonly done = signal(false)
  readonly error = signal<unknown>(null)
  /** Whether the first page has been loaded. */
  readonly ready = signal(false)
  #cursor: string | null = null
  #loading: AbortController | null = null

  constructor(readonly options: ListingOptions) {}

  get length(): number {
    return this.folders.value.length + this.files.value.length
  }

  /** The entry at an index of the list. */
  at(index: number): Folder | StoredFile | undefined {
    const folders = this.folders.value
    return index < folders.length ? folders[index] : this.files.value[index - folders.length]
  }

  /** Loads from the start again. The current entries stay visible until the response arrives. */
  async refresh() {
    this.#loading?.abort()
    const loading = new AbortController()
    this.#loading = loading
    this.error.value = null
    const { path, query } = this.options
    try {
      const [folders, page] = await Promise.all([
        query ? [] : fetchFolders(path, loading.signal),
        this.#fetchFiles(Math.min(PAGE, Math.max(FIRST_PAGE, this.files.value.length)), loading.signal),
      ])
      this.folders.value = folders.sort((one, other) => naturally(one.name, other.name))
      this.files.value = page.items
      this.#setCursor(page.next_cursor)
    } catch (error) {
      if (!isAbort(error)) this.error.value = error
    } finally {
      if (this.#loading === loading) this.#loading = null
    }
  }

  /** Loads the next page, unless it is being loaded or there is none. */
  async more() {
    if (this.#loading || this.done.value || !this.ready.value || this.error.value) return
    const loading = new AbortController()
    this.#loading = loading
    try {
      const page = await this.#fetchPage(PAGE, this.#cursor, loading.signal)
      this.files.value = this.files.value.concat(page.items)
      this.#setCursor(page.next_cursor)
    } catch (error) {
      if (!isAbort(error)) this.error.value = error
    } finally {
      if (this.#loading === loading) this.#loading = null
    }
  }

  stop() {
    this.#loading?.abort()
  }

  remove(ids: Set<string>) {
    this.files.value = this.files.value.filter((file) => !ids.has(file.id))
  }

  replace(file: StoredFile) {
    this.files.value = this.files.value.map((old) => (old.id === file.id ? file : old))
  }

  /** The first files, in as many pages as the server's limit requires. */
  async #fetchFiles(wanted: number, signal: AbortSignal) {
    const items: StoredFile[] = []
    let next_cursor: string | null = null
    do {
      const page = await this.#fetchPage(wanted - items.length, next_cursor, signal)
      items.push(...page.items)
      next_cursor = page.next_cursor
    } while (next_cursor && items.length < wanted)
    return { items, next_cursor }
  }

  async #fetchPage(size: number, cursor: string | null, signal: AbortSignal) {
    const { path, query, sort } = this.options
    const limit = await pageSize(size)
    const where = query ? { q: query } : { path }
    const params = { query: { ...where, sort: orderOf(sort, query), limit, ...(cursor ? { cursor } : {}) } }
    return request(api.GET('/v1/files', { params, signal }))
  }

  #setCursor(cursor: string | null) {
    this.#cursor = cursor
    this.done.value = cursor === null
    this.ready.value = true
  }
}

/** Within a folder, names are sorted as people count. In a search, the natural order would be the one by folder. */
function orderOf(sort: Sort, query: string): Sort | 'natural' | '-natural' {
  if (query) return sort
  return sort === 'name' ? 'natural' : sort === '-name' ? '-natural' : sort
}

const naturally = new Intl.Collator(undefined, { numeric: true, sensitivity: 'base' }).compare

export function isFile(entry: Folder | StoredFile): entry is StoredFile {
  return 'sha256' in entry
}

/** A unique key of an entry. */
export function keyOf(entry: Folder | StoredFile): string {
  return entry.id
}

/** All folders directly in a folder. */
export function fetchFolders(path: string, signal?: AbortSignal): Promise<Folder[]> {
  return fetchAllPages((query) => request(api.GET('/v1/folders', { params: { query: { ...query, path } }, signal })))
}
