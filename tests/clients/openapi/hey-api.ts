// The usual calls of an app, with the client that Hey API generates.
// usage: node hey-api.js URL EMAIL PASSWORD
import assert from 'node:assert/strict'
import { client } from './hey-api/client.gen.js'
import {
  completeUpload,
  createLink,
  createSignedUrl,
  createUpload,
  deleteFile,
  getFile,
  getFileContent,
  getMe,
  listFiles,
  listTrash,
  logIn,
  restoreFile,
  signUploadParts,
  updateFile,
  updateLink,
  uploadFile,
} from './hey-api/index.js'
import type { StoredFile } from './hey-api/index.js'

const [baseUrl = '', email = '', password = ''] = process.argv.slice(2)
client.setConfig({ baseUrl, throwOnError: true })

// Sign in.
const { token, user } = (await logIn({ body: { email, password }, throwOnError: true })).data
client.setConfig({ auth: token })
assert.equal((await getMe({ throwOnError: true })).data.id, user.id)

// Upload.
const names = ['a.txt', 'b.txt', 'c.txt']
for (const name of names) {
  await uploadFile({
    query: { name, path: 'hey' },
    headers: { 'If-None-Match': '*' },
    body: new Blob([`the content of ${name}`]),
    throwOnError: true,
  })
}

// Upload a form, which the document does not describe. The browser sets the content type.
const form = new FormData()
form.append('file', new Blob(['the content of form.txt']), 'form.txt')
const { data: fromForm } = await uploadFile({
  query: { name: 'form.txt', path: 'hey/form' },
  headers: { 'Content-Type': null },
  body: form as unknown as Blob,
  throwOnError: true,
})
assert.equal(fromForm.size, 23)

// Upload parts directly to the store.
const film = new Blob(['the content of film.mp4'])
const { data: upload } = await createUpload({
  headers: { 'Idempotency-Key': crypto.randomUUID() },
  body: { mode: 'direct', name: 'film.mp4', path: 'hey/direct', size: film.size },
  throwOnError: true,
})
const uploadPath = { id: upload.id }
const { parts } = (await signUploadParts({ path: uploadPath, body: {}, throwOnError: true })).data
for (const { number, size, url, method, headers } of parts) {
  const start = (number - 1) * (upload.part_size ?? 0)
  const sent = await fetch(url, { method, headers, body: film.slice(start, start + size) })
  assert(sent.ok)
}
const { data: direct } = await completeUpload({ path: uploadPath, throwOnError: true })
assert.equal(direct.size, film.size)

// List all pages.
const files: StoredFile[] = []
let cursor: string | undefined
do {
  const { data: page } = await listFiles({
    query: { path: 'hey', sort: '-name', limit: 2, cursor },
    throwOnError: true,
  })
  files.push(...page.items)
  cursor = page.next_cursor ?? undefined
} while (cursor)
assert.deepEqual(
  files.map((file) => file.name),
  names.toReversed(),
)
const file = files.at(-1)
assert(file)
const path = { id: file.id }

// Read a file, its content, and a range of it.
assert.equal((await getFile({ path, throwOnError: true })).data.sha256, file.sha256)
const content = await getFileContent({ path, parseAs: 'blob', throwOnError: true })
assert.equal(await content.data.text(), 'the content of a.txt')
const range = await getFileContent({ path, headers: { Range: 'bytes=4-10' }, parseAs: 'blob', throwOnError: true })
assert.equal(range.response.status, 206)
assert.equal(await range.data.text(), 'content')

// Sign a URL.
const { data: signed } = await createSignedUrl({
  path,
  body: { operation: 'get', expires_in: 60 },
  throwOnError: true,
})
assert.equal(await (await fetch(signed.url, { method: signed.method })).text(), 'the content of a.txt')

// Rename, with metadata.
const { data: renamed } = await updateFile({
  path,
  headers: { 'If-Match': file.etag },
  body: { name: 'renamed.txt', metadata: { invoice: 17, tags: ['paid'] } },
  throwOnError: true,
})
assert.equal(renamed.name, 'renamed.txt')
assert.deepEqual(renamed.metadata, { invoice: 17, tags: ['paid'] })

// Create a link, and download through it.
const { data: link } = await createLink({ path, body: { max_downloads: 1, note: 'once' }, throwOnError: true })
assert.equal(link.state, 'active')
assert.equal(await (await fetch(`${link.url}?download=1`)).text(), 'the content of a.txt')
assert.equal((await updateLink({ path: { id: link.id }, body: { note: null }, throwOnError: true })).data.note, '')

// Delete and restore.
assert.equal((await deleteFile({ path, throwOnError: true })).response.status, 204)
assert.equal((await listTrash({ throwOnError: true })).data.items[0]?.id, file.id)
assert.equal((await restoreFile({ path, throwOnError: true })).data.name, 'renamed.txt')

// Handle a problem.
const { error } = await getFile({ path: { id: user.id }, throwOnError: false })
assert.equal(error?.code, 'not_found')
