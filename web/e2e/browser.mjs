// A real browser, and what the tests and the screenshots need to know of it.
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The browser that CHROMIUM names, or one that is in the PATH. */
export function program() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync)
}

/** With `handles` as it is. Without, as a browser whose files cannot be opened again; there a driver can choose files. */
export function launch({ handles = false } = {}) {
  return chromium.launch({
    executablePath: program(),
    args: [
      ...(handles ? [] : ['--disable-blink-features=FileSystemAccessLocal']),
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}

export const PASSWORD = 'violet tractor under rain'

/** Registers on the page, as a person does. */
export async function register(page, email, name) {
  await page.getByRole('button', { name: 'Make an account' }).click()
  await page.getByLabel('E-mail address').fill(email)
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Register' }).click()
  await page.getByRole('heading', { name: 'Files' }).waitFor()
}
