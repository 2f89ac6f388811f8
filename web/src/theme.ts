// Light or dark: as the system says, or as was chosen here.
import { effect, signal } from '@preact/signals'

export type Theme = 'system' | 'light' | 'dark'

const KEY = 'strongroom-theme'
const kept = localStorage.getItem(KEY)

export const theme = signal<Theme>(kept === 'light' || kept === 'dark' ? kept : 'system')

effect(() => {
  if (theme.value === 'system') {
    localStorage.removeItem(KEY)
    delete document.documentElement.dataset.theme
  } else {
    localStorage.setItem(KEY, theme.value)
    document.documentElement.dataset.theme = theme.value
  }
})
