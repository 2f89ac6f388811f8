// Light or dark: the system's preference, or the user's choice on this device.
import { effect, signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'strongroom-theme'
const saved = localStorage.getItem(KEY)

export const theme = signal<Theme>(saved === 'light' || saved === 'dark' ? saved : 'system')

effect(() => {
  if (theme.value === 'system') {
    localStorage.removeItem(KEY)
    delete document.documentElement.dataset.theme
  } else {
    localStorage.setItem(KEY, theme.value)
    document.documentElement.dataset.theme = theme.value
  }
})
