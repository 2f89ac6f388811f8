// The field to search for files by name and folder. The slash key focuses it.
import { useEffect, useRef } from 'preact/hooks'
import { pathOf } from '../base'
import { Icon } from '../components/icon'
import { navigate, route } from '../router'

/** Milliseconds without typing after which the search starts. */
const DELAY = 250

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
    const isSearch = route.value.screen === 'search'
    if (text) navigate(pathOf(`/search?q=${encodeURIComponent(text)}`), isSearch)
    else if (isSearch) history.back()
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
          aria-label="Search all files"
          placeholder="Search"
          defaultValue={query}
          onInput={() => {
            clearTimeout(timer.current)
            timer.current = setTimeout(search, DELAY)
          }}
        />
        <kbd aria-hidden="true">/</kbd>
      </form>
    </search>
  )
}
