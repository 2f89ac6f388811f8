// What admins do with the page, from a server without any account on; and how somebody leaves for good. Arguments: the
// server's URL, a folder to work in. Prints `admin` when an admin shall be made on the command line, `damage` when what is
// stored shall be damaged, and waits for a line.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { launch, PASSWORD, register } from './browser.mjs'
import { accessibleEverywhere, attempt, complaintsOf, scrollToTheEnd } from './checks.mjs'

const [base, folder] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
const browser = await launch()
const options = { reducedMotion: 'reduce', locale: 'en-GB' }
const context = await browser.newContext(options)
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.PATIENCE ?? 90_000))
const complaints = complaintsOf(page, base)
const step = (text) => console.error(`admin: ${text}`)
const dialog = page.getByRole('dialog')
const person = (name) => page.getByRole('listitem').filter({ hasText: name })

async function act(name, item) {
  await person(name)
    .getByRole('button', { name: /Actions/ })
    .click()
  await page.getByRole('menuitem', { name: item }).click()
}

async function signIn(tab, email) {
  await tab.goto(base)
  await tab.getByLabel('E-mail address').fill(email)
  await tab.getByLabel('Password').fill(PASSWORD)
  await tab.getByRole('button', { name: 'Sign in' }).click()
}

await attempt(browser, page, folder, async () => {
  step('nobody has an account')
  await page.goto(base)
  await page.getByText('No account exists yet.').waitFor()
  await page.getByText('strongroom user add you@example.com --admin').waitFor()
  await accessibleEverywhere(page, 'no account yet')
  console.log('admin')
  await lines.next()
  await page.reload()
  await page.getByRole('button', { name: 'Sign in' }).waitFor()
  await page.waitForLoadState('networkidle')
  assert.equal(await page.getByText('No account exists yet.').count(), 0)

  step('somebody else')
  const others = await browser.newContext(options)
  const uma = await others.newPage()
  uma.setDefaultTimeout(Number(process.env.PATIENCE ?? 90_000))
  const umasComplaints = complaintsOf(uma, base)
  await uma.goto(base)
  await register(uma, 'uma@example.org', 'Uma User')
  const put = async (name, size) => {
    const answer = await others.request.post(`${base}/v1/files?name=${name}`, { data: Buffer.alloc(size, 7) })
    return [answer.status(), (await answer.json()).code]
  }
  assert.deepEqual(await put('first.bin', 3000), [201, undefined])
  await uma.goto(`${base}/admin`)
  await uma.getByRole('heading', { name: 'For admins' }).waitFor()

  step('people')
  await signIn(page, 'boss@example.org')
  await page.getByRole('link', { name: 'Admin' }).click()
  await person('uma@example.org').getByText('1 file').waitFor()
  await accessibleEverywhere(page, 'people')

  step('a quota takes effect')
  await act('Uma User', 'Quota…')
  await dialog.getByLabel('Gigabytes').fill('many')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog.getByRole('alert').getByText('is no number').waitFor()
  await accessibleEverywhere(page, 'a quota')
  await dialog.getByLabel('Gigabytes').fill('0,000005')
  await dialog.getByLabel('Files').fill('7')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await person('uma@example.org').getByText('of 7').waitFor()
  assert.deepEqual(await put('second.bin', 3000), [507, 'quota_exceeded'])
  await uma.goto(base)
  await uma.getByText('1 of 7 files').waitFor()

  step('disabled, and enabled again')
  await act('Uma User', 'Disable…')
  await accessibleEverywhere(page, 'asking before somebody is disabled')
  await dialog.getByRole('button', { name: 'Disable' }).click()
  await person('uma@example.org').getByText('disabled', { exact: true }).waitFor()
  await uma.reload()
  await uma.getByRole('button', { name: 'Sign in' }).waitFor()
  await signIn(uma, 'uma@example.org')
  await uma.getByRole('alert').getByText('password is wrong').waitFor()
  await act('Uma User', 'Enable')
  await person('uma@example.org').getByText('disabled', { exact: true }).waitFor({ state: 'detached' })
  await signIn(uma, 'uma@example.org')
  await uma.getByRole('link', { name: 'first.bin' }).waitFor()

  step('rows and bytes')
  await page.getByRole('link', { name: 'Rows and bytes' }).click()
  await page.getByText('No pass has run yet.').waitFor()
  await page.getByRole('button', { name: 'Read every byte, too' }).click()
  await page.getByText('Everything is as it should be.').waitFor()
  const fact = async (name) => page.locator('.facts > div').filter({ hasText: name }).locator('dd').innerText()
  assert.equal(await fact('Objects'), '1')
  assert.match(await fact('Read'), /^3\s?kB$/)
  await accessibleEverywhere(page, 'a pass of fsck')

  step('the set-up')
  await page.getByRole('link', { name: 'Set-up' }).click()
  const check = page.getByRole('listitem').filter({ hasText: 'database.reach' })
  await check.getByText(/ask for its version: (SQLite|PostgreSQL) \d/).waitFor()
  const looked = async () => (await (await context.request.get(`${base}/v1/admin/doctor`)).json()).at
  const before = await looked()
  await page.getByRole('button', { name: 'Look again' }).click()
  await page.locator('button[aria-busy="false"]').filter({ hasText: 'Look again' }).waitFor()
  assert.ok((await looked()) > before, 'it looked')
  const { checks } = await (await context.request.get(`${base}/v1/admin/doctor`)).json()
  for (const { name, outcome, remedy } of checks) {
    const row = page.getByRole('listitem').filter({ has: page.getByText(name, { exact: true }) })
    await row.getByText(outcome, { exact: true }).waitFor()
    if (remedy) await row.getByText(remedy).waitFor()
  }
  await accessibleEverywhere(page, 'the set-up')

  step('what is wrong, and what to do')
  console.log('damage')
  await lines.next()
  await page.getByRole('button', { name: 'Look again' }).click()
  if (checks.some(({ name }) => name === 'store.folder')) {
    await page.getByText('Something failed.').waitFor()
    const first = page.getByRole('listitem').filter({ hasText: 'What to do:' }).first()
    await first.getByText('store.folder', { exact: true }).waitFor()
    await first.getByText(/chmod 700/).waitFor()
    await accessibleEverywhere(page, 'a set-up that is not sound')
  }
  await page.getByRole('link', { name: 'Rows and bytes' }).click()
  await page.getByRole('button', { name: 'Look now' }).click()
  await page.getByText('Something is not as it should be.').waitFor()
  await page.getByRole('listitem').filter({ hasText: 'missing' }).getByText('Of Uma User').waitFor()
  await accessibleEverywhere(page, 'a pass of fsck that found something')

  step('the trail of everybody')
  await page.getByRole('link', { name: 'Trail' }).click()
  await page.getByText('You changed Uma User’s quota to 5 kB and 7 files.').waitFor()
  await page.getByText('You disabled Uma User’s account.').waitFor()
  await page.getByText('Uma User uploaded “first.bin”, 3 kB.').waitFor()
  await page.getByText('Your account was made on the command line, as an admin’s.').waitFor()
  await accessibleEverywhere(page, 'everybody’s trail')
  await page.getByLabel('Kind').selectOption('account_disabled')
  await page.getByText('Uma User uploaded').waitFor({ state: 'detached' })
  await page.getByText('You disabled Uma User’s account.').waitFor()
  assert.equal(await page.locator('.trail > li').count(), 1)
  await page.getByRole('link', { name: 'People' }).click()
  await act('Uma User', 'Trail')
  await page.getByRole('heading', { name: 'What happened with Uma User' }).waitFor()
  await page.getByText('Uma User signed in.').first().waitFor()
  assert.equal(await page.getByText('You signed in').count(), 0)

  step('it goes on behind the first page')
  const [file] = (await (await others.request.get(`${base}/v1/files`)).json()).items
  for (let turn = 0; turn < 120; turn += 1) {
    const body = { data: { name: `turn ${turn}.bin` } }
    assert.equal((await others.request.patch(`${base}/v1/files/${file.id}`, body)).status(), 200)
  }
  await page.goto(`${base}/admin/events`)
  await page.getByText('Uma User renamed “turn 118.bin” to “turn 119.bin”.').waitFor()
  await scrollToTheEnd(page)
  await page.getByText('Your account was made on the command line, as an admin’s.').waitFor()

  step('somebody erases their account')
  await uma.goto(`${base}/account`)
  await uma.getByRole('button', { name: 'Erase the account…' }).click()
  await uma.getByRole('dialog').getByLabel('Your password').fill('wrong wrong wrong')
  await uma.getByRole('button', { name: 'Erase everything' }).click()
  await uma.getByRole('alert').getByText('not the account').waitFor()
  await accessibleEverywhere(uma, 'erasing an account')
  await uma.getByRole('dialog').getByLabel('Your password').fill(PASSWORD)
  await uma.getByRole('button', { name: 'Erase everything' }).click()
  await uma.getByRole('button', { name: 'Sign in' }).waitFor()
  assert.equal((await others.request.get(`${base}/v1/me`)).status(), 401)
  await signIn(uma, 'uma@example.org')
  await uma.getByRole('alert').getByText('password is wrong').waitFor()
  await page.goto(`${base}/admin/users`)
  await page.getByRole('heading', { name: '1 person' }).waitFor()
  assert.equal(await page.getByText('uma@example.org').count(), 0)

  step('an admin erases one, and not the last of them')
  await uma.goto(base)
  await register(uma, 'una@example.org', 'Una Guest')
  await page.reload()
  await act('Una Guest', 'Erase…')
  await dialog.getByRole('button', { name: 'Erase it' }).click()
  await page.getByRole('heading', { name: '1 person' }).waitFor()
  await uma.reload()
  await uma.getByRole('button', { name: 'Sign in' }).waitFor()
  await page.goto(`${base}/account`)
  await page.getByRole('button', { name: 'Erase the account…' }).click()
  await dialog.getByLabel('Your password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Erase everything' }).click()
  await dialog.getByRole('alert').getByText(/admin/).waitFor()
  assert.deepEqual([...complaints, ...umasComplaints], [])
})
