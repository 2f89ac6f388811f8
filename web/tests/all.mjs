// Runs all tests in one process, so that the compiler is loaded only once.
import { readdirSync } from 'node:fs'
import { test } from 'node:test'

const files = readdirSync(import.meta.dirname).filter((name) => name.endsWith('.test.ts'))
for (const file of files) {
  await import(`./${file}`).catch((error) => test(file, () => Promise.reject(error)))
}
