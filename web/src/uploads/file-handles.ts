// File handles (File System Access API), with which the page reopens files after a reload, in browsers that support it.
// Stored until the upload ends, the user signs out, or another user signs in.
import { clear, createStore, delMany, get, keys, set } from 'idb-keyval'

declare global {
  interface FileSystemHandle {
    queryPermission(descriptor: { mode: 'read' }): Promise<PermissionState>
    requestPermission(descriptor: { mode: 'read' }): Promise<PermissionState>
  }
  interface DataTransferItem {
    getAsFileSystemHandle?(): Promise<FileSystemHandle | null>
  }
  interface Window {
    showOpenFilePicker?(options: { multiple: boolean }): Promise<FileSystemFileHandle[]>
  }
}

const store = createStore('strongroom', 'handles')
const keyOf = (user: string, id: string) => `${user}/${id}`
// If storage is unavailable, the file has to be selected again, as in browsers without handles.
const ignore = () => undefined

export function saveHandle(user: string, id: string, handle: FileSystemFileHandle): Promise<unknown> {
  return set(keyOf(user, id), handle, store).catch(ignore)
}

export function loadHandle(user: string, id: string): Promise<FileSystemFileHandle | undefined> {
  return get<FileSystemFileHandle>(keyOf(user, id), store).catch(ignore)
}

export function deleteHandle(user: string, id: string): Promise<unknown> {
  return delMany([keyOf(user, id)], store).catch(ignore)
}

/** Deletes the handles of all users but this one. */
export async function deleteHandlesOfOthers(user: string): Promise<void> {
  const all = await keys<string>(store).catch(() => [])
  const others = all.filter((key) => !key.startsWith(keyOf(user, '')))
  if (others.length > 0) await delMany(others, store).catch(ignore)
}

export function deleteAllHandles(): Promise<unknown> {
  return clear(store).catch(ignore)
}

/** Opens the file again; null if the user denies permission. */
export async function reopenFile(handle: FileSystemFileHandle): Promise<File | null> {
  const granted =
    (await handle.queryPermission({ mode: 'read' })) === 'granted' ||
    (await handle.requestPermission({ mode: 'read' })) === 'granted'
  return granted ? handle.getFile() : null
}
