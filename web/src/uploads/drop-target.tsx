// Accepts files dropped anywhere on the page.
import { useEffect, useState } from 'preact/hooks'
import { Icon } from '../components/icon'
import { showError } from '../components/toast'
import { folderName } from '../files/path'
import { route } from '../router'
import { readDrop, upload } from './select-files'

export function DropTarget() {
  const [over, setOver] = useState(false)
  const current = route.value
  const path = current.screen === 'files' ? current.path : ''
  useEffect(() => {
    let depth = 0
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes('Files') ?? false
    const enter = (event: DragEvent) => {
      if (!hasFiles(event)) return
      depth += 1
      setOver(true)
    }
    const leave = (event: DragEvent) => {
      if (!hasFiles(event)) return
      depth -= 1
      if (depth <= 0) setOver(false)
    }
    const hover = (event: DragEvent) => hasFiles(event) && event.preventDefault()
    const drop = (event: DragEvent) => {
      if (!hasFiles(event) || !event.dataTransfer) return
      event.preventDefault()
      depth = 0
      setOver(false)
      readDrop(event.dataTransfer, path).then(upload).catch(showError)
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
          <p>Upload to {folderName(path)}</p>
        </div>
      </div>
    )
  )
}
