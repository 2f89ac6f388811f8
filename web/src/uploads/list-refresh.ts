// Refreshes the visible list when uploads add files to it, at a limited rate.
type Listener = { path: string; everywhere: boolean; refresh: () => void }

/** Milliseconds during which further files cause no further refresh. */
const DELAY = 400
const listeners = new Set<Listener>()
const scheduled = new Map<Listener, ReturnType<typeof setTimeout>>()

/** Calls `refresh` when files are added to a folder or below it, or anywhere. Returns how to stop that. */
export function onFilesAdded(path: string, everywhere: boolean, refresh: () => void): () => void {
  const listener = { path, everywhere, refresh }
  listeners.add(listener)
  return () => {
    listeners.delete(listener)
    clearTimeout(scheduled.get(listener))
  }
}

export function notifyFilesAdded(path: string) {
  for (const listener of listeners) {
    const affected =
      listener.everywhere || path === listener.path || !listener.path || path.startsWith(`${listener.path}/`)
    if (!affected || scheduled.has(listener)) continue
    const run = () => {
      scheduled.delete(listener)
      listener.refresh()
    }
    scheduled.set(listener, setTimeout(run, DELAY))
  }
}
