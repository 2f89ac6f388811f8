// Fetches data when a component mounts, and again on demand.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { isAbort } from '../api/client'

export type Loaded<T> = { data?: T; error?: unknown; reload: () => void }

export function useLoad<T>(fetch: () => Promise<T>, inputs: unknown[] = []): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: unknown }>({})
  const calls = useRef(0)
  const reload = useCallback(() => {
    calls.current += 1
    const call = calls.current
    fetch().then(
      (data) => call === calls.current && setState({ data }),
      (error) => call === calls.current && !isAbort(error) && setState((before) => ({ ...before, error })),
    )
  }, inputs)
  useEffect(reload, [reload])
  return { ...state, reload }
}
