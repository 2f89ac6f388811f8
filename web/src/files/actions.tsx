// Actions on files and folders. An action on a folder is one request, however much is in it.
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
import { isFile, type Listing } from './listing'
import { folderName, joinPath, parentPath } from './path'
import type { Selection } from './selection'

/** Files per request, within the server's limit. */
const BATCH = 500

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
    else if (name !== entry.name) await moveFolder(entry, joinPath(parentPath(entry.path), name))
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

const nameTaken = (name: string) => `A file or folder named “${name}” already exists here.`

export function moveEntries(listing: Listing, selection: Selection, entries: Entry[]) {
  if (entries.length === 0) return
  const title = entries.length === 1 ? `Move ${entries[0]?.name}` : `Move ${count(entries.length, 'item')}`
  const moveTo = async (target: string) => {
    closeDialog()
    const progress = showToast('Moving…')
    try {
      const files = entries.filter(isFile)
      await inBatches(files, (ids) => ({ op: 'move' as const, ids, path: target }))
      for (const entry of entries) if (!isFile(entry)) await moveFolder(entry, joinPath(target, entry.name))
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
    const files = entries.filter(isFile)
    try {
      for (const { id } of entries.filter((entry) => !isFile(entry))) {
        await request(api.DELETE('/v1/folders/{id}', { params: { path: { id } } }))
      }
      await inBatches(files, (ids) => ({ op: 'delete', ids }))
      const ids = new Set(files.map((file) => file.id))
      listing.remove(ids)
      if (openedFile.value && ids.has(openedFile.value)) openFile(null)
      if (hasTrash) showToast(`Moved ${what} to trash`, { label: 'Undo', run: () => restore(entries, listing) })
      else showToast(`Deleted ${what}`)
    } finally {
      selection.clear()
      void refreshUsage()
      await listing.refresh()
    }
  }
  const folders = entries.filter((entry): entry is Folder => !isFile(entry))
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

/** "7 files", of all these folders. */
async function countFiles(folders: Folder[]): Promise<string> {
  let found = 0
  for (const folder of folders) {
    const query = { under: folder.path, total: true, limit: 1 }
    found += (await request(api.GET('/v1/files', { params: { query } }))).total ?? 0
  }
  return count(found, 'file')
}

/** Whether deleted files can be restored. Asked once. */
let hasTrash: boolean | undefined

async function restore(entries: Entry[], listing: Listing) {
  try {
    for (const entry of entries) {
      const params = { path: { id: entry.id } }
      if (isFile(entry)) await request(api.POST('/v1/trash/{id}/restore', { params }))
      else await request(api.POST('/v1/trashed-folders/{id}/restore', { params }))
    }
    showToast(`Restored ${count(entries.length, entries.every(isFile) ? 'file' : 'item')}`)
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

async function moveFolder(folder: Folder, path: string) {
  if (path === folder.path) return
  try {
    await request(api.PATCH('/v1/folders/{id}', { params: { path: { id: folder.id } }, body: { path } }))
  } catch (error) {
    if (!(error instanceof Problem)) throw error
    if (error.code === 'path_taken') throw new Error(nameTaken(folderName(path)))
    throw error.code === 'into_itself' ? new Error('You can’t move a folder into itself.') : error
  }
}

/** Creates a folder and opens it. */
export function newFolder(path: string) {
  const submit = async (data: FormData) => {
    const name = String(data.get('name')).trim()
    try {
      const created = await request(api.POST('/v1/folders', { body: { path: joinPath(path, name) } }))
      closeDialog()
      navigate(folderUrl(created.path))
    } catch (error) {
      throw error instanceof Problem && error.code === 'path_taken' ? new Error(nameTaken(name)) : error
    }
  }
  showDialog(() => (
    <Dialog title="New folder">
      <Form submit="Create folder" onSubmit={submit}>
        <Field
          label="Name"
          name="name"
          required
          autoComplete="off"
          pattern="[^\/\\]+"
          title="Names can’t contain / or \"
          autofocus
        />
      </Form>
    </Dialog>
  ))
}
