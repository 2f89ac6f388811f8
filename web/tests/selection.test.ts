import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Folder, StoredFile } from '../src/api/client'
import { keyOf, Listing } from '../src/files/listing'
import { Selection } from '../src/files/selection'

/** A listing of one folder, a, and four files, b to e. */
function example() {
  const listing = new Listing({ path: '', query: '', sort: 'name' })
  listing.folders.value = [{ id: 'a/', name: 'a', path: 'a' } as Folder]
  listing.files.value = ['b', 'c', 'd', 'e'].map((name) => ({ id: name, name, path: '' }) as StoredFile)
  const selection = new Selection(listing)
  const selected = () => selection.entries().map((entry) => entry.name)
  return { listing, selection, selected }
}

test('toggling adds and removes', () => {
  const { selection, selected } = example()
  selection.toggle(0)
  selection.toggle(2)
  assert.deepEqual(selected(), ['a', 'c'])
  selection.toggle(0)
  assert.deepEqual(selected(), ['c'])
  selection.toggle(99)
  assert.deepEqual(selected(), ['c'])
})

test('a range starts where the last entry was toggled, in both directions', () => {
  const { selection, selected } = example()
  selection.toggle(2)
  selection.range(4)
  assert.deepEqual(selected(), ['c', 'd', 'e'])
  selection.range(1)
  assert.deepEqual(selected(), ['b', 'c'])
  assert.equal(selection.active.value, 1)
})

test('moving stays within the list and extends on request', () => {
  const { selection, selected } = example()
  selection.move(99, false)
  assert.equal(selection.active.value, 4)
  selection.move(3, true)
  assert.deepEqual(selected(), ['d', 'e'])
  selection.move(-1, false)
  assert.equal(selection.active.value, 0)
})

test('all entries, then none', () => {
  const { selection, selected } = example()
  selection.all()
  assert.equal(selected().length, 5)
  selection.clear()
  assert.deepEqual(selected(), [])
})

test('a folder and a file of the same name have different keys', () => {
  const { listing } = example()
  listing.files.value = [{ id: 'a', name: 'a', path: '' } as StoredFile]
  assert.notEqual(keyOf(listing.at(0)!), keyOf(listing.at(1)!))
})
