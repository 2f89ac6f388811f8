// Short notifications at the edge of the page, announced by screen readers, with an optional action such as undo.
import { signal } from '@preact/signals'
import { errorMessage } from '../api/client'
import { Icon } from './icon'

type Action = { label: string; run: () => unknown }
type Toast = { id: number; text: string; isError: boolean; action?: Action }

const DURATION = 7000
const toasts = signal<Toast[]>([])
let last = 0

export function showToast(text: string, action?: Action) {
  return add({ text, isError: false, action })
}

export function showError(error: unknown, action?: Action) {
  return add({ text: errorMessage(error), isError: true, action })
}

/** Errors and toasts with an action stay longer. */
function add(toast: Omit<Toast, 'id'>) {
  last += 1
  const id = last
  toasts.value = [...toasts.value.slice(-2), { id, ...toast }]
  setTimeout(() => dismiss(id), toast.action || toast.isError ? DURATION * 2 : DURATION)
  return id
}

export function dismiss(id: number) {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export function Toasts() {
  return (
    <section class="toasts" role="status" aria-live="polite" aria-label="Notifications">
      {toasts.value.map((toast) => (
        <div key={toast.id} class={toast.isError ? 'toast bad' : 'toast'}>
          {toast.isError && <Icon name="alert" />}
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
