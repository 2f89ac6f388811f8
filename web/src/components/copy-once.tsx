// A secret that is shown only once, with a button to copy it.
import { copy } from './clipboard'
import { Icon } from './icon'

type CopyOnceProps = { value: string; label?: string; children: preact.ComponentChildren }

export function CopyOnce({ value, label = 'URL', children }: CopyOnceProps) {
  return (
    <div class="copy-once">
      <div class="copy">
        <input readOnly value={value} aria-label={label} onFocus={(event) => event.currentTarget.select()} />
        <button type="button" class="primary" onClick={() => copy(value)}>
          <Icon name="copy" size={18} /> Copy
        </button>
      </div>
      <p class="hint">{children}</p>
    </div>
  )
}
