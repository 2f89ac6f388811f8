// Accepts files and uploads each with the protocol that suits it. This module is fetched with the first upload.
import { getSafeFileId } from '@uppy/core/utils'
import { getCapabilities } from '../api/capabilities'
import { saveHandle } from './file-handles'
import { addToList, currentUploads, toUppyFile, updateOpenUploads } from './progress-list'
import { interrupted, isPaused, uploads, userId } from './state'
import * as tus from './tus'
import type { SelectedFile } from './types'

type DirectUploads = typeof import('./direct')

/** Files up to this size are never uploaded directly to a bucket. */
const DIRECT_MINIMUM = 8 * 1024 * 1024

let direct: DirectUploads | null | undefined

/** Starts to upload files, or resumes those of which a part has been sent already. */
export async function add(files: SelectedFile[]) {
  const bucket = files.some(({ file }) => file.size > DIRECT_MINIMUM) ? await loadDirect() : null
  if (files.some(({ file }) => file.size > tus.SINGLE_REQUEST_LIMIT)) await tus.useOfferedChunks()
  isPaused.value = false
  // The same file may be uploaded again once its upload is done.
  for (const { id, state } of currentUploads().values()) if (state === 'done') cancel(id)
  const proxied: SelectedFile[] = []
  for (const selected of files) {
    const id = getSafeFileId({ ...toUppyFile(selected), isRemote: false }, 'uppy')
    // A file that is sent in one request is never resumed.
    if (selected.handle && selected.file.size > tus.SINGLE_REQUEST_LIMIT) {
      void saveHandle(userId(), id, selected.handle)
    }
    const started = interrupted.value.find((upload) => upload.id === id)
    const useBucket = started ? started.isDirect : bucket?.isLargeEnough(selected.file)
    if (bucket?.has(id)) bucket.resume(id)
    else if (!bucket || currentUploads().has(id) || !useBucket) proxied.push(selected)
    else {
      addToList([{ id, name: selected.file.name, path: selected.path, size: selected.file.size }])
      bucket.add(id, selected)
    }
  }
  if (proxied.length > 0) tus.add(proxied)
}

/** The module for direct uploads, if the server offers a bucket for them. */
async function loadDirect(): Promise<DirectUploads | null> {
  if (direct === undefined) {
    // Without an answer, files are uploaded through the server.
    const capabilities = await getCapabilities().catch(() => null)
    direct = capabilities?.direct_uploads_to ? await import('./direct') : null
    direct?.setFallback((file) => tus.add([file]))
  }
  return direct
}

const isDirect = (id: string) => direct?.has(id) ?? false

export function pauseAll() {
  isPaused.value = true
  tus.pauseAll()
  direct?.pauseAll()
  updateOpenUploads('paused')
}

export function resumeAll() {
  isPaused.value = false
  tus.resumeAll()
  updateOpenUploads('waiting')
  direct?.resumeAll()
}

export function pauseOrResume(id: string) {
  if (!isDirect(id)) tus.pauseOrResume(id)
  else if (uploads.value.get(id)?.state === 'paused') direct?.resume(id)
  else direct?.pause(id)
}

export function retry(id: string) {
  if (isDirect(id)) direct?.resume(id)
  else tus.retry(id)
}

export function cancel(id: string) {
  if (isDirect(id)) direct?.cancel(id)
  else tus.cancel(id)
}

/** Removes uploads that are done or failed from the list. */
export function clearDone() {
  for (const { id, state } of uploads.value.values()) if (state === 'done' || state === 'failed') cancel(id)
}

// Leaving the page interrupts uploads, so the browser asks for confirmation.
addEventListener('beforeunload', (event) => {
  const open = [...uploads.value.values()].some(
    ({ state }) => state === 'uploading' || state === 'waiting' || state === 'retrying',
  )
  if (open) event.preventDefault()
})
