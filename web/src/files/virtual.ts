// Which rows are seen. Only these, and a few around them, are in the page.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'

const AROUND = 8

export function useRows(count: number, height: number, head = 0) {
  const box = useRef<HTMLDivElement>(null)
  const [seen, setSeen] = useState({ first: 0, last: 40 })
  const measure = useRef(() => {})
  measure.current = () => {
    const element = box.current
    if (!element) return
    const first = Math.max(0, Math.floor(element.scrollTop / height) - AROUND)
    const last = Math.min(count, Math.ceil((element.scrollTop + element.clientHeight) / height) + AROUND)
    setSeen((before) => (before.first === first && before.last === last ? before : { first, last }))
  }
  useLayoutEffect(() => measure.current(), [count, height])
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
  /** Scrolls no further than needed for this row to be seen. */
  const reveal = (index: number) => {
    const element = box.current
    if (!element) return
    const top = index * height
    if (top < element.scrollTop) element.scrollTop = top
    else if (top + height + head > element.scrollTop + element.clientHeight)
      element.scrollTop = top + height + head - element.clientHeight
  }
  const page = () => Math.max(1, Math.floor((box.current?.clientHeight ?? height) / height) - 2)
  return { box, first: seen.first, last: Math.min(seen.last, count), reveal, page }
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
