// The same as refusals.py, with fetch and XMLHttpRequest of Chromium. Runs in web/, for the browser of its tests.
import { readFileSync } from 'node:fs'

const { launch } = await import(`${process.cwd()}/e2e/browser.mjs`)
const task = JSON.parse(readFileSync(0, 'utf8'))
const browser = await launch()
const page = await browser.newPage({ ignoreHTTPSErrors: true })
await page.goto(`${task.base}/healthz`)

async function send({ how, method, path, headers, size }) {
  const body = new Blob(['x'.repeat(size)])
  if (how === 'fetch') {
    const response = await fetch(path, { method, headers, body })
    await response.text()
    return String(response.status)
  }
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    request.open(method, path)
    Object.entries(headers).forEach(([name, value]) => request.setRequestHeader(name, value))
    request.onload = () => resolve(String(request.status))
    request.onerror = () => reject(new Error('error'))
    request.send(body)
  })
}

const results = []
for (const found of task.cases) {
  const sent = page.evaluate(send, { how: process.argv[2], ...found })
  results.push(await sent.catch(() => 'network error'))
}
console.log(JSON.stringify(results))
await browser.close()
