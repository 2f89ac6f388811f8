// Checks shared by all scripts: accessibility, no requests to other servers, no violations of the content security policy.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const TIMEOUT = 15 * 60_000
const PHONE = { width: 360, height: 640 }

/** Fails if axe-core reports a serious violation. */
export async function accessible(page, where) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE)
  // Contrast is wrong during a transition of colors. Finished, not awaited: transitions that are not visible may be suspended.
  await page.evaluate(() => {
    const moving = () => document.getAnimations().filter((animation) => animation instanceof CSSTransition)
    for (let round = 0; round < 10 && moving().length > 0; round += 1)
      for (const animation of moving()) animation.finish()
  })
  const { violations } = await page.evaluate(() => window.axe.run())
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const messages = serious.flatMap(({ id, nodes }) =>
    nodes.slice(0, 5).map((node) => `${id}: ${node.html} ${node.failureSummary}`),
  )
  assert.deepEqual(messages, [], where)
}

/** The same on a desktop and on a phone, in light and dark; and nothing is wider than the screen. */
export async function accessibleEverywhere(page, where) {
  const desktop = page.viewportSize()
  for (const size of [desktop, PHONE]) {
    await page.setViewportSize(size)
    for (const colorScheme of ['dark', 'light']) {
      await page.emulateMedia({ colorScheme })
      await accessible(page, `${where}, ${size.width} wide, ${colorScheme}`)
    }
    const wide = await page.evaluate(() => {
      const shown = document.querySelector('dialog[open] .dialog') ?? document.documentElement
      return [shown.scrollWidth, shown.clientWidth]
    })
    assert.ok(wide[0] <= wide[1], `${where}: ${wide[0]} in ${wide[1]}`)
  }
  await page.setViewportSize(desktop)
}

/** Collects errors, policy violations, and requests to other servers. */
export function violationsOf(page, base) {
  const violations = []
  page.on('pageerror', (error) => violations.push(String(error)))
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) violations.push(message.text())
  })
  page.on('request', (request) => {
    if (!/^(http|ws)/.test(request.url()) || new URL(request.url()).origin === new URL(base).origin) return
    violations.push(`a request to ${request.url()}`)
  })
  return violations
}

/** Scrolls through a list until no more pages are left. */
export async function scrollToEnd(page) {
  for (let step = 0; step < 1000; step += 1) {
    await page.locator('.scroll').evaluate((element) => element.scrollTo(0, element.scrollHeight))
    if ((await page.getByRole('button', { name: 'Show more' }).count()) === 0) return
    await page.waitForTimeout(50)
  }
  assert.fail('the list does not end')
}

/** Runs the steps. If one fails, prints the text of the page and takes a screenshot. */
export async function run(browser, page, folder, steps) {
  // Some calls have no timeout of their own; the output shows the step that hangs.
  setTimeout(() => {
    console.error(`not finished after ${TIMEOUT / 60_000} minutes`)
    process.exit(1)
  }, TIMEOUT).unref()
  try {
    await steps()
  } catch (error) {
    await page.screenshot({ path: `${folder}/failed.png` }).catch(() => {})
    console.error(page.url())
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
}
