// Uploads as people make them: dropped, paused, broken off, cancelled; big ones straight to the bucket where there is
// one. Arguments: the server's URL, a folder to work in, and `turned-away` if the bucket lets no page in. Prints
// `restart` when the server shall be killed and started again, and waits for a line.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { launch, register } from './browser.mjs'

const [base, folder, how] = process.argv.slice(2)
const turnedAway = how === 'turned-away'
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

/** Parts that were put elsewhere, and what became of them. */
const puts = []
const overTus = []
const complaints = []
page.on('pageerror', (error) => complaints.push(String(error)))
page.on('console', (message) => {
  if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text())
})
page.on('request', (request) => {
  const url = new URL(request.url())
  if (request.method() === 'PATCH') overTus.push(url.pathname)
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
  const direct = bucket !== null && !turnedAway

  step('a folder, files beside it, dropped anywhere')
  const tree = join(folder, 'tree')
  mkdirSync(join(tree, 'twigs', 'buds'), { recursive: true })
  writeFileSync(join(tree, 'root.txt'), 'root')
  writeFileSync(join(tree, 'twigs', 'nothing.txt'), '')
  for (let at = 0; at < 120; at += 1) writeFileSync(join(tree, 'twigs', 'buds', `bud ${at}.txt`), `bud ${at}`)
  writeFileSync(join(folder, 'alone.txt'), 'alone')
  await page.getByRole('link', { name: 'Trash' }).click()
  await page.getByText('The trash is empty').waitFor()
  await drop(tree, join(folder, 'alone.txt'))
  await uploads.getByText('123 files uploaded').first().waitFor()
  const { items } = await api('/v1/files?limit=200')
  const places = items.map((file) => [file.path, file.name].filter(Boolean).join('/')).sort()
  const buds = Array.from({ length: 120 }, (_, at) => `tree/twigs/buds/bud ${at}.txt`)
  assert.deepEqual(places, ['alone.txt', 'tree/root.txt', 'tree/twigs/nothing.txt', ...buds].sort())
  assert.equal(await text(items.find((file) => file.name === 'bud 77.txt')), 'bud 77')
  assert.deepEqual(overTus, [], 'a small file takes one request')

  step('into the folder that is shown, by a page that gives no handles')
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
  await uploads.getByRole('button', { name: 'Close the list of uploads' }).click()

  if (turnedAway) {
    step('two that the bucket turns away')
    const hashes = [bigFile('first.bin', 3 * PART), bigFile('second.bin', 2 * PART + 5)]
    await drop(join(folder, 'first.bin'))
    await uploads.getByText('1 file uploaded').first().waitFor()
    assert.ok(puts.length > 0 && puts.every(({ status }) => status !== 200), 'the bucket was asked, in vain')
    const tries = puts.length
    await drop(join(folder, 'second.bin'))
    await uploads.locator('.upload.done', { hasText: 'second.bin' }).waitFor()
    assert.equal(puts.length, tries, 'and once only')
    assert.deepEqual([(await find('first.bin')).sha256, (await find('second.bin')).sha256], hashes)
    assert.equal(new Set(overTus).size, 2)
    await nothingUnderWay()
  } else {
    step('a big one, through a pause, a restart and a reload')
    const size = 12 * PART + 5
    const hash = bigFile('big.bin', size)
    await upTo(24 * MIB)
    await drop(join(folder, 'big.bin'))
    await sentAtLeast(15)
    await uploads.getByRole('button', { name: 'Pause big.bin' }).click()
    await uploads.getByText(/Paused at/).waitFor()
    const paused = puts.length
    await uploads.getByRole('button', { name: 'Go on with big.bin' }).click()
    await sentAtLeast(30)
    assert.ok(!direct || puts.length > paused)
    console.log('restart')
    await lines.next()
    await sentAtLeast(50)
    await uploads.getByRole('button', { name: 'Pause all' }).click()
    await uploads.getByText('Paused 1 file').waitFor()
    await page.reload()
    // It was dropped, so the browser lets the page open it again.
    const again = uploads.getByRole('button', { name: 'Resume big.bin' })
    await again.waitFor()
    assert.ok(Number(/at (\d+)/.exec(await uploads.innerText())[1]) >= 40, await uploads.innerText())
    await upTo(-1)
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
    await nothingUnderWay()
    assert.deepEqual(await handles(), [])
    if (direct) {
      // One that a pause broke off may have arrived all the same; then it is not sent again either.
      const put = new Set(puts.map(({ number }) => number))
      assert.deepEqual(
        [...put].sort((one, other) => one - other),
        Array.from({ length: 13 }, (_, at) => at + 1),
      )
      const answered = puts.filter(({ status }) => status === 200).map(({ number }) => number)
      assert.equal(new Set(answered).size, answered.length, 'what had arrived was not sent again')
      assert.ok(puts.every(({ method, url }) => method === 'PUT' && url.href.startsWith(`${bucket}/`)))
      assert.deepEqual(overTus, [])
    } else {
      assert.deepEqual(puts, [])
    }

    step('several at once, one paused, and then given up')
    const before = (await api('/v1/me/usage')).used
    const names = [0, 1, 2, 3, 4].map((at) => `pile ${at}.bin`)
    const hashesOfPile = names.map((name, at) => bigFile(name, 3 * PART + at))
    await upTo(24 * MIB)
    await drop(...names.map((name) => join(folder, name)))
    await uploads.getByRole('button', { name: 'Pause pile 1.bin' }).click()
    await uploads.getByText('Paused at').waitFor()
    await upTo(-1)
    await uploads.getByText('Uploading 1 file').waitFor()
    await until(async () => (await api('/v1/uploads')).items.length <= 1)
    const held = await api('/v1/me/usage')
    await uploads.getByRole('button', { name: 'Cancel pile 1.bin' }).click()
    await uploads.getByText('4 files uploaded').first().waitFor()
    await nothingUnderWay()
    const kept = [0, 2, 3, 4]
    for (const at of kept) assert.equal((await find(names[at])).sha256, hashesOfPile[at])
    const after = (await api('/v1/me/usage')).used
    const sizes = kept.map((at) => statSync(join(folder, names[at])).size).reduce((sum, size) => sum + size)
    assert.equal(after.bytes, before.bytes + sizes)
    assert.ok(held.used.bytes >= after.bytes)
    assert.deepEqual(await handles(), [])

    step('cancelled in the middle')
    bigFile('never.bin', 6 * PART)
    await upTo(8 * MIB)
    await drop(join(folder, 'never.bin'))
    await until(async () => (await api('/v1/me/usage')).open_uploads === 1)
    await sentAtLeast(15, 'never.bin')
    await uploads.getByRole('button', { name: 'Cancel never.bin' }).click()
    await upTo(-1)
    await nothingUnderWay()
    assert.deepEqual((await api('/v1/me/usage')).used, after)

    step('broken off, and the file is another one now')
    bigFile('changing.bin', 6 * PART)
    await upTo(8 * MIB)
    await drop(join(folder, 'changing.bin'))
    await sentAtLeast(15, 'changing.bin')
    await uploads.getByRole('button', { name: 'Pause all' }).click()
    await page.reload()
    await uploads.getByRole('button', { name: 'Resume changing.bin' }).waitFor()
    bigFile('changing.bin', 6 * PART - 1)
    await uploads.getByRole('button', { name: 'Resume changing.bin' }).click()
    await page.getByText('changing.bin has changed since').waitFor()
    assert.equal((await handles()).length, 1)

    step('signed out, nothing of it stays')
    await upTo(-1)
    await page.goto(`${base}/account`)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByRole('button', { name: 'Sign in' }).waitFor()
    assert.deepEqual(await handles(), [])
    await register(page, `other-${process.pid}@example.org`, 'Otto Ther')
    await page.getByText('Your strongroom is empty').waitFor()
    assert.equal(await uploads.count(), 0, 'what is unfinished is its owner’s alone')
  }
  assert.deepEqual(complaints, [])
} catch (error) {
  await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => {})
  console.error(complaints.join('\n'))
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

/** Drops files and folders of the disk, as a hand does. */
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

async function nothingUnderWay() {
  await until(async () => (await api('/v1/me/usage')).open_uploads === 0)
  assert.deepEqual((await api('/v1/uploads')).items, [])
}

async function until(holds) {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 100))
}

/** The keys of what the page keeps to open files again. */
function handles() {
  return page.evaluate(
    () =>
      new Promise((resolve, reject) => {
        const opening = indexedDB.open('strongroom')
        opening.onerror = reject
        opening.onsuccess = () => {
          const asking = opening.result.transaction('handles').objectStore('handles').getAllKeys()
          asking.onsuccess = () => resolve(asking.result)
          asking.onerror = reject
          opening.result.close()
        }
      }),
  )
}

/** Bounds what the page sends in a second. */
async function upTo(uploadThroughput) {
  await session.send('Network.enable')
  const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput }
  await session.send('Network.emulateNetworkConditions', conditions)
}

/** Waits until so many percent of all, or of one file, are sent. */
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

/** Writes bytes that differ everywhere; returns their SHA-256. */
function bigFile(name, size) {
  const bytes = Buffer.alloc(size)
  for (let at = 0; at + 4 <= size; at += 4) bytes.writeUInt32LE(Math.imul(at + size, 2654435761) >>> 0, at)
  writeFileSync(join(folder, name), bytes)
  return createHash('sha256')
    .update(readFileSync(join(folder, name)))
    .digest('hex')
}
