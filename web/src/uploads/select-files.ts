// Selecting files: with a file dialog, or by dropping files and whole folders onto the page.
import { isAbort } from '../api/client'
import { showError } from '../components/toast'
import { joinPath } from '../files/path'
import type { SelectedFile } from './types'

export async function selectFiles(path: string, accept: (files: SelectedFile[]) => unknown = upload) {
  if (!window.showOpenFilePicker) return selectWithInput(path, accept)
  try {
    const handles = await window.showOpenFilePicker({ multiple: true })
    accept(await Promise.all(handles.map(async (handle) => ({ file: await handle.getFile(), path, handle }))))
  } catch (error) {
    if (!isAbort(error)) showError(error)
  }
}

function selectWithInput(path: string, accept: (files: SelectedFile[]) => unknown) {
  const input = document.createElement('input')
  input.type = 'file'
  input.multiple = true
  input.onchange = () => void accept([...(input.files ?? [])].map((file) => ({ file, path })))
  input.click()
}

export function selectFolder(path: string) {
  const input = document.createElement('input')
  input.type = 'file'
  input.webkitdirectory = true
  input.onchange = () => {
    const files = [...(input.files ?? [])]
    void upload(files.map((file) => ({ file, path: joinPath(path, folderOf(file.webkitRelativePath)) })))
  }
  input.click()
}

/** The dropped files. Browsers clear the transfer when the event ends, so everything is requested synchronously. */
export async function readDrop(transfer: DataTransfer, path: string): Promise<SelectedFile[]> {
  const items = [...transfer.items].map((item) => ({
    entry: item.webkitGetAsEntry(),
    // Refused for some folders, which can be read as entries all the same.
    handle: item.getAsFileSystemHandle?.().catch(() => null),
  }))
  const files = [...transfer.files]
  const selected: SelectedFile[] = []
  for (const { entry, handle: pending } of items) {
    const handle = await pending
    if (handle) await readHandle(handle, path, selected)
    else if (entry) await readEntry(entry, path, selected)
  }
  return selected.length > 0 ? selected : files.map((file) => ({ file, path }))
}

/** Uploads files. The code for that is fetched when it is first needed. */
export async function upload(files: SelectedFile[]) {
  if (files.length === 0) return
  try {
    const { add } = await import('./queue')
    await add(files)
  } catch (error) {
    showError(error)
  }
}

async function readHandle(handle: FileSystemHandle, path: string, selected: SelectedFile[]) {
  if (handle instanceof FileSystemFileHandle) {
    selected.push({ file: await handle.getFile(), path, handle })
  } else if (handle instanceof FileSystemDirectoryHandle) {
    for await (const child of handle.values()) await readHandle(child, joinPath(path, handle.name), selected)
  }
}

async function readEntry(entry: FileSystemEntry, path: string, selected: SelectedFile[]) {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    selected.push({ file, path })
    return
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  for (;;) {
    // Browsers return at most a hundred entries per call.
    const children = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (children.length === 0) return
    for (const child of children) await readEntry(child, joinPath(path, entry.name), selected)
  }
}

function folderOf(relativePath: string): string {
  return relativePath.split('/').slice(0, -1).join('/')
}
