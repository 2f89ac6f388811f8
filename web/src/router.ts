// The current screen, derived from the URL, so that back, forward and reload work as expected.
import { computed, signal } from '@preact/signals'
import { base, pathOf } from './base'

const url = signal(new URL(location.href))

addEventListener('popstate', () => {
  url.value = new URL(location.href)
})

export type Route =
  | { screen: 'files'; path: string }
  | { screen: 'search'; query: string }
  | { screen: 'trash' | 'links' | 'account' | 'activity' }
  | { screen: 'admin'; tab: string; user: string | null }

/** The screen that a URL stands for; the root folder for a URL that is not known. */
export function parseRoute({ pathname, searchParams }: URL): Route {
  const [, first = '', ...rest] = pathname.slice(base.length).split('/')
  switch (first) {
    case 'search':
      return { screen: 'search', query: searchParams.get('q') ?? '' }
    case 'trash':
    case 'links':
    case 'account':
    case 'activity':
      return { screen: first }
    case 'admin':
      return { screen: 'admin', tab: rest[0] ?? 'users', user: searchParams.get('user') }
    default:
      return { screen: 'files', path: rest.map(decode).filter(Boolean).join('/') }
  }
}

export const route = computed<Route>(() => parseRoute(url.value))

/** The id of the file in the preview, if one is open. */
export const openedFile = computed(() => url.value.searchParams.get('open'))

export function folderUrl(path: string): string {
  return pathOf(path ? `/files/${path.split('/').map(encodeURIComponent).join('/')}` : '/')
}

export function navigate(to: string, replace = false) {
  if (replace) history.replaceState({ inside: history.state?.inside }, '', to)
  else history.pushState({ inside: true }, '', to)
  url.value = new URL(location.href)
}

/** Opens the preview of a file over the current screen; with null, closes it. */
export function openFile(id: string | null, replace = false) {
  const next = new URL(url.value)
  if (id) next.searchParams.set('open', id)
  else if (history.state?.inside && !replace) return history.back()
  else next.searchParams.delete('open')
  navigate(next.pathname + next.search, replace || !id)
}

/** Handles clicks on links within the page without reloading it. */
export function handleLinkClick(event: MouseEvent) {
  const link = (event.target as Element | null)?.closest?.('a')
  if (!link || event.defaultPrevented || event.button !== 0) return
  if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  if (link.target || link.hasAttribute('download') || link.dataset.load !== undefined) return
  if (link.origin !== location.origin || !link.pathname.startsWith(pathOf('/'))) return
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
