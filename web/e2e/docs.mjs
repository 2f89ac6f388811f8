// The API reference: everything it loads comes from this server and is allowed by the content security policy.
// Arguments: the URL of the server, a working directory.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { launch } from './browser.mjs'
import { run, violationsOf } from './checks.mjs'

const [base, folder] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const browser = await launch()
const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.E2E_TIMEOUT ?? 90_000))
const violations = violationsOf(page, base)
const [requested, errors] = [[], []]
page.on('request', (request) => requested.push(request.url()))
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()))
await page.addInitScript(() => {
  window.blocked = []
  document.addEventListener('securitypolicyviolation', (event) => {
    window.blocked.push(`${event.violatedDirective}: ${event.blockedURI}`)
  })
})

await run(browser, page, folder, async () => {
  const answer = await page.goto(`${base}/docs`)
  assert.match(answer.headers()['content-security-policy'], /^default-src 'none'; script-src 'self';/)
  await page.getByRole('heading', { name: 'Strongroom', level: 1 }).waitFor()
  // One operation: its name in the menu, its description in the text.
  const { paths } = await (await context.request.get(`${base}/openapi.json`)).json()
  const { summary, description } = paths['/v1/files/{id}/links'].post
  const contents = page.getByRole('complementary', { name: /^Sidebar/ })
  await contents.getByRole('button', { name: 'Open Group - links' }).click()
  await contents.getByRole('link', { name: summary }).click()
  await page
    .getByText(description.split(/[.`\n]/)[0])
    .first()
    .waitFor()
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox').waitFor()
  await page.keyboard.type('signed')
  await page.getByRole('option').first().waitFor()
  await page.keyboard.press('Escape')
  // Includes what is loaded late.
  await page.waitForLoadState('networkidle')
  assert.ok(requested.includes(`${base}/openapi.json`), requested.join(' '))
  assert.deepEqual(await page.evaluate(() => window.blocked), [])
  assert.deepEqual(violations, [])
  assert.deepEqual(errors, [])
})
