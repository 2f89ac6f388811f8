// Chooses a folder: walks down and up, or names a new one.
import { useState } from 'preact/hooks'
import { api, ask } from '../api/client'
import { Form } from '../components/dialog'
import { Icon } from '../components/icon'
import { Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { joinPath, parentPath } from './path'

export function FolderPicker({ start, onPick }: { start: string; onPick: (path: string) => unknown }) {
  const [path, setPath] = useState(start)
  const [name, setName] = useState('')
  const folders = useLoad(() => ask(api.GET('/v1/folders', { params: { query: { path } } })), [path])
  const target = joinPath(path, name.trim())
  return (
    <Form submit="Move here" onSubmit={() => onPick(target)}>
      <p class="picked">
        <Icon name="folder" /> <strong>{target || 'Files'}</strong>
      </p>
      <ul class="picker">
        {path && (
          <li>
            <button type="button" class="quiet" onClick={() => setPath(parentPath(path))}>
              <Icon name="left" size={18} /> Up to {parentPath(path) || 'Files'}
            </button>
          </li>
        )}
        {folders.data?.items.map((folder) => (
          <li key={folder.path}>
            <button type="button" class="quiet" onClick={() => setPath(folder.path)}>
              <Icon name="folder" size={18} /> {folder.name}
            </button>
          </li>
        ))}
        {folders.data?.items.length === 0 && <li class="hint">No folders in here.</li>}
        {!folders.data && (
          <li>
            <Loading />
          </li>
        )}
      </ul>
      <div class="field">
        <label for="new-folder">New folder in here (optional)</label>
        <input
          id="new-folder"
          value={name}
          autoComplete="off"
          pattern="[^\/\\]*"
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </div>
    </Form>
  )
}
