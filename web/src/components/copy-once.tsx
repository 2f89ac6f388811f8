// Something that was made and is shown this once, to copy from.
import { copy } from './clipboard'
import { Icon } from './icon'

type MadeProps = { url: string; label?: string; children: preact.ComponentChildren }

export function Made({ url, label = 'The URL', children }: MadeProps) {
  return (
    <div class="made">
      <div class="copy">
        <input readOnly value={url} aria-label={label} onFocus={(event) => event.currentTarget.select()} />
        <button type="button" class="primary" onClick={() => copy(url, 'Copied.')}>
          <Icon name="copy" size={18} /> Copy
        </button>
      </div>
      <p class="hint">{children}</p>
    </div>
  )
}
