// The same as refusals.py, with the fetch of Node.
import { readFileSync } from 'node:fs'

const task = JSON.parse(readFileSync(0, 'utf8'))
const results = []
for (const { method, path, headers, size } of task.cases) {
  try {
    const response = await fetch(task.base + path, { method, headers, body: 'x'.repeat(size), signal: AbortSignal.timeout(10_000) })
    await response.text()
    results.push(String(response.status))
  } catch (error) {
    results.push(error.cause?.code ?? error.name)
  }
}
console.log(JSON.stringify(results))
process.exit()
