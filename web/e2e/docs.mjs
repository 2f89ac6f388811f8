// The reference of the API: it comes from this server alone, and its policy refuses nothing of it. Arguments: the
// server's URL, a folder to work in.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { launch } from './browser.mjs'
import { attempt, complaintsOf } from './checks.mjs'

const [base, folder] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const browser = await launch()
const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.PATIENCE ?? 90_000))
const complaints = complaintsOf(page, base)
const [asked, errors] = [[], []]
page.on('request', (request) => asked.push(request.url()))
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
await page.addInitScript(() => {
  window.refused = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.refused.push(`${event.violatedDirective}: ${event.blockedURI}`)
  })
})

await attempt(browser, page, folder, async () => {
  const answer = await page.goto(`${base}/docs`)
  assert.match(answer.headers()['content-security-policy'], /^default-src 'none'; script-src 'self';/)
  await page.getByRole('heading', { name: 'Strongroom', level: 1 }).waitFor()
  // One operation, down to what it says.
  const contents = page.getByRole('complementary', { name: /^Sidebar/ })
  await contents.getByRole('button', { name: 'Open Group - links' }).click()
  await contents.getByRole('link', { name: 'Make a share link to a file' }).click()
  await page.getByText('Whoever has its URL reads the file without signing in').first().waitFor()
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox').waitFor()
  await page.keyboard.type('signed')
  await page.getByRole('option').first().waitFor()
  await page.keyboard.press('Escape')
  // Whatever is done late is done by now.
  await page.waitForLoadState('networkidle')
  assert.ok(asked.includes(`${base}/openapi.json`), asked.join(' '))
  assert.deepEqual(await page.evaluate(() => window.refused), [])
  assert.deepEqual(complaints, [])
  assert.deepEqual(errors, [])
})
