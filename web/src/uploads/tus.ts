// Uploads through the server, with the tus protocol: bytes that have arrived are never sent again.
import Uppy, { type Body } from '@uppy/core'
import Tus from '@uppy/tus'
import type { DetailedError } from 'tus-js-client'
import { getCapabilities } from '../api/capabilities'
import { Problem } from '../api/client'
import { foreignMessage } from '../api/messages'
import { pathOf } from '../base'
import { smallerChunk } from './chunk-size'
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
  endpoint: location.origin + pathOf('/v1/tus'),
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

/** Bytes of one request: at first what the server offers. */
let chunkLimit = Number.POSITIVE_INFINITY

/** Sends no more bytes in one request than the server offers. */
export async function useOfferedChunks() {
  // Without an answer, the first refused request tells.
  const capabilities = await getCapabilities().catch(() => null)
  if (capabilities) limitChunks(capabilities.upload_chunk_size)
}

/** Sends at most so many bytes in one request from now on. */
function limitChunks(size: number) {
  chunkLimit = Math.min(chunkLimit, size)
  uppy.getPlugin('Tus')?.setOptions({ chunkSize: chunkLimit })
}

/** Continues with smaller requests after one that was too large for a proxy; false if that would not help. */
function retryInSmallerChunks(id: string): boolean {
  const file = uppy.getFile(id)
  const smaller = smallerChunk(file.tus?.chunkSize ?? chunkLimit)
  if (smaller === null) return false
  limitChunks(smaller)
  uppy.setFileState(id, { tus: { ...file.tus, chunkSize: chunkLimit } })
  // After Uppy has noted the failure.
  setTimeout(() => uppy.getFile(id) && void uppy.retryUpload(id))
  return true
}

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

uppy.on('upload-error', (file, _error, response) => {
  if (!file) return
  if (isTooLargeForProxy(response as Response) && retryInSmallerChunks(file.id)) {
    updateUpload(file.id, { state: 'retrying' })
  } else markFailed(file.id, failureMessage(response as Response))
})

function showRetrying() {
  edit((all) => {
    for (const upload of all.values()) {
      if (upload.state === 'uploading' && uppy.getFile(upload.id)) all.set(upload.id, { ...upload, state: 'retrying' })
    }
  })
}

/** What Uppy tells of a failed request. */
type Response = { status?: number; body?: { xhr?: XMLHttpRequest } } | undefined

/** Whether something in front of the server refused a request. The server itself answers with a problem document. */
function isTooLargeForProxy(response: Response): boolean {
  const contentType = response?.body?.xhr?.getResponseHeader('content-type')
  return response?.status === 413 && !contentType?.includes('problem+json')
}

function failureMessage(response: Response): string {
  const { status, body } = response ?? {}
  if (!status) return 'Can’t reach the server. Try again to resume.'
  try {
    return Problem.from(status, JSON.parse(body?.xhr?.responseText ?? '')).message
  } catch {
    return foreignMessage(status)
  }
}
