import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Link } from '../src/api/client'
import { changes } from '../src/sharing/change-link'

const link = {
  allow_from: ['192.0.2.0/24'],
  download_name: null,
  inline: false,
  max_downloads: 5,
  note: 'for Ann',
} as Partial<Link> as Link

/** The form as it is shown for the link, with some fields changed. */
function form(fields: Record<string, string> = {}) {
  const data = new FormData()
  const initial = { expires_in: 'keep', allow_from: '192.0.2.0/24', max_downloads: '5', note: 'for Ann' }
  for (const [name, value] of Object.entries({ ...initial, ...fields })) data.set(name, value)
  return data
}

test('an unchanged form changes nothing', () => {
  assert.deepEqual(changes(link, form()), {})
})

test('only changed fields are sent', () => {
  assert.deepEqual(changes(link, form({ max_downloads: '3' })), { max_downloads: 3 })
  assert.deepEqual(changes(link, form({ max_downloads: '' })), { max_downloads: null })
  assert.deepEqual(changes(link, form({ allow_from: '10.0.0.1, 10.0.0.2' })), { allow_from: ['10.0.0.1', '10.0.0.2'] })
  assert.deepEqual(changes(link, form({ inline: 'on' })), { inline: true })
  assert.deepEqual(changes(link, form({ expires_in: '' })), { expires_in: null })
  assert.deepEqual(changes(link, form({ expires_in: '3600' })), { expires_in: 3600 })
})

test('a password is set, removed or kept', () => {
  assert.deepEqual(changes(link, form({ password: 'new' })), { password: 'new' })
  assert.deepEqual(changes(link, form({ password: 'new', no_password: 'on' })), { password: null })
  assert.deepEqual(changes(link, form({ password: ' ' })), {})
})
