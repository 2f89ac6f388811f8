// Uploads a file with @uppy/aws-s3, repeats the upload while the server restarts, and prints its URL.
// Arguments: Companion's endpoint, token, path.
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import Uppy from '@uppy/core'
import AwsS3 from '@uppy/aws-s3'

const [companionEndpoint, token, path] = process.argv.slice(2)

// In a browser the session's cookie goes along by itself.
const { fetch } = globalThis
globalThis.fetch = (url, options = {}) =>
  fetch(url, { ...options, headers: { ...options.headers, Authorization: `Bearer ${token}` } })

// As much of a browser's XMLHttpRequest as it takes to send a part.
globalThis.XMLHttpRequest = class {
  upload = {}
  status = 0
  statusText = ''
  #headers = new Headers()
  #controller = new AbortController()

  open(method, url) {
    Object.assign(this, { method, url })
  }
  setRequestHeader(name, value) {
    this.#headers.set(name, value)
  }
  getResponseHeader(name) {
    return this.answer.headers.get(name)
  }
  abort() {
    this.#controller.abort()
  }
  async send(body) {
    try {
      const { method, url } = this
      this.answer = await fetch(url, { method, body, headers: this.#headers, signal: this.#controller.signal })
      this.responseText = await this.answer.text()
    } catch (error) {
      this.onerror?.(error)
      return
    }
    Object.assign(this, { status: this.answer.status, statusText: this.answer.statusText })
    this.upload.onprogress?.({ lengthComputable: true, loaded: body?.size ?? 0, total: body?.size ?? 0 })
    this.onload?.()
  }
}

const uppy = new Uppy()
uppy.use(AwsS3, { companionEndpoint, shouldUseMultipart: true })
uppy.on('file-added', (file) => uppy.setFileMeta(file.id, { size: file.size, path: 'from uppy' }))
uppy.addFile({ name: basename(path), type: 'text/plain', data: new Blob([readFileSync(path)]) })

let result = await uppy.upload()
for (let tries = 0; result.failed.length > 0 && tries < 100; tries++) {
  await new Promise((resolve) => setTimeout(resolve, 200))
  result = await uppy.retryAll()
}
if (result.failed.length > 0) {
  console.error(String(result.failed[0].error))
  process.exit(1)
}
console.log(result.successful[0].uploadURL)
process.exit(0)
