// The main workflow of a user, in a real browser against the real server. Arguments: the URL of the server, a working
// directory. Prints `restart` to have the server killed and started again, and waits for a line.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { launch, register } from './browser.mjs'
import { accessible } from './checks.mjs'
import { pdf, png } from './samples.mjs'

const [base, folder] = process.argv.slice(2)
const MIB = 1024 * 1024
const SIZE = 300 * MIB + 17

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const browser = await launch()
const context = await browser.newContext({ acceptDownloads: true, reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(90_000)
const violations = []
const elsewhere = []
page.on('pageerror', (error) => violations.push(String(error)))
page.on('console', (message) => {
  if (/Content Security Policy|Refused to/.test(message.text())) violations.push(message.text())
})
page.on('request', (request) => {
  if (/^(http|ws)/.test(request.url()) && !request.url().startsWith(base)) elsewhere.push(request.url())
})

async function select(button, files) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button.click()])
  await chooser.setFiles(files)
}
const uploads = page.getByRole('complementary', { name: 'Uploads' })
const named = (name) => page.getByRole('row').filter({ hasText: name })
const api = async (path) => (await context.request.get(base + path)).json()
const step = (text) => console.error(`page: ${text}`)

try {
  step('register')
  await page.goto(base)
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  await accessible(page, 'sign-in')
  await page.getByLabel('Email').fill('nobody@example.org')
  await page.getByLabel('Password').fill('wrong wrong wrong')
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('alert').getByText('Wrong email or password.').waitFor()
  await register(page, `page-${process.pid}@example.org`, 'Paige Turner')
  await page.waitForLoadState('networkidle')
  const sizes = await page.evaluate(() =>
    ['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind).map((entry) => entry.transferSize)),
  )
  const sum = sizes.reduce((one, other) => one + other, 0)
  assert.ok(sum > 0 && sum <= 200_000, `the first load is ${sum} bytes`)
  await accessible(page, 'no files')

  step('100 files')
  mkdirSync(folder, { recursive: true })
  const small = Array.from({ length: 97 }, (_, index) => {
    const path = join(folder, `note ${index}.txt`)
    writeFileSync(path, `This is note ${index}.\n`.repeat(index + 1))
    return path
  })
  for (const [name, bytes] of [
    ['leaf.png', png()],
    ['letter.pdf', pdf()],
    ['empty.bin', ''],
  ]) {
    writeFileSync(join(folder, name), bytes)
    small.push(join(folder, name))
  }
  await select(page.getByRole('button', { name: 'Browse files' }), small)
  await uploads.getByText('100 files uploaded').first().waitFor()
  await page.getByRole('main').getByText('100 files', { exact: true }).waitFor()
  await accessible(page, 'a list of files and uploads')

  step('a large file, across a restart and a reload')
  const big = join(folder, 'big.bin')
  const hash = bigFile(big)
  // Slow enough to interrupt it.
  await limitUpload(80 * MIB)
  await select(page.getByRole('button', { name: 'Upload', exact: true }), big)
  await sentAtLeast(20)
  console.log('restart')
  await lines.next()
  await sentAtLeast(40)
  await uploads.getByRole('button', { name: 'Pause all' }).click()
  await uploads.getByText('1 upload paused').waitFor()
  const before = await sentPercent()
  page.once('dialog', (dialog) => dialog.accept())
  await page.reload()
  const again = uploads.getByRole('button', { name: 'Select file to resume' })
  await again.waitFor()
  const kept = Number(/at (\d+)/.exec(await uploads.innerText())[1])
  assert.ok(kept > 20 && kept >= before - 20, `${kept} percent of ${before} were kept`)
  await accessible(page, 'an interrupted upload')
  await limitUpload(-1)
  await select(again, big)
  await uploads.getByText('1 file uploaded').first().waitFor({ timeout: 240_000 })
  const [stored] = (await api('/v1/files?q=big.bin')).items
  assert.equal(stored.sha256, hash)
  await uploads.getByRole('button', { name: 'Close uploads' }).click()

  step('search')
  await page.keyboard.press('/')
  await page.keyboard.type('NOTE 42')
  await page.getByText('1 file found').waitFor()
  await accessible(page, 'search')
  await named('note 42.txt').getByRole('link').click()
  const preview = page.getByRole('dialog')
  await preview.getByText('This is note 42.').waitFor()
  await accessible(page, 'a text')
  await page.keyboard.press('Escape')
  await preview.waitFor({ state: 'detached' })
  await page.waitForURL((url) => !url.searchParams.has('open'))
  await page.goto(base)

  step('preview')
  await named('leaf.png').getByRole('link').click()
  await page.waitForFunction(() => document.querySelector('.stage img')?.naturalWidth > 0)
  await accessible(page, 'a picture')
  await page.keyboard.press('ArrowRight')
  await preview.getByRole('img', { name: 'Page 1' }).waitFor()
  await page.waitForFunction(() => {
    const canvas = document.querySelector('canvas')
    const pixels = canvas?.width && canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
    return pixels?.some?.((value, index) => index % 4 === 0 && value < 128)
  })
  await page.goBack()
  await preview.waitFor({ state: 'detached' })

  step('keyboard')
  const rows = page.getByRole('grid')
  await rows.focus()
  await page.keyboard.press('Home')
  await page.keyboard.press('Shift+ArrowDown')
  await page.keyboard.press('Shift+ArrowDown')
  await page.getByText('3 selected').waitFor()
  await accessible(page, 'a selection')
  await page.keyboard.press('Escape')
  await page.keyboard.press('End')
  await page.keyboard.press('F2')
  await page.getByLabel('Name', { exact: true }).fill('renamed.txt')
  await page.keyboard.press('Enter')
  await named('renamed.txt').waitFor()

  step('move')
  await named('renamed.txt')
    .getByRole('button', { name: /Actions/ })
    .click()
  await accessible(page, 'a menu')
  await page.getByRole('menuitem', { name: 'Move…' }).click()
  await accessible(page, 'a dialog')
  await page.getByLabel('New folder').fill('archive')
  await page.getByRole('button', { name: 'Move here' }).click()
  await page.getByText('Moved to archive').waitFor()
  // The list is read again after that. Its first row may be out of view.
  await page.getByText(/^1 folder, \d+ files$/).waitFor()
  await rows.focus()
  await page.keyboard.press('Home')
  await page.keyboard.press('Delete')
  await page.getByText('“archive” and its 1 file will move to trash.').waitFor()
  await page.getByRole('button', { name: 'Cancel' }).click()
  await named('archive').getByRole('link').click()
  await named('renamed.txt').waitFor()
  assert.equal(new URL(page.url()).pathname, '/files/archive')

  step('delete and restore')
  await named('renamed.txt').waitFor()
  await rows.focus()
  await page.keyboard.press('Delete')
  await page.getByText('This folder is empty').waitFor()
  await page.getByRole('button', { name: 'Undo' }).click()
  await named('renamed.txt').waitFor()
  await rows.focus()
  await page.keyboard.press('Delete')
  await page.getByText('This folder is empty').waitFor()
  await page.getByRole('link', { name: 'Trash' }).click()
  await page.getByText('renamed.txt', { exact: true }).waitFor()
  await accessible(page, 'the trash')
  await page.getByRole('button', { name: 'Restore renamed.txt' }).click()
  await page.getByText('Trash is empty').waitFor()
  await page.getByRole('button', { name: 'Show' }).click()
  await named('renamed.txt').waitFor()

  step('a link, opened by a visitor, and removed')
  await named('renamed.txt').getByRole('link').click()
  await preview.getByRole('button', { name: 'Share' }).click()
  await page.getByText('Link settings').click()
  await page.getByLabel('Password', { exact: true }).fill('violet tractor')
  await page.getByLabel('Download limit').fill('3')
  await accessible(page, 'a new link')
  await page.getByRole('button', { name: 'Create link' }).click()
  const url = await page.getByLabel('URL', { exact: true }).inputValue()
  await accessible(page, 'a link')
  const visitor = await (await browser.newContext()).newPage()
  await visitor.goto(url)
  await visitor.getByLabel('Password').fill('violet tractor')
  await visitor.getByRole('button').click()
  const [got] = await Promise.all([
    visitor.waitForEvent('download'),
    visitor.getByRole('button', { name: 'Download' }).click(),
  ])
  assert.match(readFileSync(await got.path(), 'utf8'), /^This is note/)
  await page.goto(`${base}/links`)
  await page.getByRole('link', { name: 'renamed.txt' }).waitFor()
  await accessible(page, 'the links')
  await page.getByRole('button', { name: 'Remove link' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Remove link' }).click()
  await page.getByText('removed', { exact: true }).waitFor()
  assert.ok((await visitor.goto(url)).status() >= 400, 'a removed link does not work')

  step('account')
  await page.getByRole('link', { name: 'Paige Turner' }).click()
  await page.getByText('This device').waitFor()
  await accessible(page, 'the account')
  await page.getByRole('button', { name: 'New token' }).click()
  await page.getByRole('dialog').getByLabel('Name').fill('backup')
  await page.getByRole('button', { name: 'Create token' }).click()
  assert.match(await page.getByLabel('Token', { exact: true }).inputValue(), /^srk_/)
  await page.keyboard.press('Escape')
  await page.getByLabel('Theme').selectOption('dark')
  await page.emulateMedia({ colorScheme: 'light' })
  await accessible(page, 'the account, dark')
  await page.goto(base)
  await page.getByRole('heading', { name: 'Files', exact: true }).waitFor()
  await accessible(page, 'files, dark')

  step('on a phone')
  await page.setViewportSize({ width: 360, height: 640 })
  for (const place of ['/', '/account', `/?open=${stored.id}`]) {
    await page.goto(base + place)
    await page
      .locator(place === '/' ? '.row' : '.card, .stage .state')
      .first()
      .waitFor()
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.ok(width <= 360, `${place} is ${width} wide`)
    await accessible(page, `${place} on a phone`)
  }

  step('sign out')
  const bucket = (await api('/v1/capabilities')).direct_uploads_to
  assert.deepEqual(
    elsewhere.filter((url) => !bucket || !url.startsWith(`${bucket}/`)),
    [],
  )
  assert.equal(elsewhere.length > 0, bucket !== null, 'a large file goes directly to the bucket')
  await page.goto(`${base}/account`)
  await page.getByRole('button', { name: 'Sign out' }).click()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  assert.equal((await context.request.get(`${base}/v1/me`)).status(), 401)
  assert.deepEqual(violations, [])
} catch (error) {
  await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => {})
  console.error(violations.join('\n'))
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

/** Limits the bytes that the page sends per second. */
async function limitUpload(uploadThroughput) {
  const session = await context.newCDPSession(page)
  await session.send('Network.enable')
  const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput }
  await session.send('Network.emulateNetworkConditions', conditions)
}

async function sentPercent() {
  return Number(/(\d+)\s?%/.exec(await uploads.innerText())?.[1] ?? 0)
}

async function sentAtLeast(percent) {
  await page.waitForFunction(
    (least) => {
      const bar = document.querySelector('.uploads > progress')
      return bar && (100 * bar.value) / bar.max >= least
    },
    percent,
    { timeout: 240_000 },
  )
}

/** Writes a file without repetition. Returns its SHA-256. */
function bigFile(path) {
  const file = openSync(path, 'w')
  const hash = createHash('sha256')
  const block = Buffer.alloc(MIB)
  for (let at = 0; at < block.length; at += 1) block[at] = (at * 2654435761) >>> 24
  for (let at = 0; at < SIZE; at += MIB) {
    block.writeUInt32LE(at / MIB, 0)
    const part = block.subarray(0, Math.min(MIB, SIZE - at))
    hash.update(part)
    writeSync(file, part)
  }
  return hash.digest('hex')
}
