// Uploads through the server, with the tus protocol: bytes that have arrived are never sent again.
import Uppy, { type Body } from '@uppy/core'
import Tus from '@uppy/tus'
import type { DetailedError } from 'tus-js-client'
import { Problem } from '../api/client'
import {
  addToList,
  CONCURRENT_UPLOADS,
  edit,
  markFailed,
  RETRY_DELAYS,
  removeFromList,
  toUppyFile,
  trackProgress,
  type UploadMeta,
  updateUpload,
} from './progress-list'
import { sameOriginHttp } from './same-origin-http'
import type { SelectedFile } from './types'

/** Up to this size a file is sent in the request that creates the upload, which saves a round trip. */
export const SINGLE_REQUEST_LIMIT = 1024 * 1024

const uppy = new Uppy<UploadMeta, Body>({ autoProceed: true, allowMultipleUploadBatches: true })

uppy.use(Tus, {
  endpoint: `${location.origin}/v1/tus`,
  limit: CONCURRENT_UPLOADS,
  retryDelays: RETRY_DELAYS,
  allowedMetaFields: ['name', 'type', 'path'],
  removeFingerprintOnSuccess: true,
  httpStack: sameOriginHttp,
  onShouldRetry: (error, _attempt, _options, next) => {
    const response = (error as DetailedError).originalResponse
    // Waiting does not help against a full quota.
    const again = response?.getStatus() !== 507 && next(error as DetailedError)
    if (again) showRetrying()
    return again
  },
})

/** Starts to upload files, or resumes those of which a part has been sent already. */
export function add(files: SelectedFile[]) {
  const before = uppy.getFiles().length
  try {
    uppy.addFiles(files.map(toUppyFile))
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
  updateUpload(id, { state: paused ? 'paused' : 'waiting' })
}

export function retry(id: string) {
  updateUpload(id, { state: 'waiting', problem: undefined })
  void uppy.retryUpload(id)
}

export function cancel(id: string) {
  if (uppy.getFile(id)) uppy.removeFile(id)
  removeFromList(id)
}

trackProgress(uppy)

uppy.on('files-added', (files) => {
  for (const { id, size } of files) {
    if ((size ?? 0) <= SINGLE_REQUEST_LIMIT) uppy.setFileState(id, { tus: { uploadDataDuringCreation: true } })
  }
  addToList(files.map(({ id, name, size, meta }) => ({ id, name: name ?? '', path: meta.path, size: size ?? 0 })))
})

uppy.on('upload-error', (file, error, response) => {
  if (file) markFailed(file.id, failureMessage(error, response))
})

function showRetrying() {
  edit((all) => {
    for (const upload of all.values()) {
      if (upload.state === 'uploading' && uppy.getFile(upload.id)) all.set(upload.id, { ...upload, state: 'retrying' })
    }
  })
}

function failureMessage(error: { message: string }, response: unknown): string {
  const { status, body } = (response ?? {}) as { status?: number; body?: { xhr?: XMLHttpRequest } }
  if (!status) return 'Can’t reach the server. Try again to resume.'
  try {
    return Problem.from(status, JSON.parse(body?.xhr?.responseText ?? '')).message
  } catch {
    return error.message
  }
}
