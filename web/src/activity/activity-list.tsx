// A list of events, newest first, loaded page by page while scrolling.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { type AuditEvent, errorMessage, isAbort } from '../api/client'
import { Icon, type IconName } from '../components/icon'
import { Failed, Loading } from '../components/states'
import { dateTime } from '../format'
import { type ActivityContext, eventDetails, sentence } from './sentence'

export type Page = { items: AuditEvent[]; next_cursor: string | null }
export type Source = (cursor: string | undefined) => Promise<Page>

function usePages(source: Source) {
  const [items, setItems] = useState<AuditEvent[] | null>(null)
  const [error, setError] = useState<unknown>(null)
  const [cursor, setCursor] = useState<string | null | undefined>(undefined)
  const busy = useRef(false)
  const more = useCallback(async () => {
    if (busy.current || cursor === null) return
    busy.current = true
    setError(null)
    try {
      const page = await source(cursor)
      setItems((before) => [...(before ?? []), ...page.items])
      setCursor(page.next_cursor)
    } catch (problem) {
      if (!isAbort(problem)) setError(problem)
    } finally {
      busy.current = false
    }
  }, [source, cursor])
  useEffect(() => {
    void more()
    // Only the first page; the others are loaded on demand.
  }, [])
  return { items, error, more, done: cursor === null }
}

/** Needs a key that changes with the source. */
export function ActivityList({ source, context }: { source: Source; context: ActivityContext }) {
  const { items, error, more, done } = usePages(source)
  const end = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    const button = end.current
    if (!button || error) return
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && void more(), {
      rootMargin: '400px',
    })
    observer.observe(button)
    return () => observer.disconnect()
  }, [more, error, done])
  if (error && !items) return <Failed error={error} retry={() => void more()} />
  if (!items) return <Loading />
  if (items.length === 0) return <p class="hint">No activity yet</p>
  return (
    <>
      <ol class="items activity">
        {items.map((event) => (
          <li key={event.id}>
            <Icon name={icon(event)} size={18} />
            <div>
              <p>{sentence(event, context)}</p>
              <p class="hint">
                {[
                  <time key="at" dateTime={event.at}>
                    {dateTime(event.at)}
                  </time>,
                  ...eventDetails(event, context).map((part) => ` · ${part}`),
                ]}
              </p>
            </div>
          </li>
        ))}
      </ol>
      {error ? <p role="alert">{errorMessage(error)}</p> : null}
      {!done && (
        <p>
          <button ref={end} type="button" onClick={() => void more()}>
            Show more
          </button>
        </p>
      )}
    </>
  )
}

const ICONS: Partial<Record<AuditEvent['kind'], IconName>> = {
  file_uploaded: 'upload',
  file_replaced: 'upload',
  file_changed: 'pencil',
  file_downloaded: 'download',
  file_restored: 'retry',
  sign_in_refused: 'alert',
  link_refused: 'alert',
  fsck_started: 'shield',
}

function icon({ kind }: AuditEvent): IconName {
  if (ICONS[kind]) return ICONS[kind]
  if (kind.startsWith('file_')) return 'trash'
  if (kind.startsWith('link_') || kind === 'url_signed') return 'link'
  if (kind.startsWith('token_') || kind === 'password_changed') return 'key'
  return 'person'
}
