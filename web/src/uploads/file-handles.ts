// What the browser gave along with a file so that it can be opened again after a reload, where it does so at all
// (File System Access). Kept until the upload is over, the person signs out, or another one signs in.
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
const keyOf = (account: string, id: string) => `${account}/${id}`
// Without a place for it the file has to be chosen again, as where there are no handles.
const unkept = () => undefined

export function keepHandle(account: string, id: string, handle: FileSystemFileHandle): Promise<unknown> {
  return set(keyOf(account, id), handle, store).catch(unkept)
}

export function keptHandle(account: string, id: string): Promise<FileSystemFileHandle | undefined> {
  return get<FileSystemFileHandle>(keyOf(account, id), store).catch(unkept)
}

export function forgetHandle(account: string, id: string): Promise<unknown> {
  return delMany([keyOf(account, id)], store).catch(unkept)
}

/** Leaves nothing of anybody else. */
export async function forgetHandlesOfOthers(account: string): Promise<void> {
  const all = await keys<string>(store).catch(() => [])
  const others = all.filter((key) => !key.startsWith(keyOf(account, '')))
  if (others.length > 0) await delMany(others, store).catch(unkept)
}

export function forgetAllHandles(): Promise<unknown> {
  return clear(store).catch(unkept)
}

/** The file, if the person lets the page read it again; asks them if it has to. */
export async function openAgain(handle: FileSystemFileHandle): Promise<File | null> {
  const allowed =
    (await handle.queryPermission({ mode: 'read' })) === 'granted' ||
    (await handle.requestPermission({ mode: 'read' })) === 'granted'
  return allowed ? handle.getFile() : null
}
