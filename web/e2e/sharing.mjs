// Sharing a file and knowing who can read it: links are changed, replaced and ended, temporary URLs are ended, and the
// trail tells what came of it. Arguments: the server's URL, a folder to work in.
import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { launch, register } from './browser.mjs'
import { accessibleEverywhere, attempt, complaintsOf, scrollToTheEnd } from './checks.mjs'

const [base, folder] = process.argv.slice(2)
mkdirSync(folder, { recursive: true })
const browser = await launch()
const context = await browser.newContext({ reducedMotion: 'reduce', locale: 'en-GB' })
const page = await context.newPage()
page.setDefaultTimeout(Number(process.env.PATIENCE ?? 90_000))
const complaints = complaintsOf(page, base)
const step = (text) => console.error(`sharing: ${text}`)
const dialog = page.getByRole('dialog', { name: /Share|Change a link|Trail/ })
const tab = (name) => dialog.getByRole('button', { name, exact: true })
const links = dialog.getByRole('listitem').filter({ has: page.getByRole('button', { name: /^Change the link/ }) })

/** What somebody without an account gets who comes with a URL, as a program that gives this password. */
async function stranger(url, password) {
  const fresh = await browser.newContext()
  const authorization = password && `Basic ${Buffer.from(`:${password}`).toString('base64')}`
  const headers = { accept: 'application/octet-stream', ...(authorization ? { authorization } : {}) }
  const answer = await fresh.request.get(url, { headers })
  const got = {
    status: answer.status(),
    name: answer.headers()['content-disposition'] ?? '',
    text: await answer.text(),
  }
  await fresh.close()
  return got
}

async function begin(action) {
  await page.goto(base)
  await page
    .getByRole('row')
    .filter({ hasText: 'plan.txt' })
    .getByRole('button', { name: /Actions/ })
    .click()
  await page.getByRole('menuitem', { name: action }).click()
  await dialog.waitFor()
}

/** Reads the trail from the dialog until a sentence is there: reads are written down a moment later. */
async function trailTells(sentence) {
  let told = ''
  for (let turn = 0; turn < 100; turn += 1) {
    await begin('Trail…')
    await dialog.getByText('That is all.').waitFor()
    told = await dialog.innerText()
    if (sentence.test(told)) return told
    await page.waitForTimeout(300)
  }
  assert.match(told, sentence)
}

await attempt(browser, page, folder, async () => {
  await page.goto(base)
  await register(page, 'sharon@example.org', 'Sharon Sharer')
  const put = await context.request.post(`${base}/v1/files?name=plan.txt`, { data: Buffer.from('the plan') })
  assert.equal(put.status(), 201)

  step('a link with a password')
  await begin('Share…')
  await dialog.getByText('More bounds').click()
  await dialog.getByLabel('Password', { exact: true }).fill('violet tractor')
  await dialog.getByLabel('Downloads at most').fill('5')
  await dialog.getByLabel('Note for yourself').fill('for the accountant')
  await accessibleEverywhere(page, 'a new link')
  await dialog.getByRole('button', { name: 'Make a link' }).click()
  const url = await dialog.getByLabel('The URL').inputValue()
  assert.equal((await stranger(url, 'violet tractor')).text, 'the plan')
  assert.equal((await stranger(url)).status, 401)

  step('change it')
  await begin('Share…')
  await links.filter({ hasText: '1 of 5 downloads' }).filter({ hasText: 'last' }).waitFor()
  await accessibleEverywhere(page, 'links of a file')
  await links.getByRole('button', { name: 'Change' }).click()
  await accessibleEverywhere(page, 'the change of a link')
  await dialog.getByLabel('New password').fill('scarlet harvester')
  await dialog.getByLabel('Downloads at most').fill('3')
  await dialog.getByLabel('Name of the download').fill('Plan of today.txt')
  await dialog.getByLabel('Works for').selectOption({ label: '30 days' })
  await dialog.getByRole('button', { name: 'Save the link' }).click()
  await links.filter({ hasText: '1 of 3 downloads' }).filter({ hasText: 'as “Plan of today.txt”' }).waitFor()
  assert.equal((await stranger(url, 'violet tractor')).status, 401, 'the old password')
  const named = await stranger(url, 'scarlet harvester')
  assert.deepEqual([named.status, named.text], [200, 'the plan'])
  assert.match(named.name, /Plan%20of%20today|Plan of today/)
  const [stored] = (await (await context.request.get(`${base}/v1/links`)).json()).items
  assert.equal(stored.note, 'for the accountant', 'what was not changed stays')

  step('a bound that cannot be')
  await links.getByRole('button', { name: 'Change' }).click()
  await dialog.getByLabel('Only from these networks').fill('everywhere')
  await dialog.getByRole('button', { name: 'Save the link' }).click()
  await dialog.getByRole('alert').getByText('networks such as').waitFor()
  await dialog.getByLabel('Only from these networks').fill('')
  await dialog.getByLabel('Take the password away').check()
  await dialog.getByRole('button', { name: 'Save the link' }).click()
  await links.waitFor()
  assert.equal((await stranger(url)).status, 200, 'no password is asked for any more')
  assert.equal((await stranger(url)).status, 410, 'that was the last of three')

  step('used up, and given more; then another URL')
  await page.goto(`${base}/links`)
  await page.getByText('used up', { exact: true }).waitFor()
  await accessibleEverywhere(page, 'the links')
  await page.getByRole('button', { name: 'Change' }).click()
  await dialog.getByLabel('Downloads at most').fill('')
  await dialog.getByRole('button', { name: 'Save the link' }).click()
  await page.getByText('used up', { exact: true }).waitFor({ state: 'detached' })
  assert.equal((await stranger(url)).status, 200)
  await page.getByRole('button', { name: 'Change' }).click()
  await dialog.getByText('Another URL').click()
  await accessibleEverywhere(page, 'another URL')
  await dialog.getByRole('button', { name: 'Give it a new URL' }).click()
  const other = await dialog.getByLabel('The URL').inputValue()
  assert.notEqual(other, url)
  await dialog.getByRole('button', { name: 'Done' }).click()
  assert.equal((await stranger(url)).status, 404, 'the URL before')
  assert.equal((await stranger(other)).text, 'the plan')

  step('who can read it, and ending that')
  const token = await context.request.post(`${base}/v1/me/tokens`, { data: { name: 'backup' } })
  const { token: secret } = await token.json()
  const program = async () => {
    const fresh = await browser.newContext()
    const answer = await fresh.request.get(`${base}/v1/files`, { headers: { authorization: `Bearer ${secret}` } })
    await fresh.close()
    return answer.status()
  }
  assert.equal(await program(), 200)
  await begin('Share…')
  await tab('Temporary URL').click()
  await accessibleEverywhere(page, 'a temporary URL')
  await dialog.getByRole('button', { name: 'Make the URL' }).click()
  const signed = await dialog.getByLabel('The URL').inputValue()
  assert.equal((await stranger(signed)).text, 'the plan')

  await begin('Who can read it…')
  await dialog.getByText('sharon@example.org, with 1 sign-in and 1 API token').waitFor()
  await dialog.getByText('Whoever has a temporary URL').waitFor()
  await dialog.getByText('Sign-ins and API tokens').click()
  await dialog.getByText('this one').waitFor()
  await accessibleEverywhere(page, 'who can read it')
  const end = dialog.getByRole('button', { name: 'End all temporary URLs' })
  if (signed.startsWith(base)) {
    await end.click()
    await end.waitFor({ state: 'detached' })
    assert.ok([403, 404, 410].includes((await stranger(signed)).status), 'a URL that was ended')
  } else {
    assert.equal(await end.count(), 0, 'a bucket’s URLs cannot be ended, and no button says so')
    await dialog.getByText('The bucket serves them').waitFor()
  }
  await dialog.getByRole('listitem').filter({ hasText: 'backup' }).getByRole('button', { name: 'Revoke' }).click()
  await dialog.getByText('with 1 sign-in and 0 API tokens').waitFor()
  assert.equal(await program(), 401, 'the token is dead')
  await links.getByRole('button', { name: 'Revoke' }).click()
  await dialog.getByText('No link to this file is alive.').waitFor()
  assert.equal((await stranger(other)).status, 410, 'the link is dead')

  step('the trail')
  const told = await trailTells(/turned somebody away: it had been revoked/)
  for (const sentence of [
    /You uploaded “plan.txt”, 8 bytes\./,
    /You made a link to this file\./,
    /You changed a link to this file\./,
    /You gave a link to this file a new URL\./,
    /You revoked a link to this file\./,
    /Somebody with a link downloaded this file\.\n+.*link ….{4} \(for the accountant\).*from 127\.0\.0\.1/,
    /A link to this file was used, to the last byte\./,
    /A link to this file turned somebody away: the password was wrong\./,
    /You made a temporary URL to read “plan.txt”, good for 1\s?hr?\./,
  ])
    assert.match(told, sentence)
  const shown = await dialog.locator('time').first()
  const [said, meant] = [await shown.innerText(), await shown.getAttribute('datetime')]
  const expected = await page.evaluate(
    (time) => new Intl.DateTimeFormat(undefined, { dateStyle: 'long', timeStyle: 'medium' }).format(new Date(time)),
    meant,
  )
  assert.equal(said, expected, 'times are as the reader writes them')
  await accessibleEverywhere(page, 'the trail of a file')
  await page.keyboard.press('Escape')

  step('the trail goes on behind the first page')
  const [file] = (await (await context.request.get(`${base}/v1/files`)).json()).items
  for (let turn = 0; turn < 130; turn += 1) {
    const body = { data: { path: turn % 2 ? '' : 'moved' } }
    assert.equal((await context.request.patch(`${base}/v1/files/${file.id}`, body)).status(), 200)
  }
  await page.goto(`${base}/account`)
  await page.getByRole('link', { name: 'What happened' }).click()
  const rows = page.locator('.trail > li')
  await rows.first().waitFor()
  await accessibleEverywhere(page, 'the trail of an account')
  await scrollToTheEnd(page)
  await page.getByText('Your account was made.').waitFor()
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

  step('in the trash it has its trail still')
  assert.equal((await context.request.delete(`${base}/v1/files/${file.id}`)).status(), 204)
  await page.goto(`${base}/trash`)
  await page.getByRole('button', { name: 'Trail of plan.txt' }).click()
  await dialog.getByText('You put “plan.txt” into the trash.').waitFor()
  assert.deepEqual(complaints, [])
})
