// The state of uploads, for the panel that shows it. Does not import Uppy, because it is part of the first load.
import { signal } from '@preact/signals'
import { api, Problem, request } from '../api/client'
import { me } from '../session'
import { deleteHandle, deleteHandlesOfOthers, loadHandle } from './file-handles'

export type UploadState = 'waiting' | 'uploading' | 'paused' | 'retrying' | 'done' | 'failed'
export type Upload = {
  id: string
  name: string
  path: string
  size: number
  sent: number
  state: UploadState
  problem?: string
}
/** An upload that a reload interrupted. The bytes that arrived are kept. */
export type InterruptedUpload = {
  /** Uppy's id, the same for the same file. */
  id: string
  /** The server's id. */
  upload: string
  /** The key in the local storage. */
  key: string
  isDirect: boolean
  name: string
  path: string
  size: number
  sent: number
  /** Reopens the file. */
  handle?: FileSystemFileHandle
}
/** What the local storage holds of a direct upload. The tus client saves its own uploads. */
type SavedUpload = { upload: string; name: string; path: string; size: number }

export const uploads = signal<ReadonlyMap<string, Upload>>(new Map())
export const interrupted = signal<InterruptedUpload[]>([])
/** Bytes per second, averaged over the last few seconds. */
export const speed = signal(0)
export const isPaused = signal(false)

export const userId = () => me.value?.id ?? ''

const TUS_KEY = /^tus::tus-(.*)-https?:\/\/.*::\d+$/
const directPrefix = () => `direct::${userId()}::`

export function saveDirectUpload(id: string, upload: SavedUpload) {
  localStorage.setItem(directPrefix() + id, JSON.stringify(upload))
}

export function removeDirectUpload(id: string) {
  localStorage.removeItem(directPrefix() + id)
}

/** The server's id of the upload that was started for a file. */
export function savedDirectUpload(id: string): string | undefined {
  return (JSON.parse(localStorage.getItem(directPrefix() + id) ?? 'null') as SavedUpload | null)?.upload
}

/** The upload as the server knows it; null if it has ended or belongs to another user. */
export async function findOpenUpload(upload: string) {
  try {
    const found = await request(api.GET('/v1/uploads/{id}', { params: { path: { id: upload } } }))
    return found.file_id ? null : found
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

/** Looks for interrupted uploads and asks the server for their progress. */
export async function findInterrupted() {
  void deleteHandlesOfOthers(userId())
  const found: InterruptedUpload[] = []
  for (const key of Object.keys(localStorage)) {
    const saved = parseSaved(key)
    if (!saved || uploads.value.has(saved.id)) continue
    try {
      const open = await findOpenUpload(saved.upload)
      // A tus upload that is not found may belong to another user of this browser. Keys of direct uploads name the user.
      if (open) found.push({ ...saved, sent: open.received ?? 0, handle: await loadHandle(userId(), saved.id) })
      else if (saved.isDirect) localStorage.removeItem(key)
    } catch {
      // The next reload asks again.
    }
  }
  interrupted.value = found
}

function parseSaved(key: string): Omit<InterruptedUpload, 'sent'> | null {
  const value = () => JSON.parse(localStorage.getItem(key) ?? '{}')
  const prefix = directPrefix()
  if (key.startsWith(prefix)) return { ...(value() as SavedUpload), key, id: key.slice(prefix.length), isDirect: true }
  const id = TUS_KEY.exec(key)?.[1]
  if (!id) return null
  const { uploadUrl, metadata, size } = value()
  const upload = new URL(uploadUrl, location.href).pathname.split('/').pop() ?? ''
  return { key, id, upload, isDirect: false, name: metadata.filename, path: metadata.path ?? '', size }
}

/** Cancels an interrupted upload. */
export async function discard(upload: InterruptedUpload) {
  await cancelOnServer(upload.upload)
  localStorage.removeItem(upload.key)
  void deleteHandle(userId(), upload.id)
  interrupted.value = interrupted.value.filter((other) => other.key !== upload.key)
}

/** Cancels an upload on the server, which deletes its bytes. No error if it has ended already. */
export async function cancelOnServer(upload: string) {
  try {
    await request(api.DELETE('/v1/uploads/{id}', { params: { path: { id: upload } } }))
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Problem && (error.status === 404 || error.status === 410)
}
