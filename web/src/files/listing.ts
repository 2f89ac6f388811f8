// What a screen of files shows: folders first, then files, page after page as one scrolls.
import { signal } from '@preact/signals'
import { eachPage, pageSize } from '../api/capabilities'
import { api, ask, type Folder, isAbort, type StoredFile } from '../api/client'

export type Sort = 'name' | '-name' | 'updated_at' | '-updated_at' | 'size' | '-size'
export type Wanted = { path: string; query: string; sort: Sort }

const FIRST_PAGE = 200
const PAGE = 1000

export class Listing {
  readonly folders = signal<Folder[]>([])
  readonly files = signal<StoredFile[]>([])
  readonly done = signal(false)
  readonly error = signal<unknown>(null)
  /** Whether the first page is there. */
  readonly ready = signal(false)
  #cursor: string | null = null
  #loading: AbortController | null = null

  constructor(readonly wanted: Wanted) {}

  get length(): number {
    return this.folders.value.length + this.files.value.length
  }

  /** A folder or a file, by its place in the list. */
  at(index: number): Folder | StoredFile | undefined {
    const folders = this.folders.value
    return index < folders.length ? folders[index] : this.files.value[index - folders.length]
  }

  /** Begins anew, and shows what was there until the answer comes. */
  async refresh() {
    this.#loading?.abort()
    const loading = new AbortController()
    this.#loading = loading
    this.error.value = null
    const { path, query } = this.wanted
    try {
      const [folders, page] = await Promise.all([
        query
          ? []
          : ask(api.GET('/v1/folders', { params: { query: { path } }, signal: loading.signal })).then((a) => a.items),
        this.#page(Math.min(PAGE, Math.max(FIRST_PAGE, this.files.value.length)), null, loading.signal),
      ])
      this.folders.value = folders
      this.files.value = page.items
      this.#turned(page.next_cursor)
    } catch (error) {
      if (!isAbort(error)) this.error.value = error
    } finally {
      if (this.#loading === loading) this.#loading = null
    }
  }

  /** Brings the next page, unless it is under way or there is none. */
  async more() {
    if (this.#loading || this.done.value || !this.ready.value || this.error.value) return
    const loading = new AbortController()
    this.#loading = loading
    try {
      const page = await this.#page(PAGE, this.#cursor, loading.signal)
      this.files.value = this.files.value.concat(page.items)
      this.#turned(page.next_cursor)
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

  async #page(wanted: number, cursor: string | null, signal: AbortSignal) {
    const { path, query, sort } = this.wanted
    const limit = await pageSize(wanted)
    const where = query ? { q: query } : { path }
    const params = { query: { ...where, sort, limit, ...(cursor ? { cursor } : {}) } }
    return ask(api.GET('/v1/files', { params, signal }))
  }

  #turned(cursor: string | null) {
    this.#cursor = cursor
    this.done.value = cursor === null
    this.ready.value = true
  }
}

export function isFile(entry: Folder | StoredFile): entry is StoredFile {
  return 'id' in entry
}

/** What tells an entry from all others. */
export function keyOf(entry: Folder | StoredFile): string {
  return isFile(entry) ? entry.id : `${entry.path}/`
}

/** Every file in a folder and further down, page by page. */
export function walk(path: string): AsyncGenerator<StoredFile[]> {
  return eachPage((query) => ask(api.GET('/v1/files', { params: { query: { ...query, prefix: `${path}/` } } })))
}
