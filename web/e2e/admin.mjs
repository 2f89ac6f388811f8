// The workflow of admins, starting with a server without accounts, and the deletion of accounts. Arguments: the URL of
// the server, a working directory. Prints `admin` to have an admin created on the command line, `damage` to have stored
// files damaged, and waits for a line.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { launch, PASSWORD, register } from './browser.mjs'
import { accessibleEverywhere, run, scrollToEnd, violationsOf } from './checks.mjs'

const [base, folder] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const browser = await launch()
const options = { reducedMotion: 'reduce', locale: 'en-GB' }
const context = await browser.newContext(options)
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.E2E_TIMEOUT ?? 90_000))
const violations = violationsOf(page, base)
const step = (text) => console.error(`admin: ${text}`)
const dialog = page.getByRole('dialog')
const user = (name) => page.getByRole('listitem').filter({ hasText: name })

async function act(name, item) {
  await user(name)
    .getByRole('button', { name: /Actions/ })
    .click()
  await page.getByRole('menuitem', { name: item }).click()
}

/** The password that the test sets on the command line. */
const FIRST_PASSWORD = 'seven quiet herons measure rain'

async function signIn(tab, email, password = PASSWORD) {
  await tab.goto(base)
  await tab.getByLabel('Email').fill(email)
  await tab.getByLabel('Password').fill(password)
  await tab.getByRole('button', { name: 'Sign in' }).click()
}

await run(browser, page, folder, async () => {
  step('no accounts')
  await page.goto(base)
  await page.getByText('This server has no accounts yet.').waitFor()
  await page.getByText('strongroom user add you@example.com --admin').waitFor()
  await accessibleEverywhere(page, 'no accounts')
  console.log('admin')
  await lines.next()
  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  await page.waitForLoadState('networkidle')
  assert.equal(await page.getByText('This server has no accounts yet.').count(), 0)

  step('another user')
  const others = await browser.newContext(options)
  const uma = await others.newPage()
  uma.setDefaultTimeout(Number(process.env.E2E_TIMEOUT ?? 90_000))
  const umaViolations = violationsOf(uma, base)
  await uma.goto(base)
  await register(uma, 'uma@example.org', 'Uma User')
  const put = async (name, size) => {
    const answer = await others.request.post(`${base}/v1/files?name=${name}`, { data: Buffer.alloc(size, 7) })
    return [answer.status(), (await answer.json()).code]
  }
  assert.deepEqual(await put('first.bin', 3000), [201, undefined])
  await uma.goto(`${base}/admin`)
  await uma.getByRole('heading', { name: 'Admins only' }).waitFor()

  step('users')
  await signIn(page, 'boss@example.org', FIRST_PASSWORD)
  await page.getByRole('heading', { name: 'Set a new password' }).waitFor()
  await accessibleEverywhere(page, 'a password that must be changed')
  await page.reload()
  await page.getByLabel('Current password').fill(FIRST_PASSWORD)
  await page.getByLabel('New password').fill(FIRST_PASSWORD)
  await page.getByRole('button', { name: 'Change password' }).click()
  await page.getByRole('alert').getByText('differs from the current one').waitFor()
  await page.getByLabel('New password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Change password' }).click()
  await page.getByRole('link', { name: 'Admin' }).click()
  await user('uma@example.org').getByText('1 file').waitFor()
  await accessibleEverywhere(page, 'users')

  step('a quota takes effect')
  await act('Uma User', 'Change quota…')
  await dialog.getByLabel('Gigabytes').fill('many')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.getByRole('alert').getByText('is not a number').waitFor()
  await accessibleEverywhere(page, 'a quota')
  await dialog.getByLabel('Gigabytes').fill('0,000005')
  assert(await dialog.getByRole('group', { name: 'Storage' }).getByLabel('Custom').isChecked())
  await dialog.getByLabel('Maximum files').fill('7')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await user('uma@example.org').getByText('of 7').waitFor()
  assert.deepEqual(await put('second.bin', 3000), [507, 'quota_exceeded'])
  await uma.goto(base)
  await uma.getByText('1 of 7 files').waitFor()

  step('disabled, and enabled again')
  await act('Uma User', 'Disable…')
  await accessibleEverywhere(page, 'confirmation before a user is disabled')
  await dialog.getByRole('button', { name: 'Disable' }).click()
  await user('uma@example.org').getByText('disabled', { exact: true }).waitFor()
  await uma.reload()
  await uma.getByRole('button', { name: 'Sign in' }).waitFor()
  await signIn(uma, 'uma@example.org')
  await uma.getByRole('alert').getByText('Wrong email or password.').waitFor()
  await act('Uma User', 'Enable')
  await user('uma@example.org').getByText('disabled', { exact: true }).waitFor({ state: 'detached' })
  await signIn(uma, 'uma@example.org')
  await uma.getByRole('link', { name: 'first.bin' }).waitFor()

  step('storage check')
  await page.getByRole('link', { name: 'Storage check' }).click()
  await page.getByText('No check has run yet').waitFor()
  await page.getByRole('button', { name: 'Full check' }).click()
  await page.getByText('No problems found').waitFor()
  const fact = async (name) => page.locator('.facts > div').filter({ hasText: name }).locator('dd').innerText()
  assert.equal(await fact('Objects'), '1')
  assert.match(await fact('Data read'), /^3\s?kB$/)
  await accessibleEverywhere(page, 'a storage check')

  step('health')
  await page.getByRole('link', { name: 'Health' }).click()
  const check = page.getByRole('listitem').filter({ hasText: 'database.reach' })
  await check.getByText(/(SQLite|PostgreSQL) \d/).waitFor()
  const checkedAt = async () => (await (await context.request.get(`${base}/v1/admin/doctor`)).json()).at
  const before = await checkedAt()
  await page.getByRole('button', { name: 'Check again' }).click()
  await page.locator('button[aria-busy="false"]').filter({ hasText: 'Check again' }).waitFor()
  assert.ok((await checkedAt()) > before, 'checked again')
  const { checks } = await (await context.request.get(`${base}/v1/admin/doctor`)).json()
  for (const { name, outcome, remedy } of checks) {
    const row = page.getByRole('listitem').filter({ has: page.getByText(name, { exact: true }) })
    await row.getByText(outcome, { exact: true }).waitFor()
    if (remedy) await row.getByText(remedy).waitFor()
  }
  await accessibleEverywhere(page, 'health')

  step('a failed check, and how to fix it')
  console.log('damage')
  await lines.next()
  await page.getByRole('button', { name: 'Check again' }).click()
  if (checks.some(({ name }) => name === 'store.directory')) {
    await page.getByText(/\d checks? failed/).waitFor()
    const first = page.getByRole('listitem').filter({ hasText: 'Fix:' }).first()
    await first.getByText('store.directory', { exact: true }).waitFor()
    await first.getByText(/chmod 700/).waitFor()
    await accessibleEverywhere(page, 'a failed check')
  }
  await page.getByRole('link', { name: 'Storage check' }).click()
  await page.getByRole('button', { name: 'Run check' }).click()
  await page.getByText(/\d problems? found/).waitFor()
  await page.getByRole('listitem').filter({ hasText: 'missing' }).getByText('File of Uma User').waitFor()
  await accessibleEverywhere(page, 'a storage check with findings')

  step('activity of all users')
  await page.getByRole('link', { name: 'Activity' }).click()
  await page.getByText('You changed Uma User’s quota to 5 kB and 7 files.').waitFor()
  await page.getByText('You disabled Uma User’s account.').waitFor()
  await page.getByText('Uma User uploaded “first.bin”, 3 kB.').waitFor()
  await page.getByText('Your account was created on the command line, with admin rights.').waitFor()
  await accessibleEverywhere(page, 'activity of all users')
  await page.getByLabel('Event type').selectOption('account_disabled')
  await page.getByText('Uma User uploaded').waitFor({ state: 'detached' })
  await page.getByText('You disabled Uma User’s account.').waitFor()
  assert.equal(await page.locator('.activity > li').count(), 1)
  await page.getByRole('link', { name: 'Users' }).click()
  await act('Uma User', 'View activity')
  await page.getByRole('heading', { name: 'Activity of Uma User' }).waitFor()
  await page.getByText('Uma User signed in.').first().waitFor()
  assert.equal(await page.getByText('You signed in').count(), 0)

  step('more than one page of activity')
  const [file] = (await (await others.request.get(`${base}/v1/files`)).json()).items
  for (let round = 0; round < 120; round += 1) {
    const body = { data: { name: `round ${round}.bin` } }
    assert.equal((await others.request.patch(`${base}/v1/files/${file.id}`, body)).status(), 200)
  }
  await page.goto(`${base}/admin/activity`)
  await page.getByText('Uma User renamed “round 118.bin” to “round 119.bin”.').waitFor()
  await scrollToEnd(page)
  await page.getByText('Your account was created on the command line, with admin rights.').waitFor()

  step('a user deletes their account')
  await uma.goto(`${base}/account`)
  await uma.getByRole('button', { name: 'Delete account…' }).click()
  await uma.getByRole('dialog').getByLabel('Your password').fill('wrong wrong wrong')
  await uma.getByRole('button', { name: 'Delete account', exact: true }).click()
  await uma
    .getByRole('alert')
    .getByText(/password/i)
    .waitFor()
  await accessibleEverywhere(uma, 'deleting an account')
  await uma.getByRole('dialog').getByLabel('Your password').fill(PASSWORD)
  await uma.getByRole('button', { name: 'Delete account', exact: true }).click()
  await uma.getByRole('button', { name: 'Sign in' }).waitFor()
  assert.equal((await others.request.get(`${base}/v1/me`)).status(), 401)
  await signIn(uma, 'uma@example.org')
  await uma.getByRole('alert').getByText('Wrong email or password.').waitFor()
  await page.goto(`${base}/admin/users`)
  await page.getByRole('heading', { name: '1 user' }).waitFor()
  assert.equal(await page.getByText('uma@example.org').count(), 0)

  step('an admin deletes an account, but not the last admin')
  await uma.goto(base)
  await register(uma, 'una@example.org', 'Una Guest')
  await page.reload()
  await act('Una Guest', 'Delete account…')
  await dialog.getByRole('button', { name: 'Delete account', exact: true }).click()
  await page.getByRole('heading', { name: '1 user' }).waitFor()
  await uma.reload()
  await uma.getByRole('button', { name: 'Sign in' }).waitFor()
  await page.goto(`${base}/account`)
  await page.getByRole('button', { name: 'Delete account…' }).click()
  await dialog.getByLabel('Your password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Delete account', exact: true }).click()
  await dialog.getByRole('alert').getByText(/admin/).waitFor()
  assert.deepEqual([...violations, ...umaViolations], [])
})
