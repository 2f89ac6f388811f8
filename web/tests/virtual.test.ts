import assert from 'node:assert/strict'
import { test } from 'node:test'
import { scrollTopFor, visibleRows } from '../src/files/virtual'

test('only the visible rows and a few around them are rendered', () => {
  assert.deepEqual(visibleRows({ scrollTop: 0, clientHeight: 460 }, 46, 5000), { first: 0, last: 18 })
  assert.deepEqual(visibleRows({ scrollTop: 46_000, clientHeight: 460 }, 46, 5000), { first: 992, last: 1018 })
  assert.deepEqual(visibleRows({ scrollTop: 0, clientHeight: 460 }, 46, 3), { first: 0, last: 3 })
  assert.deepEqual(visibleRows({ scrollTop: 0, clientHeight: 460 }, 46, 0), { first: 0, last: 0 })
})

test('scrolling to a row moves no further than needed', () => {
  const viewport = { scrollTop: 1000, clientHeight: 400 }
  assert.equal(scrollTopFor(25, viewport, 46), 1000, 'visible')
  assert.equal(scrollTopFor(10, viewport, 46), 460, 'above')
  assert.equal(scrollTopFor(40, viewport, 46), 41 * 46 - 400, 'below')
  assert.equal(scrollTopFor(40, viewport, 46, 35), 41 * 46 + 35 - 400, 'below, with a header')
})
