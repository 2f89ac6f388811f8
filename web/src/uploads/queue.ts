// Sends files with Uppy over tus: what has arrived is never sent again, whether the line broke, the server did, or the
// page was closed. This module is fetched with the first upload.
import Uppy, { type Body, type Meta, type UppyFile } from '@uppy/core'
import Tus from '@uppy/tus'
import type { DetailedError } from 'tus-js-client'
import { Problem } from '../api/client'
import { refreshUsage } from '../session'
import { arrivals } from './arrivals'
import type { Chosen } from './choose'
import { here } from './here'
import { interrupted, isPaused, speed, type Upload, type UploadState, uploads } from './state'

/** Sent at the same time. */
const AT_ONCE = 3
/** Up to here a file goes with the request that announces it: one round trip, and little to lose. */
const SMALL = 1024 * 1024
/** A server that restarts is waited for: about ten minutes. */
const RETRIES = [0, 500, 1000, 2000, 3000, 5000, ...Array<number>(60).fill(10_000)]
/** Seconds over which the speed is measured. */
const WINDOW = 4

type Sent = Meta & { path: string }
type Each = UppyFile<Sent, Body>

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
  const files = chosen.map(({ file, path }) => ({
    source: 'page',
    name: file.name,
    type: file.type,
    data: file,
    // The place is part of what tells uploads apart, so the same file may go to two folders.
    meta: { path, relativePath: `${path}/${file.name}` } as never,
    ...(file.size <= SMALL ? { tus: { uploadDataDuringCreation: true } } : {}),
  }))
  try {
    // The same file again is a new upload, once the one before is over.
    for (const old of uppy.getFiles()) if (old.progress.uploadComplete) forgetFile(old.id)
    uppy.addFiles(files as never)
  } catch (error) {
    if (uppy.getFiles().length === before) throw error
  }
  isPaused.value = false
}

export function pauseAll() {
  isPaused.value = true
  uppy.pauseAll()
  everyOpen('paused')
}

export function resumeAll() {
  isPaused.value = false
  uppy.resumeAll()
  everyOpen('waiting')
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
  forgetFile(id)
}

/** Takes what is over off the list. */
export function clearDone() {
  for (const upload of uploads.value.values()) {
    if (upload.state === 'done' || upload.state === 'failed') forgetFile(upload.id)
  }
}

function forgetFile(id: string) {
  if (uppy.getFile(id)) uppy.removeFile(id)
  edit((all) => all.delete(id))
}

// The signal changes once a frame, however many files are on their way.
let pending: Map<string, Upload> | null = null

function edit(how: (all: Map<string, Upload>) => unknown) {
  if (!pending) {
    pending = new Map(uploads.value)
    const publish = () => {
      if (pending) uploads.value = pending
      pending = null
    }
    // A page in the background draws no frames.
    if (document.hidden) setTimeout(publish, 100)
    else requestAnimationFrame(publish)
  }
  how(pending)
}

function change(id: string, what: Partial<Upload>) {
  edit((all) => {
    const upload = all.get(id)
    if (upload) all.set(id, { ...upload, ...what })
  })
}

function everyOpen(state: UploadState) {
  edit((all) => {
    for (const upload of all.values()) {
      if (upload.state !== 'done' && upload.state !== 'failed') all.set(upload.id, { ...upload, state })
    }
  })
}

const ticks: [time: number, bytes: number][] = []
let sentInAll = 0

function count(bytes: number) {
  if (bytes <= 0) return
  sentInAll += bytes
  const now = performance.now() / 1000
  ticks.push([now, sentInAll])
  while (ticks.length > 2 && now - (ticks[0]?.[0] ?? now) > WINDOW) ticks.shift()
  const [first] = ticks
  if (first && now > first[0] + 0.2) speed.value = (sentInAll - first[1]) / (now - first[0])
}

uppy.on('files-added', (files: Each[]) => {
  edit((all) => {
    for (const file of files) {
      const { id, name, size, meta } = file
      all.set(id, { id, name: name ?? '', path: meta.path, size: size ?? 0, sent: 0, state: 'waiting' })
    }
  })
  const ids = new Set(files.map((file) => file.id))
  interrupted.value = interrupted.value.filter((upload) => !ids.has(upload.id))
})

uppy.on('upload-progress', (file, progress) => {
  if (!file) return
  const before = (pending ?? uploads.value).get(file.id)
  if (!before || before.state === 'done' || before.state === 'paused') return
  const sent = Number(progress.bytesUploaded)
  // What was there already, from before a reload, is no speed.
  if (before.state === 'going') count(sent - before.sent)
  change(file.id, { sent, state: 'going' })
})

function waitForServer() {
  edit((all) => {
    for (const upload of all.values())
      if (upload.state === 'going') all.set(upload.id, { ...upload, state: 'retrying' })
  })
}

uppy.on('upload-success', (file) => {
  if (!file) return
  change(file.id, { state: 'done', sent: file.size ?? 0 })
  arrivals.announce(file.meta.path)
})

uppy.on('upload-error', (file, error, response) => {
  if (file) change(file.id, { state: 'failed', problem: reason(error, response) })
})

uppy.on('complete', () => {
  speed.value = 0
  ticks.length = 0
  void refreshUsage()
})

function reason(error: Error, response: unknown): string {
  const answer = response as { status?: number; body?: { xhr?: XMLHttpRequest } } | undefined
  const text = answer?.body?.xhr?.responseText
  if (!answer?.status) return 'The server could not be reached. What has arrived is kept: try again later.'
  try {
    return Problem.of(answer.status, JSON.parse(text ?? '')).message
  } catch {
    return error.message
  }
}

// Leaving the page stops what is on its way, so the browser asks first.
addEventListener('beforeunload', (event) => {
  const open = [...uploads.value.values()].some(
    ({ state }) => state === 'going' || state === 'waiting' || state === 'retrying',
  )
  if (open) event.preventDefault()
})
