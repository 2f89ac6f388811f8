// What stands where nothing is, or where something went wrong.
import type { ComponentChildren } from 'preact'
import { words } from '../api/client'
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
      <h2>That did not work</h2>
      <p>{words(error)}</p>
      <button type="button" onClick={retry}>
        Try again
      </button>
    </div>
  )
}

export function Loading({ what = 'Loading' }: { what?: string }) {
  return (
    <div class="state waiting" role="status">
      <span class="spinner" />
      <p class="visually-hidden">{what}…</p>
    </div>
  )
}
