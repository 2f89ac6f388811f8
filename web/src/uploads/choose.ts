// Files chosen from the disk, or dropped onto the page, whole folders too.
import { complain } from '../parts/toast'

/** A file of this machine, and the folder that it goes to. */
export type Chosen = { file: File; path: string }

export function chooseFiles(path: string, accept?: (files: Chosen[]) => unknown) {
  const input = document.createElement('input')
  input.type = 'file'
  input.multiple = true
  input.onchange = () => {
    const chosen = [...(input.files ?? [])].map((file) => ({ file, path }))
    void (accept ?? upload)(chosen)
  }
  input.click()
}

export function chooseFolder(path: string) {
  const input = document.createElement('input')
  input.type = 'file'
  input.webkitdirectory = true
  input.onchange = () => {
    void upload([...(input.files ?? [])].map((file) => ({ file, path: join(path, folderOf(file.webkitRelativePath)) })))
  }
  input.click()
}

/** What was dropped. The browser forgets it when the event is over, so all of it is asked for at once. */
export async function dropped(transfer: DataTransfer, path: string): Promise<Chosen[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  if (entries.length === 0) return [...transfer.files].map((file) => ({ file, path }))
  const chosen: Chosen[] = []
  for (const entry of entries) await collect(entry, path, chosen)
  return chosen
}

/** Uploads; what does that is fetched when it is first needed. */
export async function upload(chosen: Chosen[]) {
  if (chosen.length === 0) return
  try {
    const { add } = await import('./queue')
    add(chosen)
  } catch (error) {
    complain(error)
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
    for (const inside of some) await collect(inside, join(path, entry.name), chosen)
  }
}

function folderOf(relative: string): string {
  return relative.split('/').slice(0, -1).join('/')
}

function join(...parts: string[]): string {
  return parts.filter(Boolean).join('/')
}
