// Files may be dropped anywhere on the page.
import { useEffect, useState } from 'preact/hooks'
import { Icon } from '../components/icon'
import { complain } from '../components/toast'
import { place } from '../router'
import { dropped, upload } from './select-files'

export function DropTarget() {
  const [over, setOver] = useState(false)
  const at = place.value
  const path = at.screen === 'files' ? at.path : ''
  useEffect(() => {
    let depth = 0
    const brings = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const enter = (event: DragEvent) => {
      if (!brings(event)) return
      depth += 1
      setOver(true)
    }
    const leave = (event: DragEvent) => {
      if (!brings(event)) return
      depth -= 1
      if (depth <= 0) setOver(false)
    }
    const hover = (event: DragEvent) => brings(event) && event.preventDefault()
    const drop = (event: DragEvent) => {
      if (!brings(event) || !event.dataTransfer) return
      event.preventDefault()
      depth = 0
      setOver(false)
      dropped(event.dataTransfer, path).then(upload).catch(complain)
    }
    const all = [
      ['dragenter', enter],
      ['dragleave', leave],
      ['dragover', hover],
      ['drop', drop],
    ] as const
    for (const [name, listener] of all) addEventListener(name, listener as EventListener)
    return () => {
      for (const [name, listener] of all) removeEventListener(name, listener as EventListener)
    }
  }, [path])
  return (
    over && (
      <div class="drop">
        <div>
          <Icon name="upload" size={44} />
          <p>Drop into {path || 'Files'}</p>
        </div>
      </div>
    )
  )
}
