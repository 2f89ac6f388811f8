// What the panel shows of uploads, written down as they go. The same for every way that they go.
import type { Body, Meta, Uppy, UppyFile } from '@uppy/core'
import { refreshUsage } from '../session'
import { forgetHandle } from './file-handles'
import { arrivals } from './list-refresh'
import { account, interrupted, speed, type Upload, type UploadState, uploads } from './state'
import type { Chosen } from './types'

/** Sent at the same time. */
export const AT_ONCE = 3
/** A server that restarts is waited for: about ten minutes. */
export const RETRIES = [0, 500, 1000, 2000, 3000, 5000, ...Array<number>(60).fill(10_000)]
/** Seconds over which the speed is measured. */
const WINDOW = 4

export type Sent = Meta & { path: string }
export type Each = UppyFile<Sent, Body>

/** A file in Uppy's words; whichever way it goes, it gets the same id. */
export function described({ file, path }: Chosen) {
  // The place is part of what tells uploads apart, so the same file may go to two folders.
  const meta = { path, relativePath: `${path}/${file.name}` } as never
  return { source: 'page', name: file.name, type: file.type, data: file, meta }
}

/** Has the panel follow what goes this way. */
export function follow(uppy: Uppy<Sent, Body>) {
  uppy.on('upload-progress', (file, progress) => {
    if (!file) return
    const before = now().get(file.id)
    if (!before || before.state === 'done' || before.state === 'paused') return
    const sent = Number(progress.bytesUploaded)
    // What was there already, from before a reload, is no speed.
    if (before.state === 'going') count(sent - before.sent)
    change(file.id, { sent, state: 'going' })
  })
  uppy.on('upload-success', (file) => file && arrived(file.id))
}

/** Takes files onto the list. */
export function show(files: Pick<Upload, 'id' | 'name' | 'path' | 'size'>[]) {
  edit((all) => {
    for (const { id, name, path, size } of files) all.set(id, { id, name, path, size, sent: 0, state: 'waiting' })
  })
  const ids = new Set(files.map((file) => file.id))
  interrupted.value = interrupted.value.filter((upload) => !ids.has(upload.id))
}

/** The list as it will be shown with the next frame. */
export function now(): ReadonlyMap<string, Upload> {
  return pending ?? uploads.value
}

export function change(id: string, what: Partial<Upload>) {
  edit((all) => {
    const upload = all.get(id)
    if (upload) all.set(id, { ...upload, ...what })
  })
}

export function everyOpen(state: UploadState) {
  edit((all) => {
    for (const upload of all.values()) {
      if (upload.state !== 'done' && upload.state !== 'failed') all.set(upload.id, { ...upload, state })
    }
  })
}

export function arrived(id: string) {
  const upload = now().get(id)
  if (!upload) return
  change(id, { state: 'done', sent: upload.size })
  arrivals.announce(upload.path)
  over(id)
}

export function failed(id: string, problem: string) {
  change(id, { state: 'failed', problem })
  rest()
}

/** Takes a file off the list. */
export function remove(id: string) {
  edit((all) => all.delete(id))
  over(id)
}

function over(id: string) {
  void forgetHandle(account(), id)
  rest()
}

/** When nothing is on its way any more, what is left of the quota is asked for. */
function rest() {
  if ([...now().values()].some(({ state }) => state !== 'done' && state !== 'failed')) return
  speed.value = 0
  ticks.length = 0
  refreshUsage().catch(() => {})
}

// The signal changes once a frame, however many files are on their way.
let pending: Map<string, Upload> | null = null

export function edit(how: (all: Map<string, Upload>) => unknown) {
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
