// The page below a path of its host, behind a front that removes the path. Arguments: the URL of the server, a working
// directory, the public URL. The name of the path is also a route of the page, so that a confusion would show.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, request as send } from 'node:http'
import { join } from 'node:path'
import { launch, register } from './browser.mjs'
import { run, violationsOf } from './checks.mjs'

const [, folder, base] = process.argv.slice(2)
const server = new URL(process.argv[2])
const { port, pathname, origin } = new URL(base)
mkdirSync(folder, { recursive: true })

const front = createServer((incoming, outgoing) => {
  if (!incoming.url.startsWith(`${pathname}/`)) return outgoing.writeHead(418).end()
  const { method, headers } = incoming
  const path = incoming.url.slice(pathname.length)
  const forwarded = send({ host: server.hostname, port: server.port, method, headers, path }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers)
    answer.pipe(outgoing)
  })
  forwarded.on('error', () => outgoing.destroy())
  incoming.pipe(forwarded)
})
await new Promise((listening) => front.listen(Number(port), '127.0.0.1', listening))

const browser = await launch()
const context = await browser.newContext({ acceptDownloads: true, reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.E2E_TIMEOUT ?? 90_000))
const violations = violationsOf(page, origin)
const outside = []
page.on('request', (request) => {
  const { origin: of, pathname: path } = new URL(request.url())
  if (of === origin && !path.startsWith(`${pathname}/`)) outside.push(request.url())
})

async function select(button, files) {
  const [chooser] = await Promise.all([page.waitForEvent('filechooser'), button.click()])
  await chooser.setFiles(files)
}

await run(browser, page, folder, async () => {
  await page.goto(`${base}/`)
  await register(page, `sub-${process.pid}@example.org`, 'Sub Path')
  const small = join(folder, 'note.txt')
  const large = join(folder, 'large.bin')
  writeFileSync(small, 'a note')
  writeFileSync(large, Buffer.alloc(12 * 1024 * 1024, 7))
  await select(page.getByRole('button', { name: 'Browse files' }), [small, large])
  for (const name of ['note.txt', 'large.bin']) await page.getByRole('row').filter({ hasText: name }).waitFor()

  // The preview, reloaded.
  await page.getByRole('row').filter({ hasText: 'note.txt' }).getByRole('link').click()
  await page.getByText('a note').first().waitFor()
  await page.reload()
  await page.getByText('a note').first().waitFor()

  // Every screen, by its link and reloaded.
  await page.goto(`${base}/`)
  for (const name of ['Links', 'Trash']) {
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name }).click()
    await page.getByRole('heading', { name, level: 1 }).waitFor()
    assert.equal(new URL(page.url()).pathname, `${pathname}/${name.toLowerCase()}`)
    await page.reload()
    await page.getByRole('heading', { name, level: 1 }).waitFor()
  }
  await page.goto(`${base}/files/none`)
  await page.getByRole('link', { name: 'Files' }).first().click()
  await page.getByRole('row').filter({ hasText: 'note.txt' }).waitFor()
  assert.equal(new URL(page.url()).pathname, `${pathname}/`)

  await page.goto(`${base}/docs`)
  await page.getByRole('heading', { name: 'Strongroom', level: 1 }).waitFor()

  // What the API says about itself.
  const { items } = await (await context.request.get(`${base}/v1/files`)).json()
  const created = await context.request.post(`${base}/v1/files/${items[0].id}/links`, { data: {} })
  const link = await created.json()
  assert.ok(link.url.startsWith(`${base}/l/`), link.url)
  assert.equal((await context.request.get(link.url)).status(), 200)
  const uploaded = await context.request.post(`${base}/v1/files?name=more.txt`, { data: 'more' })
  assert.ok(uploaded.headers().location.startsWith(`${base}/v1/files/`), uploaded.headers().location)
  const moved = await context.request.get(`${base}/v1/files/`, { maxRedirects: 0 })
  assert.equal(moved.headers().location, `${base}/v1/files`)
  assert.deepEqual(outside, [])
  // Large files go straight to the bucket, if there is one.
  assert.deepEqual(
    violations.filter((text) => !text.includes('X-Amz-Signature=')),
    [],
  )
})
front.closeAllConnections()
front.close()
