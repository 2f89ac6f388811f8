// Files and folders: a folder, or what a search found.
import { useEffect, useMemo, useState } from 'preact/hooks'
import { Icon } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { moveEntries, newFolder, removeEntries } from '../files/actions'
import { List } from '../files/list'
import { Listing, type Sort } from '../files/listing'
import { Selection } from '../files/selection'
import { count } from '../format'
import { Preview } from '../preview/preview'
import { folderUrl, opened } from '../router'
import { arrivals } from '../uploads/list-refresh'
import { chooseFiles, chooseFolder } from '../uploads/select-files'
import { Search } from './search'

const KEY = 'strongroom-sort'

export default function Files({ path, query }: { path: string; query: string }) {
  const [sort, setSort] = useState<Sort>(() => (sessionStorage.getItem(KEY) as Sort) || 'name')
  const listing = useMemo(() => new Listing({ path, query, sort }), [path, query, sort])
  const selection = useMemo(() => new Selection(listing), [listing])

  useEffect(() => {
    void listing.refresh()
    return () => listing.stop()
  }, [listing])
  useEffect(() => arrivals.listen(path, query !== '', () => void listing.refresh()), [listing, path, query])
  useEffect(() => {
    document.title = `${query ? `“${query}”` : path.split('/').pop() || 'Files'} · Strongroom`
  }, [path, query])

  const onSort = (next: Sort) => {
    sessionStorage.setItem(KEY, next)
    setSort(next)
  }
  return (
    <>
      <header class="toolbar">
        <Crumbs path={path} query={query} />
        <Search query={query} />
      </header>
      {selection.keys.value.size > 0 ? (
        <Chosen listing={listing} selection={selection} />
      ) : (
        <Bar path={path} query={query} listing={listing} />
      )}
      {listing.error.value && !listing.ready.value ? (
        <Failed error={listing.error.value} retry={() => void listing.refresh()} />
      ) : !listing.ready.value ? (
        <Loading />
      ) : listing.length === 0 ? (
        <Nothing path={path} query={query} />
      ) : (
        <List listing={listing} selection={selection} sort={sort} onSort={onSort} />
      )}
      {opened.value && <Preview key="preview" id={opened.value} listing={listing} />}
    </>
  )
}

function Crumbs({ path, query }: { path: string; query: string }) {
  const parts = path ? path.split('/') : []
  return (
    <nav class="crumbs" aria-label="Folder">
      <ol>
        <li>{parts.length === 0 && !query ? <h1>Files</h1> : <a href="/">Files</a>}</li>
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
  const files = listing.files.value.length
  const more = listing.done.value ? '' : '+'
  return (
    <div class="bar">
      <p class="hint" aria-live="polite">
        {listing.ready.value &&
          listing.length > 0 &&
          (query ? `${count(files, 'file')}${more} found` : summary(listing, more))}
      </p>
      {!query && (
        <div class="buttons">
          <button type="button" onClick={() => newFolder(path)}>
            <Icon name="plus" size={18} /> <span>New folder</span>
          </button>
          <button type="button" onClick={() => chooseFolder(path)}>
            <Icon name="folder" size={18} /> <span>Upload folder</span>
          </button>
          <button type="button" class="primary" onClick={() => chooseFiles(path)}>
            <Icon name="upload" size={18} /> <span>Upload</span>
          </button>
        </div>
      )}
    </div>
  )
}

function summary(listing: Listing, more: string): string {
  const folders = listing.folders.value.length
  const files = `${count(listing.files.value.length, 'file')}${more}`
  return folders ? `${count(folders, 'folder')}, ${files}` : files
}

function Chosen({ listing, selection }: { listing: Listing; selection: Selection }) {
  const chosen = selection.keys.value.size
  return (
    <div class="bar chosen-bar" role="toolbar" aria-label="What is chosen">
      <p aria-live="polite">
        <button type="button" class="quiet only-icon" aria-label="Choose nothing" onClick={() => selection.clear()}>
          <Icon name="close" size={18} />
        </button>
        {count(chosen, 'item')} chosen
      </p>
      <div class="buttons">
        <button type="button" onClick={() => moveEntries(listing, selection, selection.entries())}>
          <Icon name="move" size={18} /> <span>Move</span>
        </button>
        <button type="button" class="danger" onClick={() => removeEntries(listing, selection, selection.entries())}>
          <Icon name="trash" size={18} /> <span>Delete</span>
        </button>
      </div>
    </div>
  )
}

function Nothing({ path, query }: { path: string; query: string }) {
  if (query) {
    return (
      <Empty icon="search" title="Nothing found">
        <p>No name and no folder contains “{query}”. Try fewer letters.</p>
      </Empty>
    )
  }
  return (
    <Empty icon={path ? 'folder' : 'files'} title={path ? 'Nothing in here yet' : 'Your strongroom is empty'}>
      <p>Drop files or whole folders anywhere on this page, or choose them. Nobody else can see them.</p>
      <button type="button" class="primary" onClick={() => chooseFiles(path)}>
        <Icon name="upload" size={18} /> Choose files
      </button>
    </Empty>
  )
}
