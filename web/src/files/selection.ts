// The selected entries and the row with the keyboard focus.
import { signal } from '@preact/signals'
import type { Folder, StoredFile } from '../api/client'
import { keyOf, type Listing } from './listing'

export class Selection {
  readonly keys = signal<ReadonlySet<string>>(new Set())
  readonly active = signal(0)
  #anchor = 0

  constructor(private listing: Listing) {}

  has(entry: Folder | StoredFile): boolean {
    return this.keys.value.has(keyOf(entry))
  }

  entries(): (Folder | StoredFile)[] {
    const keys = this.keys.value
    return [...this.listing.folders.value, ...this.listing.files.value].filter((entry) => keys.has(keyOf(entry)))
  }

  clear() {
    if (this.keys.value.size) this.keys.value = new Set()
  }

  /** Adds an entry to the selection, or removes it. */
  toggle(index: number) {
    const entry = this.listing.at(index)
    if (!entry) return
    const keys = new Set(this.keys.value)
    if (!keys.delete(keyOf(entry))) keys.add(keyOf(entry))
    this.keys.value = keys
    this.active.value = index
    this.#anchor = index
  }

  /** Moves the keyboard focus; with `extend`, selects everything from the anchor to there. */
  move(index: number, extend: boolean) {
    const to = Math.max(0, Math.min(index, this.listing.length - 1))
    this.active.value = to
    if (extend) this.range(to)
    else this.#anchor = to
  }

  /** Selects everything from the anchor to this row. */
  range(to: number) {
    const [from, until] = to < this.#anchor ? [to, this.#anchor] : [this.#anchor, to]
    const keys = new Set<string>()
    for (let index = from; index <= until; index += 1) {
      const entry = this.listing.at(index)
      if (entry) keys.add(keyOf(entry))
    }
    this.keys.value = keys
    this.active.value = to
  }

  all() {
    this.keys.value = new Set([...this.listing.folders.value, ...this.listing.files.value].map(keyOf))
  }
}
