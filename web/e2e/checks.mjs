// What every script of the tests sees to beside its own steps: that nobody is shut out, and that nothing leaves this
// server or is refused by the page's own policy.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'

const AXE = readFileSync(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const GIVE_UP = 15 * 60_000
const PHONE = { width: 360, height: 640 }

/** What axe-core holds against the page as it is, if it is serious. */
export async function accessible(page, where) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(AXE)
  // Half-way from one colour to the next no contrast is right. They are not waited for: what is out of sight may stand still.
  await page.evaluate(() => {
    const moving = () => document.getAnimations().filter((animation) => animation instanceof CSSTransition)
    for (let turn = 0; turn < 10 && moving().length > 0; turn += 1) for (const animation of moving()) animation.finish()
  })
  const { violations } = await page.evaluate(() => window.axe.run())
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
  const told = serious.flatMap(({ id, nodes }) =>
    nodes.slice(0, 5).map((node) => `${id}: ${node.html} ${node.failureSummary}`),
  )
  assert.deepEqual(told, [], where)
}

/** The same on a desk and on a phone, in light and in dark; and nothing is wider than a phone. */
export async function accessibleEverywhere(page, where) {
  const desk = page.viewportSize()
  for (const size of [desk, PHONE]) {
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
  await page.setViewportSize(desk)
}

/** Gathers what must not happen: errors, refusals of a policy, requests to anybody else. */
export function complaintsOf(page, base) {
  const complaints = []
  page.on('pageerror', (error) => complaints.push(String(error)))
  page.on('console', (message) => {
    if (/Content Security Policy|Refused to/.test(message.text())) complaints.push(message.text())
  })
  page.on('request', (request) => {
    if (!/^(http|ws)/.test(request.url()) || new URL(request.url()).origin === new URL(base).origin) return
    complaints.push(`a request to ${request.url()}`)
  })
  return complaints
}

/** Scrolls through a trail until it says that there is no more. */
export async function scrollToTheEnd(page) {
  for (let turn = 0; turn < 1000; turn += 1) {
    await page.locator('.scroll').evaluate((element) => element.scrollTo(0, element.scrollHeight))
    if (await page.getByText('That is all.').isVisible()) return
    await page.waitForTimeout(50)
  }
  assert.fail('the trail has no end')
}

/** Runs the steps; what was seen last goes to the test if one of them fails. */
export async function attempt(browser, page, folder, steps) {
  // What is asked of a page has no time limit by itself; without an end nobody would read which step it was.
  setTimeout(() => {
    console.error(`no end after ${GIVE_UP / 60_000} minutes`)
    process.exit(1)
  }, GIVE_UP).unref()
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
