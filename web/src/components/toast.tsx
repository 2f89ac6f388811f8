// Short news at the edge of the page, read out by screen readers, with a way back where there is one.
import { signal } from '@preact/signals'
import { words } from '../api/client'
import { Icon } from './icon'

type Toast = { id: number; text: string; bad: boolean; action?: { label: string; run: () => unknown } }

const SHOWN_FOR = 7000
const toasts = signal<Toast[]>([])
let last = 0

/** Says something; what can be undone stays a while longer. */
export function say(text: string, action?: Toast['action'], bad = false) {
  last += 1
  const id = last
  toasts.value = [...toasts.value.slice(-2), { id, text, bad, action }]
  setTimeout(() => dismiss(id), action || bad ? SHOWN_FOR * 2 : SHOWN_FOR)
  return id
}

export function complain(error: unknown) {
  say(words(error), undefined, true)
}

export function dismiss(id: number) {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export function Toasts() {
  return (
    <section class="toasts" role="status" aria-live="polite" aria-label="News">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={toast.bad ? 'toast bad' : 'toast'}>
          {toast.bad && <Icon name="alert" />}
          <span>{toast.text}</span>
          {toast.action && (
            <button
              type="button"
              class="quiet strong"
              onClick={() => {
                dismiss(toast.id)
                toast.action?.run()
              }}
            >
              {toast.action.label}
            </button>
          )}
          <button type="button" class="quiet only-icon" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </section>
  )
}
