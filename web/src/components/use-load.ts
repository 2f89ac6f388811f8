// Something that is fetched when a screen opens, and again when asked.
import { useCallback, useEffect, useRef, useState } from 'preact/hooks'
import { isAbort } from '../api/client'

export type Loaded<T> = { data?: T; error?: unknown; reload: () => void }

export function useLoad<T>(fetch: () => Promise<T>, inputs: unknown[] = []): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: unknown }>({})
  const turn = useRef(0)
  const reload = useCallback(() => {
    turn.current += 1
    const mine = turn.current
    fetch().then(
      (data) => mine === turn.current && setState({ data }),
      (error) => mine === turn.current && !isAbort(error) && setState((before) => ({ ...before, error })),
    )
  }, inputs)
  useEffect(reload, [reload])
  return { ...state, reload }
}
