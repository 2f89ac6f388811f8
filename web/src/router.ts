// Where in the page one is: the address is the state, so that back, forward and reload do what they should.
import { computed, signal } from '@preact/signals'

const url = signal(new URL(location.href))

addEventListener('popstate', () => {
  url.value = new URL(location.href)
})

export type Place =
  | { screen: 'files'; path: string }
  | { screen: 'search'; query: string }
  | { screen: 'trash' | 'links' | 'account' | 'trail' }
  | { screen: 'admin'; tab: string; user: string | null }

export const place = computed<Place>(() => {
  const [, first = '', ...rest] = url.value.pathname.split('/')
  switch (first) {
    case 'search':
      return { screen: 'search', query: url.value.searchParams.get('q') ?? '' }
    case 'trash':
    case 'links':
    case 'account':
    case 'trail':
      return { screen: first }
    case 'admin':
      return { screen: 'admin', tab: rest[0] ?? 'users', user: url.value.searchParams.get('user') }
    default:
      return { screen: 'files', path: rest.map(decode).filter(Boolean).join('/') }
  }
})

/** The file that is looked at, if one is. */
export const opened = computed(() => url.value.searchParams.get('open'))

export function folderUrl(path: string): string {
  return path ? `/files/${path.split('/').map(encodeURIComponent).join('/')}` : '/'
}

export function navigate(to: string, replace = false) {
  if (replace) history.replaceState({ inside: history.state?.inside }, '', to)
  else history.pushState({ inside: true }, '', to)
  url.value = new URL(location.href)
}

/** Opens a file over what is shown; or, without an id, goes back to that. */
export function open(id: string | null, replace = false) {
  const next = new URL(url.value)
  if (id) next.searchParams.set('open', id)
  else if (history.state?.inside && !replace) return history.back()
  else next.searchParams.delete('open')
  navigate(next.pathname + next.search, replace || !id)
}

/** Lets links within the page change the address without loading it again. */
export function follow(event: MouseEvent) {
  const link = (event.target as Element | null)?.closest?.('a')
  if (!link || event.defaultPrevented || event.button !== 0) return
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  if (link.target || link.hasAttribute('download') || link.dataset.load !== undefined) return
  if (link.origin !== location.origin) return
  event.preventDefault()
  navigate(link.pathname + link.search)
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
