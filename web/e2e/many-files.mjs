// Measures the page with many files, and the bytes of its first load. Arguments: the URL of the server, how many files, and the account that has
// them in its folder `many` already, if any. Prints figures; docs/web.md has the results.
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
let transferred = 0
session.on('Network.loadingFinished', ({ encodedDataLength }) => {
  transferred += encodedDataLength
})
let started = performance.now()
await page.goto(base)
await page.getByRole('button', { name: 'Sign in' }).waitFor()
console.log(
  `first screen: ${Math.round(performance.now() - started)} ms, ${(transferred / 1000).toFixed(1)} kB transferred`,
)

if (account) {
  await page.getByLabel('Email').fill(account)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Files', exact: true }).waitFor()
} else {
  await register(page, `many-${Date.now()}@example.org`, 'Many Files')
  started = performance.now()
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
  console.log(`${COUNT} files created in ${Math.round((performance.now() - started) / 1000)} s`)
}

started = performance.now()
await page.goto(`${base}/files/many`)
await page.getByRole('row').nth(5).waitFor()
console.log(`folder: ${Math.round(performance.now() - started)} ms until rows are visible`)

// Scrolls to the end with every frame, and records the duration of each, including those in which a page is loaded.
const scrolled = await page.evaluate(async (rows) => {
  const grid = document.querySelector('.grid')
  const frames = []
  let maximum = 0
  let last = performance.now()
  const started = last
  while (performance.now() - started < 60_000) {
    grid.scrollTop += 3000
    await new Promise(requestAnimationFrame)
    const now = performance.now()
    frames.push(now - last)
    last = now
    maximum = Math.max(maximum, document.querySelectorAll('.row').length)
    if (grid.scrollTop + grid.clientHeight >= rows * 46) break
  }
  frames.sort((a, b) => a - b)
  const at = (share) => Math.round(frames[Math.floor(frames.length * share)] ?? 0)
  const end = document.querySelector('.row:last-child')?.getAttribute('aria-rowindex')
  return { frames: frames.length, median: at(0.5), p99: at(0.99), worst: Math.round(frames.at(-1)), maximum, end }
}, COUNT)
console.log(
  `scrolled to row ${scrolled.end}: ${scrolled.frames} frames, median ${scrolled.median} ms, 99th percentile ${scrolled.p99} ms, worst ${scrolled.worst} ms; at most ${scrolled.maximum} rows in the document`,
)
await browser.close()
