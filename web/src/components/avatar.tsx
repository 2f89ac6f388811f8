// The photo of a user, or the first letter of the name.
import { useState } from 'preact/hooks'
import { pathOf } from '../base'
import { avatarRevision } from '../session'

export function Avatar({ id, name, size = 32 }: { id: string; name: string; size?: number }) {
  const revision = avatarRevision.value
  const [missing, setMissing] = useState(-1)
  const letter = [...name.trim()][0]?.toLocaleUpperCase() ?? '?'
  return (
    <span
      class="avatar"
      style={{ width: `${size}px`, height: `${size}px`, fontSize: `${size * 0.44}px` }}
      aria-hidden="true"
    >
      {missing === revision ? (
        letter
      ) : (
        <img
          src={pathOf(`/v1/users/${id}/avatar?v=${revision}`)}
          alt=""
          width={size}
          height={size}
          onError={() => setMissing(revision)}
        />
      )}
    </span>
  )
}
