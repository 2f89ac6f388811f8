// Tells the list that is shown when files have come into it, not more often than it can be read.
type Listener = { path: string; everywhere: boolean; tell: () => void }

const PAUSE = 400
const listeners = new Set<Listener>()
const waiting = new Map<Listener, ReturnType<typeof setTimeout>>()

export const arrivals = {
  listen(path: string, everywhere: boolean, tell: () => void): () => void {
    const listener = { path, everywhere, tell }
    listeners.add(listener)
    return () => {
      listeners.delete(listener)
      clearTimeout(waiting.get(listener))
    }
  },

  announce(path: string) {
    for (const listener of listeners) {
      const concerns =
        listener.everywhere || path === listener.path || !listener.path || path.startsWith(`${listener.path}/`)
      if (!concerns || waiting.has(listener)) continue
      const later = () => {
        waiting.delete(listener)
        listener.tell()
      }
      waiting.set(listener, setTimeout(later, PAUSE))
    }
  },
}
