import assert from 'node:assert/strict'
import { test } from 'node:test'
import { foreignMessage } from '../src/api/messages'
import { smallerChunk } from '../src/uploads/chunk-size'

const MiB = 1024 * 1024

test('requests become smaller until an unconfigured proxy takes them', () => {
  const sizes: number[] = []
  for (let size = smallerChunk(Number.POSITIVE_INFINITY); size !== null; size = smallerChunk(size)) sizes.push(size)
  assert.deepEqual(sizes, [16 * MiB, 4 * MiB, MiB])
  assert.equal(smallerChunk(1.5 * MiB), MiB)
})

test('the answer of a proxy becomes a sentence', () => {
  assert.equal(foreignMessage(413), 'Too large for something between you and the server.')
  assert.equal(foreignMessage(502), 'Something between you and the server answered with status 502.')
})
