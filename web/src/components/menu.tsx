// A menu at a button or at the pointer.
import { signal } from '@preact/signals'
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { Icon, type IconName } from './icon'

export type MenuItem = { label: string; icon: IconName; run: () => unknown; danger?: boolean; href?: string }

const current = signal<{ items: MenuItem[]; x: number; y: number; label: string } | null>(null)

export function showMenu(label: string, at: Element | { x: number; y: number }, items: MenuItem[]) {
  const box = at instanceof Element ? at.getBoundingClientRect() : null
  const { x, y } = box ? { x: box.right, y: box.bottom + 4 } : (at as { x: number; y: number })
  current.value = { items, x, y, label }
}

export function MenuHost() {
  return current.value && <Menu key={current.value.label} {...current.value} />
}

function close() {
  current.value = null
}

function Menu({ items, x, y, label }: { items: MenuItem[]; x: number; y: number; label: string }) {
  const element = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => {
    const menu = element.current
    if (!menu) return
    menu.style.left = `${Math.max(8, Math.min(x - menu.offsetWidth, innerWidth - menu.offsetWidth - 8))}px`
    menu.style.top = `${Math.max(8, Math.min(y, innerHeight - menu.offsetHeight - 8))}px`
  }, [x, y])
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null
    const buttons = () => [...(element.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])]
    buttons()[0]?.focus()
    const keys = (event: KeyboardEvent) => {
      const all = buttons()
      const at = all.indexOf(document.activeElement as HTMLElement)
      const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key]
      if (to !== undefined) all[to % all.length]?.focus()
      else if (event.key === 'Escape' || event.key === 'Tab') close()
      else return
      event.preventDefault()
      event.stopPropagation()
    }
    const outside = (event: Event) => !element.current?.contains(event.target as Node) && close()
    const node = element.current
    node?.addEventListener('keydown', keys)
    addEventListener('pointerdown', outside, true)
    addEventListener('resize', close)
    addEventListener('popstate', close)
    return () => {
      node?.removeEventListener('keydown', keys)
      removeEventListener('pointerdown', outside, true)
      removeEventListener('resize', close)
      removeEventListener('popstate', close)
      if (document.activeElement === document.body || node?.contains(document.activeElement))
        before?.focus({ preventScroll: true })
    }
  }, [])
  return (
    <div ref={element} class="menu" role="menu" aria-label={label}>
      {items.map((item) => (
        <button
          key={item.label}
          type="button"
          role="menuitem"
          tabIndex={-1}
          class={item.danger ? 'danger' : undefined}
          onClick={() => {
            close()
            item.run()
          }}
        >
          <Icon name={item.icon} size={18} />
          {item.label}
        </button>
      ))}
    </div>
  )
}
