// How the page does with many files, and how much of it goes over the wire. Arguments: the server's URL, how many files, and the account that has
// them in its folder `many` already, if one has.
// Prints figures; docs/web.md tells what they were.
import assert from 'node:assert/strict'
import { launch, PASSWORD, register } from './browser.mjs'

const [base, many = '50000', account] = process.argv.slice(2)
const COUNT = Number(many)
const browser = await launch()
const context = await browser.newContext({ viewport: { width: 1280, height: 800 } })
const page = await context.newPage()

// The first screen, with nothing in any cache.
const session = await context.newCDPSession(page)
await session.send('Network.enable')
let wire = 0
session.on('Network.loadingFinished', ({ encodedDataLength }) => {
  wire += encodedDataLength
})
let begun = performance.now()
await page.goto(base)
await page.getByRole('button', { name: 'Sign in' }).waitFor()
console.log(`first screen: ${Math.round(performance.now() - begun)} ms, ${(wire / 1000).toFixed(1)} kB on the wire`)

if (account) {
  await page.getByLabel('E-mail address').fill(account)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Files' }).waitFor()
} else {
  await register(page, `crowd-${Date.now()}@example.org`, 'Crowd')
  begun = performance.now()
  const names = Array.from({ length: COUNT }, (_, index) => `file ${String(index).padStart(6, '0')}.txt`)
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let name = names.pop(); name; name = names.pop()) {
        const answer = await context.request.post(`${base}/v1/files?path=many&name=${encodeURIComponent(name)}`, {
          headers: { 'content-type': 'application/octet-stream' },
          data: Buffer.from(name),
        })
        assert.equal(answer.status(), 201)
      }
    }),
  )
  console.log(`${COUNT} files made in ${Math.round((performance.now() - begun) / 1000)} s`)
}

begun = performance.now()
await page.goto(`${base}/files/many`)
await page.getByRole('row').nth(5).waitFor()
console.log(`their folder: ${Math.round(performance.now() - begun)} ms until rows are seen`)

// Scrolls as fast as frames come, to the very end; every frame's time counts, and every page that comes in between.
const scrolled = await page.evaluate(async (rows) => {
  const grid = document.querySelector('.grid')
  const frames = []
  let most = 0
  let last = performance.now()
  const begun = last
  while (performance.now() - begun < 60_000) {
    grid.scrollTop += 3000
    await new Promise(requestAnimationFrame)
    const now = performance.now()
    frames.push(now - last)
    last = now
    most = Math.max(most, document.querySelectorAll('.row').length)
    if (grid.scrollTop + grid.clientHeight >= rows * 46) break
  }
  frames.sort((a, b) => a - b)
  const at = (share) => Math.round(frames[Math.floor(frames.length * share)] ?? 0)
  const end = document.querySelector('.row:last-child')?.getAttribute('aria-rowindex')
  return { frames: frames.length, median: at(0.5), p99: at(0.99), worst: Math.round(frames.at(-1)), most, end }
}, COUNT)
console.log(
  `scrolled to row ${scrolled.end}: ${scrolled.frames} frames, median ${scrolled.median} ms, 99th of 100 ${scrolled.p99} ms, worst ${scrolled.worst} ms; at most ${scrolled.most} rows in the page`,
)
await browser.close()
