// Uploads over tus, through the server: what has arrived is never sent again.
import Uppy, { type Body } from '@uppy/core'
import Tus from '@uppy/tus'
import type { DetailedError } from 'tus-js-client'
import { Problem } from '../api/client'
import { AT_ONCE, change, described, edit, failed, follow, RETRIES, remove, type Sent, show } from './progress-list'
import { here } from './same-origin-http'
import type { Chosen } from './types'

/** Up to here a file goes with the request that announces it: one round trip, and little to lose. */
export const SMALL = 1024 * 1024

const uppy = new Uppy<Sent, Body>({ autoProceed: true, allowMultipleUploadBatches: true })

uppy.use(Tus, {
  endpoint: `${location.origin}/v1/tus`,
  limit: AT_ONCE,
  retryDelays: RETRIES,
  allowedMetaFields: ['name', 'type', 'path'],
  removeFingerprintOnSuccess: true,
  httpStack: here,
  onShouldRetry: (error, _attempt, _options, next) => {
    const response = (error as DetailedError).originalResponse
    // A full quota does not empty itself by waiting.
    const again = response?.getStatus() !== 507 && next(error as DetailedError)
    if (again) waitForServer()
    return again
  },
})

/** Takes files in; those of which a part is there already go on from that. */
export function add(chosen: Chosen[]) {
  const before = uppy.getFiles().length
  try {
    uppy.addFiles(chosen.map(described) as never)
  } catch (error) {
    if (uppy.getFiles().length === before) throw error
  }
}

export function pauseAll() {
  uppy.pauseAll()
}

export function resumeAll() {
  uppy.resumeAll()
}

export function pauseOrResume(id: string) {
  const paused = uppy.pauseResume(id)
  change(id, { state: paused ? 'paused' : 'waiting' })
}

export function retry(id: string) {
  change(id, { state: 'waiting', problem: undefined })
  void uppy.retryUpload(id)
}

export function cancel(id: string) {
  if (uppy.getFile(id)) uppy.removeFile(id)
  remove(id)
}

follow(uppy)

uppy.on('files-added', (files) => {
  // Uppy takes no such options with a file, but keeps them with it.
  for (const { id, size } of files) {
    if ((size ?? 0) <= SMALL) uppy.setFileState(id, { tus: { uploadDataDuringCreation: true } } as never)
  }
  show(files.map(({ id, name, size, meta }) => ({ id, name: name ?? '', path: meta.path, size: size ?? 0 })))
})

uppy.on('upload-error', (file, error, response) => {
  if (file) failed(file.id, reason(error, response))
})

function waitForServer() {
  edit((all) => {
    for (const upload of all.values()) {
      if (upload.state === 'going' && uppy.getFile(upload.id)) all.set(upload.id, { ...upload, state: 'retrying' })
    }
  })
}

function reason(error: { message: string }, response: unknown): string {
  const answer = response as { status?: number; body?: { xhr?: XMLHttpRequest } } | undefined
  const text = answer?.body?.xhr?.responseText
  if (!answer?.status) return 'The server could not be reached. What has arrived is kept: try again later.'
  try {
    return Problem.of(answer.status, JSON.parse(text ?? '')).message
  } catch {
    return error.message
  }
}
