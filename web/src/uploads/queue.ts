// Takes files in and sends each the way that suits it. This module is fetched with the first upload.
import { getSafeFileId } from '@uppy/core/utils'
import { getCapabilities } from '../api/capabilities'
import { keepHandle } from './file-handles'
import { described, everyOpen, now, show } from './progress-list'
import { account, interrupted, isPaused, uploads } from './state'
import * as tus from './tus'
import type { Chosen } from './types'

type Direct = typeof import('./direct')

/** Below this no file goes straight to a bucket, whatever the server can do. */
const WORTH_ASKING = 8 * 1024 * 1024

let direct: Direct | null | undefined

/** Takes files in; those of which a part is there already go on from that. */
export async function add(chosen: Chosen[]) {
  const way = chosen.some(({ file }) => file.size > WORTH_ASKING) ? await directly() : null
  isPaused.value = false
  // The same file again is a new upload, once the one before is over.
  for (const { id, state } of now().values()) if (state === 'done') cancel(id)
  const viaServer: Chosen[] = []
  for (const one of chosen) {
    const id = getSafeFileId(described(one) as never, 'uppy')
    // What is sent at once needs no second opening.
    if (one.handle && one.file.size > tus.SMALL) void keepHandle(account(), id, one.handle)
    const begun = interrupted.value.find((upload) => upload.id === id)
    if (way?.has(id)) way.resume(id)
    else if (!way || now().has(id) || !(begun ? begun.isDirect : way.isBig(one.file))) viaServer.push(one)
    else {
      show([{ id, name: one.file.name, path: one.path, size: one.file.size }])
      way.add(id, one)
    }
  }
  if (viaServer.length > 0) tus.add(viaServer)
}

/** The way straight to the bucket, if the server knows one. */
async function directly(): Promise<Direct | null> {
  if (direct === undefined) {
    // If it cannot say, it will have to take the bytes itself.
    const told = await getCapabilities().catch(() => null)
    direct = told?.direct_uploads_to ? await import('./direct') : null
    direct?.setFallback((chosen) => tus.add([chosen]))
  }
  return direct
}

const isDirect = (id: string) => direct?.has(id) ?? false

export function pauseAll() {
  isPaused.value = true
  tus.pauseAll()
  direct?.pauseAll()
  everyOpen('paused')
}

export function resumeAll() {
  isPaused.value = false
  tus.resumeAll()
  everyOpen('waiting')
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

/** Takes what is over off the list. */
export function clearDone() {
  for (const { id, state } of uploads.value.values()) if (state === 'done' || state === 'failed') cancel(id)
}

// Leaving the page stops what is on its way, so the browser asks first.
addEventListener('beforeunload', (event) => {
  const open = [...uploads.value.values()].some(
    ({ state }) => state === 'going' || state === 'waiting' || state === 'retrying',
  )
  if (open) event.preventDefault()
})
