// Creates the pictures in docs/. Argument: the URL of a server without accounts.
import { mkdirSync } from 'node:fs'
import { launch, register } from './browser.mjs'
import { pdf, png } from './samples.mjs'

const [base, docs = new URL('../../docs/pictures', import.meta.url).pathname] = process.argv.slice(2)
mkdirSync(docs, { recursive: true })
const browser = await launch()
const context = await browser.newContext({
  viewport: { width: 1120, height: 700 },
  reducedMotion: 'reduce',
  locale: 'en-GB',
})
const page = await context.newPage()
const shot = async (name) => {
  await page.mouse.move(0, 0)
  await page.waitForTimeout(400)
  await page.screenshot({ path: `${docs}/${name}.png` })
}
const put = (path, name, data, type = 'application/octet-stream') =>
  context.request.post(`${base}/v1/files?path=${encodeURIComponent(path)}&name=${encodeURIComponent(name)}`, {
    headers: { 'content-type': type },
    data,
  })

await page.goto(base)
await register(page, 'ann@example.org', 'Ann Example')
const hills = (x, y) => {
  const ridge = 150 + 40 * Math.sin(x / 47) + 22 * Math.sin(x / 19 + 1)
  if (y > ridge + 60) return [28, 74, 66]
  if (y > ridge) return [52, 116, 102]
  const sky = y / 260
  return [236 - 60 * sky, 214 - 20 * sky, 176 + 40 * sky].map(Math.round)
}
await put('Photos/Summer', 'lake at dusk.png', png(480, 300, hills))
await put('Photos', 'hills.png', png(480, 300, hills))
await put('', 'hills.png', png(480, 300, hills))
await put('Contracts/2026', 'Lease.pdf', pdf('Lease'))
await put('Music', 'demo.txt', 'la la la')
const letter = 'Dear Rosalind,\n\nthe key is where it always was.\nNobody else can read this.\n\nAnn'
await put('', 'Letter to Rosalind.pdf', pdf(letter))
await put('', 'Household budget.csv', 'month,rent,food\n'.repeat(900), 'text/csv')
await put('', 'Recipe collection.md', '# Recipes\n'.repeat(2000), 'text/markdown')
await put('', 'Passport scan.png', png(320, 220))
await put('', 'notes.txt', 'Remember the milk.\n'.repeat(30), 'text/plain')
await put('', 'backup-2026-11-01.tar', Buffer.alloc(3_400_000, 7))
await put('', 'Old drafts.txt', 'x', 'text/plain')
await page.goto(base)
await page.getByText('notes.txt').waitFor()

// An upload in progress.
const session = await context.newCDPSession(page)
await session.send('Network.enable')
await session.send('Network.emulateNetworkConditions', {
  offline: false,
  latency: 0,
  downloadThroughput: -1,
  uploadThroughput: 2_500_000,
})
const [chooser] = await Promise.all([
  page.waitForEvent('filechooser'),
  page.getByRole('button', { name: 'Upload', exact: true }).click(),
])
await chooser.setFiles([
  { name: 'wedding film.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(24_000_000, 1) },
  { name: 'scans.zip', mimeType: 'application/zip', buffer: Buffer.alloc(9_000_000, 2) },
])
await page.waitForTimeout(4500)
await shot('files')
await page.getByRole('complementary', { name: 'Uploads' }).getByRole('button', { name: 'Pause all' }).click()
await page.emulateMedia({ colorScheme: 'dark' })
await page.getByRole('grid').focus()
await page.keyboard.press('Home')
await page.keyboard.press('ArrowDown')
await page.keyboard.press('ArrowDown')
await page.keyboard.press('ArrowDown')
await page.keyboard.press('Space')
await page.keyboard.press('Shift+ArrowDown')
await shot('files-dark')
page.on('dialog', (dialog) => dialog.accept())
await page.goto(base)
await page.getByRole('link', { name: 'Letter to Rosalind.pdf' }).click()
await page.getByRole('img', { name: 'Page 1' }).waitFor()
await shot('preview-dark')
await page.emulateMedia({ colorScheme: 'light' })
await page.getByRole('button', { name: 'Share' }).click()
await page.getByText('Link settings').click()
await shot('share')
await page.goto(base)
for (const name of ['wedding film.mp4', 'scans.zip'])
  await page.getByRole('button', { name: `Discard upload of ${name}` }).click()
await page.setViewportSize({ width: 360, height: 640 })
await page.getByText('notes.txt').waitFor()
await shot('phone')
await page.emulateMedia({ colorScheme: 'dark' })
await page.getByRole('link', { name: 'hills.png' }).click()
await page.waitForFunction(() => document.querySelector('.stage img')?.naturalWidth > 0)
await shot('phone-dark')
await browser.close()
