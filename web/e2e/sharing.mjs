// Sharing a file: links are created, changed, rotated and removed, temporary links are revoked, and the activity shows
// all of it. Arguments: the URL of the server, a working directory.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { launch, register } from './browser.mjs'
import { accessibleEverywhere, run, scrollToEnd, violationsOf } from './checks.mjs'

const [base, folder] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const browser = await launch()
const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.E2E_TIMEOUT ?? 90_000))
const violations = violationsOf(page, base)
const step = (text) => console.error(`sharing: ${text}`)
const dialog = page.getByRole('dialog', { name: /Share|Change link|Activity/ })
const tab = (name) => dialog.getByRole('button', { name, exact: true })
const links = dialog.getByRole('listitem').filter({ has: page.getByRole('button', { name: /^Change link/ }) })

/** What a visitor without an account gets from a URL, with a password if given. */
async function visit(url, password) {
  const fresh = await browser.newContext()
  const authorization = password && `Basic ${Buffer.from(`:${password}`).toString('base64')}`
  const headers = { accept: 'application/octet-stream', ...(authorization ? { authorization } : {}) }
  const answer = await fresh.request.get(url.includes('/l/') ? `${url}?download=1` : url, { headers })
  const result = {
    status: answer.status(),
    name: answer.headers()['content-disposition'] ?? '',
    text: await answer.text(),
  }
  await fresh.close()
  return result
}

async function openDialog(action) {
  await page.goto(base)
  await page
    .getByRole('row')
    .filter({ hasText: 'plan.txt' })
    .getByRole('button', { name: /Actions/ })
    .click()
  await page.getByRole('menuitem', { name: action }).click()
  await dialog.waitFor()
}

/** Reads the activity of the file until it contains a sentence: downloads are recorded with a delay. */
async function activityWith(sentence) {
  let text = ''
  for (let attempt = 0; attempt < 100; attempt += 1) {
    await openDialog('Activity…')
    await dialog.locator('.activity > li').first().waitFor()
    text = await dialog.innerText()
    if (sentence.test(text)) return text
    await page.waitForTimeout(300)
  }
  assert.match(text, sentence)
}

await run(browser, page, folder, async () => {
  await page.goto(base)
  await register(page, 'sharon@example.org', 'Sharon Sharer')
  const put = await context.request.post(`${base}/v1/files?name=plan.txt`, { data: Buffer.from('the plan') })
  assert.equal(put.status(), 201)

  step('a link with a password')
  await openDialog('Share…')
  await dialog.getByText('Link settings').click()
  await dialog.getByLabel('Password', { exact: true }).fill('violet tractor')
  await dialog.getByLabel('Download limit').fill('5')
  await dialog.getByLabel('Private note').fill('for the accountant')
  await accessibleEverywhere(page, 'a new link')
  await dialog.getByRole('button', { name: 'Create link' }).click()
  const url = await dialog.getByLabel('URL', { exact: true }).inputValue()
  assert.equal((await visit(url, 'violet tractor')).text, 'the plan')
  assert.equal((await visit(url)).status, 401)

  step('change the link')
  await openDialog('Share…')
  await links.filter({ hasText: '1 of 5 downloads' }).filter({ hasText: 'last' }).waitFor()
  await accessibleEverywhere(page, 'the links of a file')
  await links.getByRole('button', { name: 'Change' }).click()
  await accessibleEverywhere(page, 'changing a link')
  await dialog.getByLabel('New password').fill('scarlet harvester')
  await dialog.getByLabel('Download limit').fill('3')
  await dialog.getByLabel('Download name').fill('Plan of today.txt')
  await dialog.getByLabel('Link expires after').selectOption({ label: '30 days' })
  await dialog.getByRole('button', { name: 'Save' }).click()
  await links.filter({ hasText: '1 of 3 downloads' }).filter({ hasText: 'downloads as “Plan of today.txt”' }).waitFor()
  assert.equal((await visit(url, 'violet tractor')).status, 401, 'the old password')
  const named = await visit(url, 'scarlet harvester')
  assert.deepEqual([named.status, named.text], [200, 'the plan'])
  assert.match(named.name, /Plan%20of%20today|Plan of today/)
  const [stored] = (await (await context.request.get(`${base}/v1/links`)).json()).items
  assert.equal(stored.note, 'for the accountant', 'fields that were not changed are kept')

  step('an invalid network')
  await links.getByRole('button', { name: 'Change' }).click()
  await dialog.getByLabel('Allowed networks').fill('everywhere')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await dialog
    .getByRole('alert')
    .getByText(/network/)
    .waitFor()
  await dialog.getByLabel('Allowed networks').fill('')
  await dialog.getByLabel('Remove password').check()
  await dialog.getByRole('button', { name: 'Save' }).click()
  await links.waitFor()
  assert.equal((await visit(url)).status, 200, 'the link has no password')
  assert.equal((await visit(url)).status, 410, 'the limit of three is reached')

  step('download limit reached, then lifted; then a new URL')
  await page.goto(`${base}/links`)
  await page.getByText('download limit reached', { exact: true }).waitFor()
  await accessibleEverywhere(page, 'the list of links')
  await page.getByRole('button', { name: 'Change' }).click()
  await dialog.getByLabel('Download limit').fill('')
  await dialog.getByRole('button', { name: 'Save' }).click()
  await page.getByText('download limit reached', { exact: true }).waitFor({ state: 'detached' })
  assert.equal((await visit(url)).status, 200)
  await page.getByRole('button', { name: 'Change' }).click()
  await dialog.getByText('New URL', { exact: true }).click()
  await accessibleEverywhere(page, 'a new URL')
  await dialog.getByRole('button', { name: 'Generate new URL' }).click()
  const rotated = await dialog.getByLabel('URL', { exact: true }).inputValue()
  assert.notEqual(rotated, url)
  await dialog.getByRole('button', { name: 'Done' }).click()
  assert.equal((await visit(url)).status, 404, 'the previous URL')
  assert.equal((await visit(rotated)).text, 'the plan')

  step('access, and revoking it')
  const token = await context.request.post(`${base}/v1/me/tokens`, { data: { name: 'backup' } })
  const { token: secret } = await token.json()
  const program = async () => {
    const fresh = await browser.newContext()
    const answer = await fresh.request.get(`${base}/v1/files`, { headers: { authorization: `Bearer ${secret}` } })
    await fresh.close()
    return answer.status()
  }
  assert.equal(await program(), 200)
  await openDialog('Share…')
  await tab('Temporary link').click()
  await accessibleEverywhere(page, 'a temporary link')
  await dialog.getByRole('button', { name: 'Create temporary link' }).click()
  const signed = await dialog.getByLabel('URL', { exact: true }).inputValue()
  assert.equal((await visit(signed)).text, 'the plan')

  await openDialog('Access…')
  await dialog.getByText('sharon@example.org · 1 session · 1 API token').waitFor()
  await dialog.getByText('Anyone with a temporary link').waitFor()
  await dialog.getByText('Sessions and API tokens').click()
  await dialog.getByText('This device').waitFor()
  await accessibleEverywhere(page, 'access')
  const revoke = dialog.getByRole('button', { name: 'Revoke temporary links' })
  if (signed.startsWith(base)) {
    await revoke.click()
    await revoke.waitFor({ state: 'detached' })
    assert.ok([403, 404, 410].includes((await visit(signed)).status), 'a revoked URL')
  } else {
    assert.equal(await revoke.count(), 0, 'URLs signed by a bucket cannot be revoked')
    await dialog.getByText('The storage bucket signed them').waitFor()
  }
  await dialog.getByRole('listitem').filter({ hasText: 'backup' }).getByRole('button', { name: 'Revoke' }).click()
  await dialog.getByText('1 session · 0 API tokens').waitFor()
  assert.equal(await program(), 401, 'the token is revoked')
  await links.getByRole('button', { name: 'Remove link' }).click()
  await dialog.getByText('No active links').waitFor()
  assert.equal((await visit(rotated)).status, 410, 'the link is removed')

  step('activity')
  const text = await activityWith(/tried to open a removed link/)
  for (const sentence of [
    /You uploaded “plan.txt”, 8 bytes\./,
    /You created a link to this file\./,
    /You changed a link to this file\./,
    /You replaced the URL of a link to this file\./,
    /You removed a link to this file\./,
    /Someone with a link downloaded this file\.\n+.*link ….{4} \(for the accountant\).*from 127\.0\.0\.1/,
    /Someone downloaded this file with your link\./,
    /Someone entered a wrong password for your link to this file\./,
    /You created a temporary link to read “plan.txt”, valid for 1\s?hr?\./,
  ])
    assert.match(text, sentence)
  const element = dialog.locator('time').first()
  const [shown, time] = [await element.innerText(), await element.getAttribute('datetime')]
  const expected = await page.evaluate(
    (time) => new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'medium' }).format(new Date(time)),
    time,
  )
  assert.equal(shown, expected, 'times are in the locale of the browser')
  await accessibleEverywhere(page, 'the activity of a file')
  await page.keyboard.press('Escape')

  step('more than one page of activity')
  const [file] = (await (await context.request.get(`${base}/v1/files`)).json()).items
  for (let round = 0; round < 130; round += 1) {
    const body = { data: { path: round % 2 ? '' : 'moved' } }
    assert.equal((await context.request.patch(`${base}/v1/files/${file.id}`, body)).status(), 200)
  }
  await page.goto(`${base}/account`)
  await page.getByRole('link', { name: 'Activity' }).click()
  const rows = page.locator('.activity > li')
  await rows.first().waitFor()
  await accessibleEverywhere(page, 'the activity of an account')
  await scrollToEnd(page)
  await page.getByText('Your account was created.').waitFor()
  const all = []
  for (let cursor = ''; cursor !== null; ) {
    const answer = await context.request.get(`${base}/v1/me/events?limit=1000${cursor && `&cursor=${cursor}`}`)
    const { items, next_cursor } = await answer.json()
    all.push(...items)
    cursor = next_cursor
  }
  assert.ok(all.length > 140)
  assert.equal(await rows.count(), all.length, 'each event once')
  assert.match(await rows.first().innerText(), /You moved “plan.txt” from moved to Files\./)

  step('the activity of a file in the trash')
  assert.equal((await context.request.delete(`${base}/v1/files/${file.id}`)).status(), 204)
  await page.goto(`${base}/trash`)
  await page.getByRole('button', { name: 'Activity of plan.txt' }).click()
  await dialog.getByText('You moved “plan.txt” to trash.').waitFor()
  assert.deepEqual(violations, [])
})
