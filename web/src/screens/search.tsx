// The field that finds files by their names and folders. The slash key leads to it.
import { useEffect, useRef } from 'preact/hooks'
import { Icon } from '../components/icon'
import { navigate, place } from '../router'

const PAUSE = 250

export function Search({ query }: { query: string }) {
  const input = useRef<HTMLInputElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout>>()
  useEffect(() => {
    const keys = (event: KeyboardEvent) => {
      if (event.key !== '/' || event.ctrlKey || event.metaKey || document.querySelector('dialog[open]')) return
      if ((event.target as Element).closest('input, textarea, select')) return
      event.preventDefault()
      input.current?.focus()
    }
    addEventListener('keydown', keys)
    return () => {
      removeEventListener('keydown', keys)
      clearTimeout(timer.current)
    }
  }, [])
  const search = () => {
    clearTimeout(timer.current)
    const text = input.current?.value.trim() ?? ''
    const already = place.value.screen === 'search'
    if (text) navigate(`/search?q=${encodeURIComponent(text)}`, already)
    else if (already) history.back()
  }
  return (
    <search>
      <form
        class="search"
        onSubmit={(event) => {
          event.preventDefault()
          search()
        }}
      >
        <Icon name="search" size={18} />
        <input
          ref={input}
          type="search"
          aria-label="Search all your files"
          placeholder="Search"
          defaultValue={query}
          onInput={() => {
            clearTimeout(timer.current)
            timer.current = setTimeout(search, PAUSE)
          }}
        />
        <kbd aria-hidden="true">/</kbd>
      </form>
    </search>
  )
}
