// What is known of the uploads, for the panel that shows them. No Uppy in here: this is there from the start.
import { signal } from '@preact/signals'
import { api, ask, Problem } from '../api/client'
import { me } from '../session'
import { forgetHandle, forgetHandlesOfOthers, keptHandle } from './file-handles'

export type UploadState = 'waiting' | 'going' | 'paused' | 'retrying' | 'done' | 'failed'
export type Upload = {
  id: string
  name: string
  path: string
  size: number
  sent: number
  state: UploadState
  problem?: string
}
/** An upload that a reload or another day cut off; the bytes that arrived are kept. */
export type Interrupted = {
  /** Uppy's id, the same for the same file. */
  id: string
  /** The server's. */
  upload: string
  /** What this browser knows it by. */
  key: string
  isDirect: boolean
  name: string
  path: string
  size: number
  sent: number
  /** Opens the file again. */
  handle?: FileSystemFileHandle
}
/** What a direct upload leaves in this browser until it is over. Of uploads over tus, its client does so itself. */
type Kept = { upload: string; name: string; path: string; size: number }

export const uploads = signal<ReadonlyMap<string, Upload>>(new Map())
export const interrupted = signal<Interrupted[]>([])
/** Bytes in a second, over the last few. */
export const speed = signal(0)
export const isPaused = signal(false)

export const account = () => me.value?.id ?? ''

const OVER_TUS = /^tus::tus-(.*)-https?:\/\/.*::\d+$/
const direct = () => `direct::${account()}::`

export function keepDirect(id: string, what: Kept) {
  localStorage.setItem(direct() + id, JSON.stringify(what))
}

export function forgetDirect(id: string) {
  localStorage.removeItem(direct() + id)
}

/** The server's id of what was begun for this file. */
export function keptDirect(id: string): string | undefined {
  return (JSON.parse(localStorage.getItem(direct() + id) ?? 'null') as Kept | null)?.upload
}

/** The upload as the server knows it; nothing if it is over, or was never this person's. */
export async function stillOpen(upload: string) {
  try {
    const found = await ask(api.GET('/v1/uploads/{id}', { params: { path: { id: upload } } }))
    return found.file_id ? null : found
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** Looks for uploads that were not finished, and asks the server how far they came. */
export async function findInterrupted() {
  void forgetHandlesOfOthers(account())
  const found: Interrupted[] = []
  for (const key of Object.keys(localStorage)) {
    const known = remembered(key)
    if (!known || uploads.value.has(known.id)) continue
    try {
      const open = await stillOpen(known.upload)
      // What is not there may be another person's, who signs in here too; a direct one's key says whose it is.
      if (open) found.push({ ...known, sent: open.received ?? 0, handle: await keptHandle(account(), known.id) })
      else if (known.isDirect) localStorage.removeItem(key)
    } catch {
      // It is asked for again with the next reload.
    }
  }
  interrupted.value = found
}

function remembered(key: string): Omit<Interrupted, 'sent'> | null {
  const value = () => JSON.parse(localStorage.getItem(key) ?? '{}')
  if (key.startsWith(direct())) return { ...(value() as Kept), key, id: key.slice(direct().length), isDirect: true }
  const id = OVER_TUS.exec(key)?.[1]
  if (!id) return null
  const { uploadUrl, metadata, size } = value()
  const upload = new URL(uploadUrl, location.href).pathname.split('/').pop() ?? ''
  return { key, id, upload, isDirect: false, name: metadata.filename, path: metadata.path ?? '', size }
}

/** Gives an interrupted upload up, and its bytes. */
export async function forget(upload: Interrupted) {
  await giveUp(upload.upload)
  localStorage.removeItem(upload.key)
  void forgetHandle(account(), upload.id)
  interrupted.value = interrupted.value.filter((other) => other.key !== upload.key)
}

/** Has the server take an upload's bytes away, if that is not done. */
export async function giveUp(upload: string) {
  try {
    await ask(api.DELETE('/v1/uploads/{id}', { params: { path: { id: upload } } }))
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Problem && (error.status === 404 || error.status === 410)
}
