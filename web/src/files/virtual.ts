// Virtual scrolling: only the visible rows and a few around them are in the document.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

/** Rows rendered above and below the visible ones. */
const OVERSCAN = 8

export type Viewport = { scrollTop: number; clientHeight: number }

/** The rows to render: from `first` up to, not including, `last`. */
export function visibleRows({ scrollTop, clientHeight }: Viewport, rowHeight: number, count: number) {
  return {
    first: Math.max(0, Math.floor(scrollTop / rowHeight) - OVERSCAN),
    last: Math.min(count, Math.ceil((scrollTop + clientHeight) / rowHeight) + OVERSCAN),
  }
}

/** The scroll position that makes a row visible, as close as possible to the current one. */
export function scrollTopFor(index: number, viewport: Viewport, rowHeight: number, header = 0): number {
  const { scrollTop, clientHeight } = viewport
  const top = index * rowHeight
  if (top < scrollTop) return top
  return Math.max(scrollTop, top + rowHeight + header - clientHeight)
}

export function useVirtualRows(count: number, rowHeight: number, header = 0) {
  const box = useRef<HTMLDivElement>(null)
  const [rows, setRows] = useState({ first: 0, last: 40 })
  const measure = useRef(() => {})
  measure.current = () => {
    if (!box.current) return
    const next = visibleRows(box.current, rowHeight, count)
    setRows((before) => (before.first === next.first && before.last === next.last ? before : next))
  }
  useLayoutEffect(() => measure.current(), [count, rowHeight])
  useEffect(() => {
    const element = box.current
    if (!element) return
    const run = () => measure.current()
    element.addEventListener('scroll', run, { passive: true })
    const observer = new ResizeObserver(run)
    observer.observe(element)
    return () => {
      element.removeEventListener('scroll', run)
      observer.disconnect()
    }
  }, [])
  const reveal = (index: number) => {
    if (box.current) box.current.scrollTop = scrollTopFor(index, box.current, rowHeight, header)
  }
  /** Rows that fit into the box. */
  const page = () => Math.max(1, Math.floor((box.current?.clientHeight ?? rowHeight) / rowHeight) - 2)
  return { box, first: rows.first, last: Math.min(rows.last, count), reveal, page }
}

/** Whether the window is as narrow as a phone. */
export function useNarrow(): boolean {
  const query = useRef(matchMedia('(max-width: 720px)'))
  const [narrow, setNarrow] = useState(query.current.matches)
  useEffect(() => {
    const list = query.current
    const change = () => setNarrow(list.matches)
    list.addEventListener('change', change)
    return () => list.removeEventListener('change', change)
  }, [])
  return narrow
}
