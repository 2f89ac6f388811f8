// Files chosen from the disk, or dropped onto the page, whole folders too.
import { isAbort } from '../api/client'
import { complain } from '../components/toast'
import { joinPath } from '../files/path'
import type { Chosen } from './types'

export async function chooseFiles(path: string, accept: (files: Chosen[]) => unknown = upload) {
  if (!window.showOpenFilePicker) return chooseWithInput(path, accept)
  try {
    const handles = await window.showOpenFilePicker({ multiple: true })
    accept(await Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), path, handle }))))
  } catch (error) {
    if (!isAbort(error)) complain(error)
  }
}

function chooseWithInput(path: string, accept: (files: Chosen[]) => unknown) {
  const input = document.createElement('input')
  input.type = 'file'
  input.multiple = true
  input.onchange = () => void accept([...(input.files ?? [])].map((file) => ({ file, path })))
  input.click()
}

export function chooseFolder(path: string) {
  const input = document.createElement('input')
  input.type = 'file'
  input.webkitdirectory = true
  input.onchange = () => {
    void upload(
      [...(input.files ?? [])].map((file) => ({ file, path: joinPath(path, folderOf(file.webkitRelativePath)) })),
    )
  }
  input.click()
}

/** What was dropped. The browser forgets it when the event is over, so all of it is asked for at once. */
export async function dropped(transfer: DataTransfer, path: string): Promise<Chosen[]> {
  const items = [...transfer.items].map((item) => ({
    entry: item.webkitGetAsEntry(),
    // Some folders it refuses to give; they can be read all the same.
    handle: item.getAsFileSystemHandle?.().catch(() => null),
  }))
  const files = [...transfer.files]
  const chosen: Chosen[] = []
  for (const { entry, handle } of items) {
    const opener = await handle
    if (opener) await open(opener, path, chosen)
    else if (entry) await collect(entry, path, chosen)
  }
  return chosen.length > 0 ? chosen : files.map((file) => ({ file, path }))
}

/** Uploads; what does that is fetched when it is first needed. */
export async function upload(chosen: Chosen[]) {
  if (chosen.length === 0) return
  try {
    const { add } = await import('./queue')
    await add(chosen)
  } catch (error) {
    complain(error)
  }
}

async function open(handle: FileSystemHandle, path: string, chosen: Chosen[]) {
  if (handle instanceof FileSystemFileHandle) {
    chosen.push({ file: await handle.getFile(), path, handle })
  } else if (handle instanceof FileSystemDirectoryHandle) {
    for await (const inside of handle.values()) await open(inside, joinPath(path, handle.name), chosen)
  }
}

async function collect(entry: FileSystemEntry, path: string, chosen: Chosen[]) {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    chosen.push({ file, path })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    // At most a hundred at a time.
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return
    for (const inside of some) await collect(inside, joinPath(path, entry.name), chosen)
  }
}

function folderOf(relative: string): string {
  return relative.split('/').slice(0, -1).join('/')
}
