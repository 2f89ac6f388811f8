// The list of entries: a grid with keyboard navigation that renders only the visible rows.
import { useEffect } from 'preact/hooks'
import type { Folder, StoredFile } from '../api/client'
import { Icon, iconOf } from '../components/icon'
import { showMenu } from '../components/menu'
import { bytes, dateTime, timeOrDate } from '../format'
import { folderUrl } from '../router'
import { deleteEntries, menuItems, openEntry, renameEntry } from './actions'
import { isFile, keyOf, type Listing, type Sort } from './listing'
import { folderName } from './path'
import type { Selection } from './selection'
import { useNarrow, useVirtualRows } from './virtual'

const COLUMNS: [label: string, sort: 'name' | 'size' | 'updated_at'][] = [
  ['Name', 'name'],
  ['Size', 'size'],
  ['Modified', 'updated_at'],
]

/** Height of the sticky row of column headings. */
const HEADER = 35

type Props = { listing: Listing; selection: Selection; sort: Sort; onSort: (sort: Sort) => void }

export function List({ listing, selection, sort, onSort }: Props) {
  const narrow = useNarrow()
  const height = narrow ? 60 : 46
  const count = listing.length
  const { box, first, last, reveal, page } = useVirtualRows(count, height, HEADER)

  useEffect(() => {
    if (last > count - 300) void listing.more()
  }, [last, count, listing])

  const active = selection.active.value
  const go = (to: number, extend: boolean) => {
    selection.move(to, extend)
    reveal(selection.active.value)
  }
  const keys = (event: KeyboardEvent) => {
    // A focused checkbox or button in a row handles these keys itself.
    if (event.target !== event.currentTarget && (event.key === ' ' || event.key === 'Enter')) return
    const entry = listing.at(active)
    const targets = selection.keys.value.size > 0 ? selection.entries() : entry ? [entry] : []
    const command = event.ctrlKey || event.metaKey
    const steps: Record<string, () => void> = {
      ArrowDown: () => go(active + 1, event.shiftKey),
      ArrowUp: () => go(active - 1, event.shiftKey),
      PageDown: () => go(active + page(), event.shiftKey),
      PageUp: () => go(active - page(), event.shiftKey),
      Home: () => go(0, event.shiftKey),
      End: () => go(count - 1, event.shiftKey),
      ' ': () => selection.toggle(active),
      Escape: () => selection.clear(),
      Enter: () => entry && openEntry(entry),
      Delete: () => deleteEntries(listing, selection, targets),
      F2: () => entry && renameEntry(listing, entry),
      ContextMenu: () => entry && menu(entry, box.current?.querySelector('.row.active') ?? { x: 80, y: 80 }),
    }
    if (command && event.key === 'a') selection.all()
    else if (event.shiftKey && event.key === 'F10') steps.ContextMenu?.()
    else if (!command && !event.altKey && steps[event.key]) steps[event.key]?.()
    else return
    event.preventDefault()
  }
  const menu = (entry: Folder | StoredFile, at: Element | { x: number; y: number }) =>
    showMenu(`Actions for ${entry.name}`, at, menuItems(listing, selection, entry))

  const rows = []
  for (let index = first; index < last; index += 1) {
    const entry = listing.at(index)
    if (!entry) continue
    rows.push(
      <Row
        key={keyOf(entry)}
        entry={entry}
        index={index}
        top={index * height}
        height={height}
        selected={selection.has(entry)}
        active={index === active}
        showPath={listing.options.query !== ''}
        selection={selection}
        menu={menu}
      />,
    )
  }
  const isRendered = active >= first && active < last && count > 0
  return (
    <div
      ref={box}
      class="grid"
      role="grid"
      tabIndex={0}
      aria-label="Files and folders: arrow keys move, space selects, enter opens"
      aria-multiselectable="true"
      aria-rowcount={listing.done.value ? count + 1 : -1}
      aria-colcount={3}
      aria-activedescendant={isRendered ? `row-${active}` : undefined}
      onKeyDown={keys}
    >
      <div class="columns" role="row" aria-rowindex={1}>
        {COLUMNS.map(([label, key]) => {
          const direction = sort === key ? 'ascending' : sort === `-${key}` ? 'descending' : 'none'
          return (
            <div key={key} class={`cell ${key}`} role="columnheader" aria-sort={direction}>
              <button
                type="button"
                class="quiet"
                onClick={() =>
                  onSort(
                    direction === 'ascending'
                      ? `-${key}`
                      : direction === 'descending'
                        ? key
                        : key === 'name'
                          ? key
                          : `-${key}`,
                  )
                }
              >
                {label}
                {direction !== 'none' && <Icon name={direction === 'ascending' ? 'up' : 'down'} size={14} />}
              </button>
            </div>
          )
        })}
      </div>
      <div class="all" role="rowgroup" style={{ height: `${count * height}px` }}>
        {rows}
      </div>
    </div>
  )
}

type RowProps = {
  entry: Folder | StoredFile
  index: number
  top: number
  height: number
  selected: boolean
  active: boolean
  showPath: boolean
  selection: Selection
  menu: (entry: Folder | StoredFile, at: Element | { x: number; y: number }) => void
}

function Row({ entry, index, top, height, selected, active, showPath, selection, menu }: RowProps) {
  const file = isFile(entry) ? entry : null
  return (
    <div
      id={`row-${index}`}
      class={`row${selected ? ' selected' : ''}${active ? ' active' : ''}`}
      role="row"
      aria-rowindex={index + 2}
      aria-selected={selected}
      style={{ transform: `translateY(${top}px)`, height: `${height}px` }}
      onClick={(event) => {
        if ((event.target as Element).closest('button, input, a')) return
        if (event.shiftKey) selection.range(index)
        else if (event.ctrlKey || event.metaKey || selection.keys.value.size > 0) selection.toggle(index)
        else {
          selection.move(index, false)
          openEntry(entry)
        }
      }}
      onContextMenu={(event) => {
        event.preventDefault()
        menu(entry, { x: event.clientX, y: event.clientY })
      }}
    >
      <div class="cell name" role="gridcell">
        <input
          type="checkbox"
          tabIndex={-1}
          checked={selected}
          aria-label={`Select ${entry.name}`}
          onClick={(event) => (event.shiftKey ? selection.range(index) : selection.toggle(index))}
        />
        <span class={file ? 'kind' : 'kind folder'}>
          <Icon name={file ? iconOf(file.content_type) : 'folder'} size={22} />
        </span>
        <span class="title">
          <a
            tabIndex={-1}
            href={file ? `?open=${file.id}` : folderUrl(entry.path)}
            title={entry.name}
            onClick={(event) => {
              if (event.ctrlKey || event.metaKey || event.shiftKey) return
              event.preventDefault()
              openEntry(entry)
            }}
          >
            {entry.name}
          </a>
          <small>
            {file && <span class="brief">{`${bytes(file.size)} · ${timeOrDate(file.updated_at)}`}</span>}
            {showPath && <span class="where">{folderName(entry.path)}</span>}
          </small>
        </span>
      </div>
      <div class="cell size" role="gridcell">
        {file && bytes(file.size)}
      </div>
      <div class="cell updated_at" role="gridcell">
        {file && (
          <time dateTime={file.updated_at} title={dateTime(file.updated_at)}>
            {timeOrDate(file.updated_at)}
          </time>
        )}
        <button
          type="button"
          class="quiet only-icon"
          tabIndex={-1}
          aria-label={`Actions for ${entry.name}`}
          aria-haspopup="menu"
          onClick={(event) => menu(entry, event.currentTarget)}
        >
          <Icon name="more" />
        </button>
      </div>
    </div>
  )
}
