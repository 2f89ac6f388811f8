import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'
import { batchSize, pageSize } from '../src/api/capabilities'
import { fetchAllPages } from '../src/api/pages'
import { Listing } from '../src/files/listing'

type Handler = (url: URL) => { status?: number; body: unknown }

const capabilities = { direct_uploads_to: null, page_limit: 100, batch_limit: 50 }
let requests: URL[] = []
let handle: Handler = () => ({ body: capabilities })

function respond({ url }: Request): Response {
  requests.push(new URL(url))
  const { status = 200, body } = handle(new URL(url))
  return Response.json(body, { status })
}
Object.assign(globalThis, { respond })

beforeEach(() => {
  requests = []
})

test('an error is reported and not remembered', async () => {
  handle = () => ({ status: 503, body: { code: 'unavailable', detail: 'the database is not available' } })
  await assert.rejects(pageSize(10), /The database is not available\./)
  handle = () => ({ body: capabilities })
  assert.equal(await pageSize(10), 10)
})

test('no request exceeds the limits of the server, which are requested once', async () => {
  assert.deepEqual(await Promise.all([pageSize(1000), pageSize(20), batchSize(500), batchSize(7)]), [100, 20, 50, 7])
  assert.equal(requests.length, 0, 'known from the test before')
})

test('a list is read to its end, in pages that the server allows', async () => {
  const queries: unknown[] = []
  const items = await fetchAllPages(async (query) => {
    queries.push(query)
    const first = Number(query.cursor ?? 0)
    return { items: [first, first + 1], next_cursor: first < 4 ? String(first + 2) : null }
  })
  assert.deepEqual(items, [0, 1, 2, 3, 4, 5])
  assert.deepEqual(
    queries,
    [undefined, '2', '4'].map((cursor) => ({ limit: 100, cursor })),
  )
})

test('a folder is listed in pages that the server allows', async () => {
  const total = 450
  handle = ({ pathname, searchParams }) => {
    if (pathname !== '/v1/files') return { body: { items: [] } }
    const first = Number(searchParams.get('cursor') ?? 0)
    const next = Math.min(total, first + Number(searchParams.get('limit')))
    const items = Array.from({ length: next - first }, (_, index) => ({ id: String(first + index) }))
    return { body: { items, next_cursor: next < total ? String(next) : null } }
  }
  const listing = new Listing({ path: 'a', query: '', sort: 'name' })
  await listing.refresh()
  assert.equal(listing.length, 200, 'the first page')
  while (!listing.done.value) await listing.more()
  assert.equal(listing.length, total)
  await listing.refresh()
  assert.equal(listing.length, total, 'a refresh keeps what was loaded')
  assert.equal(listing.error.value, null)
  const limits = requests.map(({ searchParams }) => Number(searchParams.get('limit') ?? 1))
  assert.ok(Math.max(...limits) <= 100, String(limits))
})
