// Uploads: dropped, paused, interrupted, canceled; large files directly to the bucket if there is one. Arguments: the
// URL of the server, a working directory, and `refused` if the bucket refuses requests of the page. Prints `restart`
// to have the server killed and started again, and waits for a line.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { launch, register } from './browser.mjs'

const [base, folder, mode] = process.argv.slice(2)
const isRefused = mode === 'refused'
const MIB = 1024 * 1024
const PART = 8 * MIB

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const browser = await launch({ handles: true })
const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(90_000)
const session = await context.newCDPSession(page)
const uploads = page.getByRole('complementary', { name: 'Uploads' })
const step = (text) => console.error(`uploads: ${text}`)

/** Requests to other servers, with the status of the response. */
const puts = []
const tusRequests = []
const violations = []
page.on('pageerror', (error) => violations.push(String(error)))
page.on('console', (message) => {
  if (/Content Security Policy|Refused to/.test(message.text())) violations.push(message.text())
})
page.on('request', (request) => {
  const url = new URL(request.url())
  if (request.method() === 'PATCH') tusRequests.push(url.pathname)
  if (!/^http/.test(url.protocol) || url.origin === base) return
  const put = { method: request.method(), url, number: Number(url.searchParams.get('partNumber')), status: 0 }
  puts.push(put)
  request.response().then(
    (response) => {
      put.status = response?.status() ?? 0
    },
    () => {},
  )
})

try {
  mkdirSync(folder, { recursive: true })
  await page.goto(base)
  await register(page, `uploads-${process.pid}@example.org`, 'Una Plode')
  const bucket = (await api('/v1/capabilities')).direct_uploads_to
  const direct = bucket !== null && !isRefused

  step('a folder and a file, dropped anywhere')
  const tree = join(folder, 'tree')
  mkdirSync(join(tree, 'twigs', 'buds'), { recursive: true })
  writeFileSync(join(tree, 'root.txt'), 'root')
  writeFileSync(join(tree, 'twigs', 'nothing.txt'), '')
  for (let at = 0; at < 120; at += 1) writeFileSync(join(tree, 'twigs', 'buds', `bud ${at}.txt`), `bud ${at}`)
  writeFileSync(join(folder, 'alone.txt'), 'alone')
  await page.getByRole('link', { name: 'Trash' }).click()
  await page.getByText('Trash is empty').waitFor()
  await drop(tree, join(folder, 'alone.txt'))
  await uploads.getByText('123 files uploaded').first().waitFor()
  const { items } = await api('/v1/files?limit=200')
  const places = items.map((file) => [file.path, file.name].filter(Boolean).join('/')).sort()
  const buds = Array.from({ length: 120 }, (_, at) => `tree/twigs/buds/bud ${at}.txt`)
  assert.deepEqual(places, ['alone.txt', 'tree/root.txt', 'tree/twigs/nothing.txt', ...buds].sort())
  assert.equal(await text(items.find((file) => file.name === 'bud 77.txt')), 'bud 77')
  assert.deepEqual(tusRequests, [], 'a small file is sent in one request')

  step('into the open folder, without file handles')
  await page.goto(`${base}/files/tree/twigs`)
  await page.getByText('nothing.txt').waitFor()
  await page.evaluate(() => {
    const dataTransfer = new DataTransfer()
    dataTransfer.items.add(new File(['leaf'], 'leaf.txt', { type: 'text/plain' }))
    for (const name of ['dragenter', 'dragover', 'drop']) {
      const init = { bubbles: true, cancelable: true, dataTransfer }
      document.querySelector('main').dispatchEvent(new DragEvent(name, init))
    }
  })
  await page.getByRole('row').filter({ hasText: 'leaf.txt' }).waitFor()
  assert.equal((await find('leaf.txt')).path, 'tree/twigs')
  await uploads.getByRole('button', { name: 'Close uploads' }).click()

  if (isRefused) {
    step('two files that the bucket refuses')
    const hashes = [bigFile('first.bin', 3 * PART), bigFile('second.bin', 2 * PART + 5)]
    await drop(join(folder, 'first.bin'))
    await uploads.getByText('1 file uploaded').first().waitFor()
    assert.ok(puts.length > 0 && puts.every(({ status }) => status !== 200), 'the bucket was tried and refused')
    const tries = puts.length
    await drop(join(folder, 'second.bin'))
    await uploads.locator('.upload.done', { hasText: 'second.bin' }).waitFor()
    assert.equal(puts.length, tries, 'and not tried again')
    assert.deepEqual([(await find('first.bin')).sha256, (await find('second.bin')).sha256], hashes)
    assert.equal(new Set(tusRequests).size, 2)
    await noOpenUploads()
  } else {
    step('a large file, across a pause, a restart and a reload')
    const size = 12 * PART + 5
    const hash = bigFile('big.bin', size)
    await limitUpload(24 * MIB)
    await drop(join(folder, 'big.bin'))
    await sentAtLeast(15)
    await uploads.getByRole('button', { name: 'Pause big.bin' }).click()
    await uploads.getByText(/Paused at/).waitFor()
    const paused = puts.length
    await uploads.getByRole('button', { name: 'Resume big.bin' }).click()
    await sentAtLeast(30)
    assert.ok(!direct || puts.length > paused)
    console.log('restart')
    await lines.next()
    await sentAtLeast(50)
    await uploads.getByRole('button', { name: 'Pause all' }).click()
    await uploads.getByText('1 upload paused').waitFor()
    await page.reload()
    // Dropped files come with handles, so the page can reopen them.
    const again = uploads.getByRole('button', { name: 'Resume big.bin' })
    await again.waitFor()
    assert.ok(Number(/at (\d+)/.exec(await uploads.innerText())[1]) >= 40, await uploads.innerText())
    await limitUpload(-1)
    await again.click()
    await uploads.getByText('1 file uploaded').first().waitFor()
    const big = await find('big.bin')
    assert.deepEqual([big.size, big.sha256], [size, hash])
    const content = await context.request.get(`${base}/v1/files/${big.id}/content`)
    assert.equal(
      createHash('sha256')
        .update(await content.body())
        .digest('hex'),
      hash,
    )
    await noOpenUploads()
    assert.deepEqual(await handles(), [])
    if (direct) {
      // A part that a pause interrupted may have arrived all the same; then it is not sent again either.
      const put = new Set(puts.map(({ number }) => number))
      assert.deepEqual(
        [...put].sort((one, other) => one - other),
        Array.from({ length: 13 }, (_, at) => at + 1),
      )
      const answered = puts.filter(({ status }) => status === 200).map(({ number }) => number)
      assert.equal(new Set(answered).size, answered.length, 'parts that had arrived were not sent again')
      assert.ok(puts.every(({ method, url }) => method === 'PUT' && url.href.startsWith(`${bucket}/`)))
      assert.deepEqual(tusRequests, [])
    } else {
      assert.deepEqual(puts, [])
    }

    step('several at once, one paused, then canceled')
    const before = (await api('/v1/me/usage')).used
    const names = [0, 1, 2, 3, 4].map((at) => `pile ${at}.bin`)
    const hashesOfPile = names.map((name, at) => bigFile(name, 3 * PART + at))
    await limitUpload(24 * MIB)
    await drop(...names.map((name) => join(folder, name)))
    await uploads.getByRole('button', { name: 'Pause pile 1.bin' }).click()
    await uploads.getByText('Paused at').waitFor()
    await limitUpload(-1)
    await uploads.getByText('Uploading 1 file').waitFor()
    await until(async () => (await api('/v1/uploads')).items.length <= 1)
    const during = await api('/v1/me/usage')
    await uploads.getByRole('button', { name: 'Cancel pile 1.bin' }).click()
    await uploads.getByText('4 files uploaded').first().waitFor()
    await noOpenUploads()
    const kept = [0, 2, 3, 4]
    for (const at of kept) assert.equal((await find(names[at])).sha256, hashesOfPile[at])
    const after = (await api('/v1/me/usage')).used
    const sizes = kept.map((at) => statSync(join(folder, names[at])).size).reduce((sum, size) => sum + size)
    assert.equal(after.bytes, before.bytes + sizes)
    assert.ok(during.used.bytes >= after.bytes)
    assert.deepEqual(await handles(), [])

    step('canceled halfway')
    bigFile('never.bin', 6 * PART)
    await limitUpload(8 * MIB)
    await drop(join(folder, 'never.bin'))
    await until(async () => (await api('/v1/me/usage')).open_uploads === 1)
    await sentAtLeast(15, 'never.bin')
    await uploads.getByRole('button', { name: 'Cancel never.bin' }).click()
    await limitUpload(-1)
    await noOpenUploads()
    assert.deepEqual((await api('/v1/me/usage')).used, after)

    step('interrupted, and the file has changed since')
    bigFile('changing.bin', 6 * PART)
    await limitUpload(8 * MIB)
    await drop(join(folder, 'changing.bin'))
    await sentAtLeast(15, 'changing.bin')
    await uploads.getByRole('button', { name: 'Pause all' }).click()
    await page.reload()
    await uploads.getByRole('button', { name: 'Resume changing.bin' }).waitFor()
    bigFile('changing.bin', 6 * PART - 1)
    await uploads.getByRole('button', { name: 'Resume changing.bin' }).click()
    await page.getByText('changing.bin changed since the upload started').waitFor()
    assert.equal((await handles()).length, 1)

    step('signing out deletes the handles')
    await limitUpload(-1)
    await page.goto(`${base}/account`)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    assert.deepEqual(await handles(), [])
    await register(page, `other-${process.pid}@example.org`, 'Otto Ther')
    await page.getByText('No files yet').waitFor()
    assert.equal(await uploads.count(), 0, 'interrupted uploads are visible to their owner only')
  }
  assert.deepEqual(violations, [])
} catch (error) {
  await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => {})
  console.error(violations.join('\n'))
  console.error(
    puts.map(({ method, url, number, status }) => `${method} ${url.origin} ${number}: ${status}`).join('\n'),
  )
  console.error(
    await page
      .locator('body')
      .innerText()
      .catch(() => ''),
  )
  throw error
} finally {
  await browser.close()
}
process.exit(0)

/** Drops local files and folders onto the page. */
async function drop(...files) {
  const data = { items: [], files, dragOperationsMask: 1 }
  for (const type of ['dragEnter', 'dragOver', 'drop']) {
    await session.send('Input.dispatchDragEvent', { type, x: 500, y: 300, data })
  }
}

async function api(path) {
  const answer = await context.request.get(base + path)
  assert.ok(answer.ok(), `${path}: ${answer.status()}`)
  return answer.json()
}

async function find(name) {
  const { items } = await api(`/v1/files?q=${encodeURIComponent(name)}`)
  assert.equal(items.length, 1, name)
  return items[0]
}

async function text(file) {
  return (await context.request.get(`${base}/v1/files/${file.id}/content`)).text()
}

async function noOpenUploads() {
  await until(async () => (await api('/v1/me/usage')).open_uploads === 0)
  assert.deepEqual((await api('/v1/uploads')).items, [])
}

async function until(holds) {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100))
}

/** The keys of the stored file handles. */
function handles() {
  return page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open('strongroom')
        opening.onerror = reject
        opening.onsuccess = () => {
          const query = opening.result.transaction('handles').objectStore('handles').getAllKeys()
          query.onsuccess = () => resolve(query.result)
          query.onerror = reject
          opening.result.close()
        }
      }),
  )
}

/** Limits the bytes that the page sends per second. */
async function limitUpload(uploadThroughput) {
  await session.send('Network.enable')
  const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput }
  await session.send('Network.emulateNetworkConditions', conditions)
}

/** Waits until a percentage of all uploads, or of one file, has been sent. */
async function sentAtLeast(percent, name) {
  await page.waitForFunction(
    ([least, name]) => {
      const bar = document.querySelector(name ? `.uploads progress[aria-label="${name}"]` : '.uploads > progress')
      return bar && (100 * bar.value) / bar.max >= least
    },
    [percent, name],
    { timeout: 240_000 },
  )
}

/** Writes a file without repetition. Returns its SHA-256. */
function bigFile(name, size) {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(Math.imul(at + size, 2654435761) >>> 0, at)
  writeFileSync(join(folder, name), bytes)
  return createHash('sha256')
    .update(readFileSync(join(folder, name)))
    .digest('hex')
}
