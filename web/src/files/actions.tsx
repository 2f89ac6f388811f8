// Actions on files and folders. A folder consists of its files: an action on it is applied to each of them.
import { showActivity } from '../activity/show-activity'
import { batchSize } from '../api/capabilities'
import { api, downloadUrl, type Folder, Problem, request, type StoredFile } from '../api/client'
import { closeDialog, confirmDialog, Dialog, Field, Form, showDialog } from '../components/dialog'
import type { MenuItem } from '../components/menu'
import { dismiss, showError, showToast } from '../components/toast'
import { count } from '../format'
import { folderUrl, navigate, openedFile, openFile } from '../router'
import { refreshUsage } from '../session'
import { shareFile } from '../sharing/share'
import { FolderPicker } from './folder-picker'
import { isFile, type Listing, walk } from './listing'
import { folderName, joinPath, parentPath } from './path'
import type { Selection } from './selection'

/** Files per request, within the server's limit. */
const BATCH = 500

/** Files in folders that are counted before the user is asked whether to delete them. */
const MAX_COUNTED = 5000

type Entry = Folder | StoredFile

export function openEntry(entry: Entry) {
  if (isFile(entry)) openFile(entry.id)
  else navigate(folderUrl(entry.path))
}

/** The menu of an entry; if the entry is selected, the menu of the whole selection. */
export function menuItems(listing: Listing, selection: Selection, entry: Entry): MenuItem[] {
  const entries = selection.has(entry) ? selection.entries() : [entry]
  const items: MenuItem[] = []
  if (entries.length === 1) {
    items.push({ label: 'Open', icon: isFile(entry) ? 'file' : 'folder', run: () => openEntry(entry) })
    if (isFile(entry)) {
      items.push({ label: 'Download', icon: 'download', run: () => download(entry) })
      items.push({ label: 'Share…', icon: 'link', run: () => shareFile(entry) })
      items.push({ label: 'Access…', icon: 'people', run: () => shareFile(entry, 'access') })
      items.push({ label: 'Activity…', icon: 'clock', run: () => showActivity(entry) })
      if (listing.options.query) {
        items.push({ label: 'Show in folder', icon: 'home', run: () => navigate(folderUrl(entry.path)) })
      }
    }
    items.push({ label: 'Rename…', icon: 'pencil', run: () => renameEntry(listing, entry) })
  }
  items.push({ label: 'Move…', icon: 'move', run: () => moveEntries(listing, selection, entries) })
  items.push({ label: 'Delete', icon: 'trash', danger: true, run: () => deleteEntries(listing, selection, entries) })
  return items
}

export function download(file: StoredFile) {
  const link = document.createElement('a')
  link.href = downloadUrl(file.id)
  link.download = file.name
  link.click()
}

export function renameEntry(listing: Listing, entry: Entry) {
  const stem = isFile(entry) && entry.name.lastIndexOf('.') > 0 ? entry.name.lastIndexOf('.') : entry.name.length
  const submit = async (data: FormData) => {
    const name = String(data.get('name')).trim()
    if (isFile(entry)) listing.replace(await renameFile(entry, name))
    else if (name !== entry.name) await moveFolder(entry, parentPath(entry.path), name)
    closeDialog()
    await listing.refresh()
  }
  showDialog(() => (
    <Dialog title={`Rename ${isFile(entry) ? 'file' : 'folder'}`}>
      <Form submit="Rename" onSubmit={submit}>
        <Field
          label="Name"
          name="name"
          required
          autoComplete="off"
          spellcheck={false}
          defaultValue={entry.name}
          autofocus
          onFocus={(event) => event.currentTarget.setSelectionRange(0, stem)}
        />
      </Form>
    </Dialog>
  ))
}

async function renameFile(file: StoredFile, name: string): Promise<StoredFile> {
  try {
    return await request(api.PATCH('/v1/files/{id}', { params: { path: { id: file.id } }, body: { name } }))
  } catch (error) {
    throw error instanceof Problem && error.code === 'path_taken' ? new Error(nameTaken(name)) : error
  }
}

const nameTaken = (name: string) => `A file named “${name}” already exists here.`

export function moveEntries(listing: Listing, selection: Selection, entries: Entry[]) {
  if (entries.length === 0) return
  const title = entries.length === 1 ? `Move ${entries[0]?.name}` : `Move ${count(entries.length, 'item')}`
  const moveTo = async (target: string) => {
    closeDialog()
    const progress = showToast('Moving…')
    try {
      const files = entries.filter(isFile)
      await inBatches(files, (ids) => ({ op: 'move' as const, ids, path: target }))
      for (const entry of entries) if (!isFile(entry)) await moveFolder(entry, target, entry.name)
      showToast(`Moved to ${folderName(target)}`, { label: 'Show', run: () => navigate(folderUrl(target)) })
    } catch (error) {
      showError(error)
    } finally {
      dismiss(progress)
      selection.clear()
      await listing.refresh()
    }
  }
  showDialog(() => (
    <Dialog title={title}>
      <FolderPicker start={listing.options.path} onPick={moveTo} />
    </Dialog>
  ))
}

/** Moves entries to trash and offers to undo that. Asks first for folders, and if the server has no trash. */
export async function deleteEntries(listing: Listing, selection: Selection, entries: Entry[]) {
  const [first] = entries
  if (!first) return
  const what = entries.length === 1 ? `“${first.name}”` : count(entries.length, 'item')
  const run = async () => {
    const deleted = entries.filter(isFile)
    try {
      for (const entry of entries) {
        if (!isFile(entry)) for await (const files of walk(entry.path)) deleted.push(...files)
      }
      await inBatches(deleted, (ids) => ({ op: 'delete', ids }))
      const ids = new Set(deleted.map((file) => file.id))
      listing.remove(ids)
      if (openedFile.value && ids.has(openedFile.value)) openFile(null)
      if (hasTrash) showToast(`Moved ${what} to trash`, { label: 'Undo', run: () => restore([...ids], listing) })
      else showToast(`Deleted ${what}`)
    } finally {
      selection.clear()
      void refreshUsage()
      await listing.refresh()
    }
  }
  const folders = entries.filter((entry) => !isFile(entry))
  let contents = what
  try {
    hasTrash ??= (await request(api.GET('/v1/trash', { params: { query: { limit: 1 } } }))).retention > 0
    if (hasTrash && folders.length === 0) return await run()
    if (folders.length > 0) contents = withFiles(what, entries.length, await countFiles(folders))
  } catch (error) {
    return showError(error)
  }
  const text = hasTrash
    ? `${contents} will move to trash.`
    : `${contents} will be deleted permanently. This server has no trash.`
  confirmDialog(`Delete ${what}?`, text, 'Delete', run)
}

/** "“Project” and its 7 files" */
function withFiles(what: string, entries: number, files: string): string {
  return entries === 1 ? `${what} and its ${files}` : `${what}, with ${files} in folders,`
}

/** "7 files", of all these folders. Large numbers are not counted to the end. */
async function countFiles(folders: Folder[]): Promise<string> {
  let found = 0
  for (const folder of folders) {
    for await (const files of walk(folder.path)) {
      found += files.length
      if (found > MAX_COUNTED) return `more than ${count(MAX_COUNTED, 'file')}`
    }
  }
  return count(found, 'file')
}

/** Whether deleted files can be restored. Asked once. */
let hasTrash: boolean | undefined

async function restore(ids: string[], listing: Listing) {
  try {
    for (const id of ids) await request(api.POST('/v1/trash/{id}/restore', { params: { path: { id } } }))
    showToast(`Restored ${count(ids.length, 'file')}`)
  } catch (error) {
    showError(error)
  }
  void refreshUsage()
  await listing.refresh()
}

type Batch = { op: 'delete' | 'move'; ids: string[]; path?: string }

/** Applies one operation to many files. Fails if it fails for one of them, after all were tried. */
async function inBatches(files: StoredFile[], batch: (ids: string[]) => Batch) {
  let message: string | undefined
  const size = await batchSize(BATCH)
  for (let start = 0; start < files.length; start += size) {
    const part = files.slice(start, start + size)
    const body = batch(part.map((file) => file.id))
    const { items } = await request(api.POST('/v1/files/batch', { body }))
    const failed = items.find((item) => item.status >= 400 && item.status !== 404)
    if (failed) {
      const name = part.find((file) => file.id === failed.id)?.name ?? ''
      message ??= failed.code === 'path_taken' ? nameTaken(name) : `${name}: ${failed.detail}`
    }
  }
  if (message) throw new Error(message)
}

async function moveFolder(folder: Folder, target: string, name: string) {
  const to = joinPath(target, name)
  if (to === folder.path) return
  if (`${to}/`.startsWith(`${folder.path}/`)) throw new Error('You can’t move a folder into itself.')
  // Moved files leave the listing, so the first page is requested until it is empty.
  for (;;) {
    const page = await walk(folder.path).next()
    const files: StoredFile[] = page.value ?? []
    if (files.length === 0) return
    for (const path of new Set(files.map((file) => file.path))) {
      const group = files.filter((file) => file.path === path)
      await inBatches(group, (ids) => ({ op: 'move', ids, path: to + path.slice(folder.path.length) }))
    }
  }
}

/** Opens a folder that does not exist yet: folders exist while they contain files. */
export function newFolder(path: string) {
  const submit = (data: FormData) => {
    const name = String(data.get('name')).trim()
    closeDialog()
    navigate(folderUrl(joinPath(path, name)))
  }
  showDialog(() => (
    <Dialog title="New folder">
      <Form submit="Open folder" onSubmit={submit}>
        <Field
          label="Name"
          name="name"
          required
          autoComplete="off"
          pattern="[^\/\\]+"
          title="Names can’t contain / or \"
          autofocus
          hint="The folder is created with the first file that you add to it."
        />
      </Form>
    </Dialog>
  ))
}
