// The list of uploads in the panel, updated as they progress, whichever protocol they use.
import type { Body, Meta, Uppy } from '@uppy/core'
import { refreshUsage } from '../session'
import { deleteHandle } from './file-handles'
import { notifyFilesAdded } from './list-refresh'
import { interrupted, speed, type Upload, type UploadState, uploads, userId } from './state'
import type { SelectedFile } from './types'

/** Files that are sent at the same time. */
export const CONCURRENT_UPLOADS = 3
/** Milliseconds before each retry. Long enough for a server to restart: about ten minutes. */
export const RETRY_DELAYS = [0, 500, 1000, 2000, 3000, 5000, ...Array<number>(60).fill(10_000)]
/** Seconds over which the speed is averaged. */
const SPEED_WINDOW = 4

export type UploadMeta = Meta & { path: string; relativePath: string }
export type UploadUppy = Uppy<UploadMeta, Body>

/** The file as Uppy expects it. Its id does not depend on the protocol. */
export function toUppyFile({ file, path }: SelectedFile) {
  // The path is part of the id, so that the same file can be uploaded to two folders.
  const meta = { path, relativePath: `${path}/${file.name}` }
  return { source: 'page', name: file.name, type: file.type, data: file, meta }
}

/** Shows the progress of an Uppy instance in the list. */
export function trackProgress(uppy: UploadUppy) {
  uppy.on('upload-progress', (file, progress) => {
    if (!file) return
    const before = currentUploads().get(file.id)
    if (!before || before.state === 'done' || before.state === 'paused') return
    const sent = Number(progress.bytesUploaded)
    // Bytes sent before a reload do not count toward the speed.
    if (before.state === 'uploading') measureSpeed(sent - before.sent)
    updateUpload(file.id, { sent, state: 'uploading' })
  })
  uppy.on('upload-success', (file) => file && markDone(file.id))
}

/** Adds uploads to the list. */
export function addToList(files: Pick<Upload, 'id' | 'name' | 'path' | 'size'>[]) {
  edit((all) => {
    for (const { id, name, path, size } of files) all.set(id, { id, name, path, size, sent: 0, state: 'waiting' })
  })
  const ids = new Set(files.map((file) => file.id))
  interrupted.value = interrupted.value.filter((upload) => !ids.has(upload.id))
}

/** The list including changes that the next frame will show. */
export function currentUploads(): ReadonlyMap<string, Upload> {
  return pending ?? uploads.value
}

export function updateUpload(id: string, changes: Partial<Upload>) {
  edit((all) => {
    const upload = all.get(id)
    if (upload) all.set(id, { ...upload, ...changes })
  })
}

/** Sets the state of all uploads that are neither done nor failed. */
export function updateOpenUploads(state: UploadState) {
  edit((all) => {
    for (const upload of all.values()) {
      if (upload.state !== 'done' && upload.state !== 'failed') all.set(upload.id, { ...upload, state })
    }
  })
}

export function markDone(id: string) {
  const upload = currentUploads().get(id)
  if (!upload) return
  updateUpload(id, { state: 'done', sent: upload.size })
  notifyFilesAdded(upload.path)
  cleanUp(id)
}

export function markFailed(id: string, problem: string) {
  updateUpload(id, { state: 'failed', problem })
  refreshUsageWhenIdle()
}

/** Removes an upload from the list. */
export function removeFromList(id: string) {
  edit((all) => all.delete(id))
  cleanUp(id)
}

function cleanUp(id: string) {
  void deleteHandle(userId(), id)
  refreshUsageWhenIdle()
}

function refreshUsageWhenIdle() {
  if ([...currentUploads().values()].some(({ state }) => state !== 'done' && state !== 'failed')) return
  speed.value = 0
  samples.length = 0
  refreshUsage().catch(() => {})
}

// The signal changes once per frame, however many uploads are in progress.
let pending: Map<string, Upload> | null = null

export function edit(change: (all: Map<string, Upload>) => unknown) {
  if (!pending) {
    pending = new Map(uploads.value)
    const publish = () => {
      if (pending) uploads.value = pending
      pending = null
    }
    // A page in the background renders no frames.
    if (document.hidden) setTimeout(publish, 100)
    else requestAnimationFrame(publish)
  }
  change(pending)
}

const samples: [time: number, bytes: number][] = []
let totalSent = 0

function measureSpeed(bytes: number) {
  if (bytes <= 0) return
  totalSent += bytes
  const now = performance.now() / 1000
  samples.push([now, totalSent])
  while (samples.length > 2 && now - (samples[0]?.[0] ?? now) > SPEED_WINDOW) samples.shift()
  const [first] = samples
  if (first && now > first[0] + 0.2) speed.value = (totalSent - first[1]) / (now - first[0])
}
