// What a screen shows while it is empty, loading or failed.
import type { ComponentChildren } from 'preact'
import { errorMessage } from '../api/client'
import { Icon, type IconName } from './icon'

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="state">
      <Icon name={icon} size={40} />
      <h2>{title}</h2>
      {children}
    </div>
  )
}

export function Failed({ error, retry }: { error: unknown; retry: () => void }) {
  return (
    <div class="state" role="alert">
      <Icon name="alert" size={40} />
      <h2>Something went wrong</h2>
      <p>{errorMessage(error)}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  )
}

export function Loading({ text = 'Loading' }: { text?: string }) {
  return (
    <div class="state waiting" role="status">
      <span class="spinner" />
      <p class="visually-hidden">{text}…</p>
    </div>
  )
}
