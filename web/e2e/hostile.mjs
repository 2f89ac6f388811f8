// Files that try to run a script, uploaded and opened in every way that the page and direct URLs allow. Arguments: the
// URL of the server, a working directory.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { launch, register } from './browser.mjs'
import { pdf, png } from './samples.mjs'

const [base, folder] = process.argv.slice(2)
/** The script they try to run: sets a mark and sends a request with the user's session. */
const EVIL = `window.top.pwned=1;document.title='pwned';fetch('/v1/me?pwned');alert('pwned')`
const script = `<script>${EVIL}</script>`

const FILES = {
  'page.html': `<!doctype html><title>x</title>${script}<img src=x onerror="${EVIL}"><form action="/v1/auth/logout" method=post></form>`,
  'page.htm': `<body onload="${EVIL}">`,
  'page.xhtml': `<html xmlns="http://www.w3.org/1999/xhtml"><head>${script}</head></html>`,
  'picture.svg': `<svg xmlns="http://www.w3.org/2000/svg" onload="${EVIL}">${script}</svg>`,
  'picture-with-head.svg': `<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script href="data:text/javascript,${encodeURIComponent(EVIL)}"/></svg>`,
  'data.xml': `<?xml version="1.0"?><a xmlns:h="http://www.w3.org/1999/xhtml"><h:script>${EVIL}</h:script></a>`,
  'sheet.xml': `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="data:text/xsl,x"?><a>${script}</a>`,
  'plain.txt': `${script}<img src=x onerror="${EVIL}">`,
  'readme.md': `[x](javascript:${EVIL})${script}`,
  'table.csv': `=cmd|' /C calc'!A0,${script}`,
  'script.js': EVIL,
  'not-a-picture.png': `<html>${script}</html>`,
  'both.gif': `GIF89a/*${'\0'.repeat(8)}*/=1;${EVIL}//${script}`,
  'both.png': Buffer.concat([png(8, 8), Buffer.from(script)]),
  'both.jpg': Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe0]), Buffer.from(`JFIF*/=1;${EVIL}/*${script}`)]),
  'letter.pdf': pdf(
    'x',
    `/OpenAction << /S /JavaScript /JS (app.alert\\('pwned'\\);${EVIL.replace(/[()]/g, '\\$&')}) >>`,
  ),
  'both.pdf': Buffer.concat([Buffer.from(`%PDF-1.4\n<html>${script}</html>\n`), pdf()]),
  'mail.mht': `MIME-Version: 1.0\nContent-Type: text/html\n\n<html>${script}</html>`,
  '<img src=x onerror=alert(1)>.txt': 'a name that is a tag',
  '"><script>alert(1)<.txt': 'a name that ends an attribute',
}

const browser = await launch()
const context = await browser.newContext({ acceptDownloads: true, reducedMotion: 'reduce' })
const ran = []
context.on('page', watch)
const page = await context.newPage()
page.setDefaultTimeout(90_000)

function watch(tab) {
  tab.on('dialog', (dialog) => {
    if (dialog.type() !== 'beforeunload') ran.push(`${tab.url()}: ${dialog.message()}`)
    void dialog.dismiss()
  })
  tab.on('request', (request) => {
    if (request.url().includes('pwned')) ran.push(`${tab.url()} asked for ${request.url()}`)
  })
}

async function unharmed(tab, where) {
  await tab.waitForTimeout(60)
  const marks = await Promise.all(
    tab.frames().map((frame) => frame.evaluate(() => [window.pwned, document.title]).catch(() => [])),
  )
  for (const [mark, title] of marks) if (mark || title === 'pwned') ran.push(where)
}

try {
  await page.goto(base)
  await register(page, `hostile-${process.pid}@example.org`, '<b>Mallory</b>')
  mkdirSync(folder, { recursive: true })
  const paths = Object.entries(FILES).map(([name, bytes]) => {
    writeFileSync(join(folder, name), bytes)
    return join(folder, name)
  })
  const [chooser] = await Promise.all([
    page.waitForEvent('filechooser'),
    page.getByRole('button', { name: 'Browse files' }).click(),
  ])
  await chooser.setFiles(paths)
  await page.getByText(`${paths.length} files uploaded`).first().waitFor()
  await page.getByRole('button', { name: 'Close uploads' }).click()

  const { items } = await (await context.request.get(`${base}/v1/files`)).json()
  assert.equal(items.length, paths.length)
  for (const file of items) {
    await page.goto(`${base}/?open=${file.id}`)
    const preview = page.locator('dialog.preview')
    await preview.getByRole('link', { name: 'Download' }).first().waitFor()
    await page.waitForTimeout(100)
    await unharmed(page, `the preview of ${file.name}`)

    const [download] = await Promise.all([
      page.waitForEvent('download'),
      preview.getByRole('link', { name: 'Download' }).first().click(),
    ])
    await download.cancel()
    for (const button of ['Share', 'Rename']) {
      await preview.getByRole('button', { name: button }).click()
      await page
        .getByRole('dialog')
        .filter({ has: page.getByRole('button', { name: 'Cancel' }) })
        .waitFor()
      await unharmed(page, `${button} of ${file.name}`)
      await page.getByRole('button', { name: 'Cancel' }).first().click()
    }

    // URLs that can be typed, or received from someone.
    const content = `${base}/v1/files/${file.id}/content`
    const signed = await context.request.post(`${base}/v1/files/${file.id}/signed-urls`, {
      data: { operation: 'get', inline: true },
    })
    for (const address of [content, `${content}?via=proxy`, (await signed.json()).url]) {
      const answer = await context.request.get(address, { maxRedirects: 0 })
      if (answer.status() === 200) {
        const { 'content-type': type, 'content-disposition': disposition, ...headers } = answer.headers()
        if (address.startsWith(base)) assert.match(headers['content-security-policy'], /sandbox/, address)
        const isShown = !disposition?.startsWith('attachment')
        assert.ok(!isShown || !/html|svg|xml|javascript|pdf/.test(type), `${file.name} is displayed as ${type}`)
      }
      const tab = await context.newPage()
      // A download makes the navigation fail.
      await tab.goto(address).catch(() => {})
      // The PDF viewer of the browser takes a while to start.
      if (file.name.endsWith('.pdf')) await tab.waitForTimeout(2000)
      await unharmed(tab, address)
      await tab.close()
    }
  }
  await page.goto(`${base}/account`)
  await page.getByText('<b>Mallory</b>').first().waitFor()
  await unharmed(page, 'the account')
  assert.deepEqual(ran, [])
} catch (error) {
  await page.screenshot({ path: join(folder, 'failed.png') }).catch(() => {})
  throw error
} finally {
  await browser.close()
}
process.exit(0)
