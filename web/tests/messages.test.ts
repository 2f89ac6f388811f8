import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Problem } from '../src/api/client'

const message = (status: number, body: unknown) => Problem.from(status, body).message.replaceAll(/\s/g, ' ')

test('the page has its own text for common problems', () => {
  assert.equal(message(401, { code: 'bad_credentials', detail: 'x' }), 'Wrong email or password.')
  assert.equal(message(404, { code: 'not_found', detail: 'x' }), 'Not found.')
  assert.equal(message(500, { code: 'internal', request_id: '01a2' }), 'Server error (reference 01a2).')
})

test('other problems show the text of the server as a sentence', () => {
  assert.equal(
    message(409, { code: 'last_admin', detail: 'cannot remove the last admin' }),
    'Cannot remove the last admin.',
  )
  assert.equal(message(418, null), 'The server answered with status 418.')
})

test('a full quota is shown in sizes', () => {
  const quota = { code: 'quota_exceeded', detail: 'x', needed: 584_000, used: 2_918_000, quota: 3_000_000 }
  assert.equal(message(507, { ...quota, resource: 'bytes' }), 'Not enough storage: needs 584 kB, 82 kB left.')
  const files = { ...quota, resource: 'files', needed: 1, used: 7, quota: 7 }
  assert.equal(message(507, files), 'File limit reached: needs 1 more file, 0 left.')
  const trashed = message(507, { ...quota, resource: 'bytes', trashed: 800_000 })
  assert.equal(trashed, 'Not enough storage: needs 584 kB, 82 kB left. The trash has 800 kB.')
  assert.equal(
    message(507, { ...files, trashed: 2 }),
    'File limit reached: needs 1 more file, 0 left. The trash has 2 files.',
  )
})

test('rejected values are named, wherever they were sent', () => {
  const errors = [
    { pointer: '/max_downloads', code: 'out_of_range', detail: 'at least 1' },
    { parameter: 'limit', code: 'out_of_range', detail: 'from 1 to 100' },
    { header: 'If-Match', code: 'required', detail: 'missing' },
  ]
  const problem = Problem.from(422, { code: 'invalid', detail: 'x', errors })
  assert.deepEqual(problem.fields, ['max_downloads', 'limit', 'If-Match'])
  assert.equal(problem.message, 'Max downloads: at least 1. Limit: from 1 to 100. If-Match: missing.')
})

test('rejected passwords have a sentence of the page', () => {
  const rejected = (code: string) =>
    message(422, { code: 'invalid', detail: 'x', errors: [{ pointer: '/password', code, detail: 'x' }] })
  assert.equal(rejected('weak_password'), 'This password is too common. Try a few random words.')
  assert.equal(rejected('wrong'), 'Wrong password.')
})
