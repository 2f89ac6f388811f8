// Uploads a file with tus-js-client, retries while the server restarts, and prints the URL of the upload.
// Arguments: endpoint, token, path, bytes per chunk (0: all in one request).
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import * as tus from 'tus-js-client'

const [endpoint, token, path, chunk] = process.argv.slice(2)

const upload = new tus.Upload(readFileSync(path), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  chunkSize: Number(chunk) || Infinity,
  retryDelays: [0, ...Array(100).fill(200)],
  metadata: { filename: basename(path), filetype: 'text/plain', path: 'from node' },
  onError: (error) => {
    console.error(String(error))
    process.exit(1)
  },
  onSuccess: () => console.log(upload.url),
})
upload.start()
