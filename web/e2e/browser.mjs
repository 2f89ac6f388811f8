// Launches a real browser for the tests and the screenshots.
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']

/** The browser in the environment variable CHROMIUM, or one in the PATH. */
export function program() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM
  const folders = (process.env.PATH ?? '').split(delimiter)
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync)
}

/** Without `handles`, file handles are disabled, so that files can be selected by the test. */
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

/** Creates an account on the page, as a user does. */
export async function register(page, email, name) {
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByLabel('Email').fill(email)
  await page.getByLabel('Name', { exact: true }).fill(name)
  await page.getByLabel('Password').fill(PASSWORD)
  await page.getByRole('button', { name: 'Create account' }).click()
  await page.getByRole('heading', { name: 'Files', exact: true }).waitFor()
}
