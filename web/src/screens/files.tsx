// The files and folders of a folder, or the results of a search.
import { useEffect, useMemo, useState } from 'preact/hooks'
import { pathOf } from '../base'
import { Icon } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { deleteEntries, moveEntries, newFolder } from '../files/actions'
import { List } from '../files/list'
import { Listing, type Sort } from '../files/listing'
import { Selection } from '../files/selection'
import { count, number } from '../format'
import { Preview } from '../preview/preview'
import { folderUrl, openedFile } from '../router'
import { onFilesAdded } from '../uploads/list-refresh'
import { selectFiles, selectFolder } from '../uploads/select-files'
import { Search } from './search'

const SORT_KEY = 'strongroom-sort'

export default function Files({ path, query }: { path: string; query: string }) {
  const [sort, setSort] = useState<Sort>(() => (sessionStorage.getItem(SORT_KEY) as Sort) || 'name')
  const listing = useMemo(() => new Listing({ path, query, sort }), [path, query, sort])
  const selection = useMemo(() => new Selection(listing), [listing])

  useEffect(() => {
    void listing.refresh()
    return () => listing.stop()
  }, [listing])
  useEffect(() => onFilesAdded(path, query !== '', () => void listing.refresh()), [listing, path, query])
  useEffect(() => {
    document.title = `${query ? `“${query}”` : path.split('/').pop() || 'Files'} · Strongroom`
  }, [path, query])

  const onSort = (next: Sort) => {
    sessionStorage.setItem(SORT_KEY, next)
    setSort(next)
  }
  return (
    <>
      <header class="toolbar">
        <Breadcrumbs path={path} query={query} />
        <Search query={query} />
      </header>
      {selection.keys.value.size > 0 ? (
        <SelectionBar listing={listing} selection={selection} />
      ) : (
        <Bar path={path} query={query} listing={listing} />
      )}
      {listing.error.value && !listing.ready.value ? (
        <Failed error={listing.error.value} retry={() => void listing.refresh()} />
      ) : !listing.ready.value ? (
        <Loading />
      ) : listing.length === 0 ? (
        <NoFiles path={path} query={query} />
      ) : (
        <List listing={listing} selection={selection} sort={sort} onSort={onSort} />
      )}
      {openedFile.value && <Preview key="preview" id={openedFile.value} listing={listing} />}
    </>
  )
}

function Breadcrumbs({ path, query }: { path: string; query: string }) {
  const parts = path ? path.split('/') : []
  return (
    <nav class="crumbs" aria-label="Folder">
      <ol>
        <li>{parts.length === 0 && !query ? <h1>Files</h1> : <a href={pathOf('/')}>Files</a>}</li>
        {query && (
          <li>
            <h1>Search</h1>
          </li>
        )}
        {parts.map((part, index) => {
          const last = index === parts.length - 1
          return (
            <li key={parts.slice(0, index + 1).join('/')}>
              {last ? <h1>{part}</h1> : <a href={folderUrl(parts.slice(0, index + 1).join('/'))}>{part}</a>}
            </li>
          )
        })}
      </ol>
    </nav>
  )
}

function Bar({ path, query, listing }: { path: string; query: string; listing: Listing }) {
  return (
    <div class="bar">
      <p class="hint" aria-live="polite">
        {listing.ready.value && listing.length > 0 && summary(listing)}
      </p>
      {!query && (
        <div class="buttons">
          <button type="button" onClick={() => newFolder(path)}>
            <Icon name="plus" size={18} /> <span>New folder</span>
          </button>
          <button type="button" onClick={() => selectFolder(path)}>
            <Icon name="folder" size={18} /> <span>Upload folder</span>
          </button>
          <button type="button" class="primary" onClick={() => selectFiles(path)}>
            <Icon name="upload" size={18} /> <span>Upload</span>
          </button>
        </div>
      )}
    </div>
  )
}

/** "2 folders, first 200 files": more files are loaded while scrolling. */
function summary(listing: Listing): string {
  const loaded = listing.files.value.length
  const all = listing.done.value
  if (listing.options.query) return all ? `${count(loaded, 'file')} found` : `First ${count(loaded, 'result')}`
  const folders = listing.folders.value.length
  if (!folders) return all ? count(loaded, 'file') : `First ${count(loaded, 'file')}`
  return `${count(folders, 'folder')}, ${all ? '' : 'first '}${count(loaded, 'file')}`
}

function SelectionBar({ listing, selection }: { listing: Listing; selection: Selection }) {
  return (
    <div class="bar selection-bar" role="toolbar" aria-label="Selected items">
      <p aria-live="polite">
        <button type="button" class="quiet only-icon" aria-label="Clear selection" onClick={() => selection.clear()}>
          <Icon name="close" size={18} />
        </button>
        {number(selection.keys.value.size)} selected
      </p>
      <div class="buttons">
        <button type="button" onClick={() => moveEntries(listing, selection, selection.entries())}>
          <Icon name="move" size={18} /> <span>Move</span>
        </button>
        <button type="button" class="danger" onClick={() => deleteEntries(listing, selection, selection.entries())}>
          <Icon name="trash" size={18} /> <span>Delete</span>
        </button>
      </div>
    </div>
  )
}

function NoFiles({ path, query }: { path: string; query: string }) {
  if (query) {
    return (
      <Empty icon="search" title={`No results for “${query}”`}>
        <p>Check the spelling or try fewer letters.</p>
      </Empty>
    )
  }
  return (
    <Empty icon={path ? 'folder' : 'files'} title={path ? 'This folder is empty' : 'No files yet'}>
      <p>Drag files or folders here, or browse. Only you can see them.</p>
      <button type="button" class="primary" onClick={() => selectFiles(path)}>
        <Icon name="upload" size={18} /> Browse files
      </button>
    </Empty>
  )
}
