// Storage used, and the quota.
import { useEffect } from 'preact/hooks'
import { bytes, count, number } from '../format'
import { refreshUsage, usage } from '../session'

export function UsageMeter() {
  useEffect(() => {
    refreshUsage().catch(() => {})
  }, [])
  const current = usage.value
  if (!current) return <p class="hint">…</p>
  const { used, quota } = current
  return (
    <div class="usage">
      <p>
        <strong>{bytes(used.bytes)}</strong> {quota.bytes == null ? 'used' : `of ${bytes(quota.bytes)}`}
      </p>
      {quota.bytes != null && (
        <progress
          class={fullness(used.bytes, quota.bytes)}
          value={used.bytes}
          max={quota.bytes || 1}
          aria-label="Storage used"
        />
      )}
      <p class="hint">
        {quota.files == null ? count(used.files, 'file') : `${number(used.files)} of ${count(quota.files, 'file')}`}
      </p>
    </div>
  )
}

function fullness(used: number, quota: number): string {
  return used >= quota * 0.95 ? 'full' : used >= quota * 0.8 ? 'nearly' : ''
}
