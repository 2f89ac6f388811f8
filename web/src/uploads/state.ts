// What is known of the uploads, for the panel that shows them. No Uppy in here: this is there from the start.
import { signal } from '@preact/signals'

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
  key: string
  name: string
  path: string
  size: number
  sent: number
  url: string
  id: string
}

export const uploads = signal<ReadonlyMap<string, Upload>>(new Map())
export const interrupted = signal<Interrupted[]>([])
/** Bytes in a second, over the last few. */
export const speed = signal(0)
export const isPaused = signal(false)

const KEY = /^tus::tus-(.*)-https?:\/\/.*::\d+$/

/** Looks for uploads that were not finished, and asks the server how far they came. */
export async function findInterrupted() {
  const found: Interrupted[] = []
  for (const key of Object.keys(localStorage)) {
    const id = KEY.exec(key)?.[1]
    if (!id || uploads.value.has(id)) continue
    const kept = JSON.parse(localStorage.getItem(key) ?? '{}')
    const url = new URL(kept.uploadUrl, location.href).pathname
    const answer = await fetch(url, { method: 'HEAD', headers: { 'Tus-Resumable': '1.0.0' } }).catch(() => null)
    if (!answer) continue
    // 404 may be another person's, who signs in here too.
    if (answer.status === 410) localStorage.removeItem(key)
    const sent = Number(answer.headers.get('Upload-Offset'))
    if (answer.ok && sent === kept.size) localStorage.removeItem(key)
    else if (answer.ok) {
      found.push({ key, id, url, sent, name: kept.metadata.filename, path: kept.metadata.path ?? '', size: kept.size })
    }
  }
  interrupted.value = found
}

/** Gives an interrupted upload up, and its bytes. */
export async function forget(upload: Interrupted) {
  await fetch(upload.url, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0' } })
  localStorage.removeItem(upload.key)
  interrupted.value = interrupted.value.filter((other) => other.key !== upload.key)
}
