// What can be done with files and folders. A folder is its files: what is done to it is done to each of them.

import { showTrail } from '../activity/show-activity'
import { batchSize } from '../api/capabilities'
import { api, ask, downloadUrl, type Folder, type StoredFile } from '../api/client'
import { closeDialog, confirm, Dialog, Field, Form, showDialog } from '../components/dialog'
import type { MenuItem } from '../components/menu'
import { complain, dismiss, say } from '../components/toast'
import { count } from '../format'
import { folderUrl, navigate, open, opened } from '../router'
import { refreshUsage } from '../session'
import { shareFile } from '../sharing/share'
import { FolderPicker } from './folder-picker'
import { isFile, type Listing, walk } from './listing'
import { joinPath, parentPath } from './path'
import type { Selection } from './selection'

/** Files in one request, where the server allows that many. */
const BATCH = 500

type Entry = Folder | StoredFile

export function openEntry(entry: Entry) {
  if (isFile(entry)) open(entry.id)
  else navigate(folderUrl(entry.path))
}

export function actions(listing: Listing, selection: Selection, entry: Entry): MenuItem[] {
  const chosen = selection.has(entry) ? selection.entries() : [entry]
  const many = chosen.length > 1
  const items: MenuItem[] = []
  if (!many) {
    items.push({ label: 'Open', icon: isFile(entry) ? 'file' : 'folder', run: () => openEntry(entry) })
    if (isFile(entry)) {
      items.push({ label: 'Download', icon: 'download', run: () => download(entry) })
      items.push({ label: 'Share…', icon: 'link', run: () => shareFile(entry) })
      items.push({ label: 'Who can read it…', icon: 'people', run: () => shareFile(entry, 'access') })
      items.push({ label: 'Trail…', icon: 'clock', run: () => showTrail(entry) })
      if (listing.wanted.query) {
        items.push({ label: 'Show in its folder', icon: 'home', run: () => navigate(folderUrl(entry.path)) })
      }
    }
    items.push({ label: 'Rename…', icon: 'pencil', run: () => renameEntry(listing, entry) })
  }
  items.push({ label: 'Move…', icon: 'move', run: () => moveEntries(listing, selection, chosen) })
  items.push({ label: 'Delete', icon: 'trash', danger: true, run: () => removeEntries(listing, selection, chosen) })
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
    if (isFile(entry)) {
      const body = { name }
      listing.replace(await ask(api.PATCH('/v1/files/{id}', { params: { path: { id: entry.id } }, body })))
    } else if (name !== entry.name) {
      await moveFolder(entry, parentPath(entry.path), name)
    }
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

export function moveEntries(listing: Listing, selection: Selection, entries: Entry[]) {
  if (entries.length === 0) return
  const title = entries.length === 1 ? `Move ${entries[0]?.name}` : `Move ${count(entries.length, 'item')}`
  const moveTo = async (target: string) => {
    closeDialog()
    const working = say('Moving…')
    try {
      const files = entries.filter(isFile)
      await inBatches(files, (ids) => ({ op: 'move' as const, ids, path: target }))
      for (const entry of entries) if (!isFile(entry)) await moveFolder(entry, target, entry.name)
      say(`Moved to ${target || 'Files'}.`, { label: 'Show', run: () => navigate(folderUrl(target)) })
    } catch (error) {
      complain(error)
    } finally {
      dismiss(working)
      selection.clear()
      await listing.refresh()
    }
  }
  showDialog(() => (
    <Dialog title={title}>
      <FolderPicker start={listing.wanted.path} onPick={moveTo} />
    </Dialog>
  ))
}

/** Moves into the trash, from where it can be had back at once. Asks first where the server keeps none. */
export async function removeEntries(listing: Listing, selection: Selection, entries: Entry[]) {
  const [first] = entries
  if (!first) return
  const what = entries.length === 1 ? `“${first.name}”` : count(entries.length, 'item')
  const remove = async () => {
    const removed = entries.filter(isFile)
    try {
      for (const entry of entries) {
        if (!isFile(entry)) for await (const files of walk(entry.path)) removed.push(...files)
      }
      await inBatches(removed, (ids) => ({ op: 'delete', ids }))
      const ids = new Set(removed.map((file) => file.id))
      listing.remove(ids)
      if (opened.value && ids.has(opened.value)) open(null)
      const undo = { label: 'Undo', run: () => restore([...ids], listing) }
      say(keepsTrash ? `${what} is in the trash.` : `Deleted ${what}.`, keepsTrash ? undo : undefined)
    } finally {
      selection.clear()
      void refreshUsage()
      await listing.refresh()
    }
  }
  try {
    keepsTrash ??= (await ask(api.GET('/v1/trash', { params: { query: { limit: 1 } } }))).retention > 0
    if (keepsTrash && entries.every(isFile)) return await remove()
  } catch (error) {
    return complain(error)
  }
  const inside = entries.every(isFile) ? '' : 'Everything in the folders goes with them. '
  const back = keepsTrash ? 'It can be restored from the trash.' : 'This server keeps no trash: this cannot be undone.'
  confirm(`Delete ${what}?`, inside + back, 'Delete', async () => {
    await remove()
    closeDialog()
  })
}

/** Whether what is deleted can be had back; asked once. */
let keepsTrash: boolean | undefined

async function restore(ids: string[], listing: Listing) {
  try {
    for (const id of ids) await ask(api.POST('/v1/trash/{id}/restore', { params: { path: { id } } }))
    say(`${count(ids.length, 'file')} restored.`)
  } catch (error) {
    complain(error)
  }
  void refreshUsage()
  await listing.refresh()
}

type Batch = { op: 'delete' | 'move'; ids: string[]; path?: string }

/** Does one thing with many files. Fails if one of them fails, after all were tried. */
async function inBatches(files: StoredFile[], batch: (ids: string[]) => Batch) {
  let refused: string | undefined
  const size = await batchSize(BATCH)
  for (let at = 0; at < files.length; at += size) {
    const part = files.slice(at, at + size)
    const body = batch(part.map((file) => file.id))
    const { items } = await ask(api.POST('/v1/files/batch', { body }))
    const failed = items.find((item) => item.status >= 400 && item.status !== 404)
    if (failed) refused ??= `${part.find((file) => file.id === failed.id)?.name}: ${failed.detail}`
  }
  if (refused) throw new Error(refused)
}

async function moveFolder(folder: Folder, target: string, name: string) {
  const to = joinPath(target, name)
  if (to === folder.path) return
  if (`${to}/`.startsWith(`${folder.path}/`)) throw new Error('A folder cannot be moved into itself.')
  // What was moved is no longer on the first page, so that the first page is asked for until it is empty.
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

/** A folder is there once a file is in it: a new one is a place to go to. */
export function newFolder(path: string) {
  const submit = (data: FormData) => {
    const name = String(data.get('name')).trim()
    closeDialog()
    navigate(folderUrl(joinPath(path, name)))
  }
  showDialog(() => (
    <Dialog title="New folder">
      <Form submit="Open it" onSubmit={submit}>
        <Field
          label="Name"
          name="name"
          required
          autoComplete="off"
          pattern="[^\/\\]+"
          title="Without slashes"
          autofocus
          hint="The folder appears in the list with the first file that you put in it."
        />
      </Form>
    </Dialog>
  ))
}
