// A form to select a folder: navigates up and down, or takes the name of a new one.
import { useState } from 'preact/hooks'
import { Form } from '../components/dialog'
import { Icon } from '../components/icon'
import { Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { fetchFolders } from './listing'
import { folderName, joinPath, parentPath } from './path'

export function FolderPicker({ start, onPick }: { start: string; onPick: (path: string) => unknown }) {
  const [path, setPath] = useState(start)
  const [name, setName] = useState('')
  const folders = useLoad(() => fetchFolders(path), [path])
  const target = joinPath(path, name.trim())
  return (
    <Form submit="Move here" onSubmit={() => onPick(target)}>
      <p class="target">
        <Icon name="folder" /> <strong>{folderName(target)}</strong>
      </p>
      <ul class="folder-picker">
        {path && (
          <li>
            <button type="button" class="quiet" onClick={() => setPath(parentPath(path))}>
              <Icon name="left" size={18} /> Back to {folderName(parentPath(path))}
            </button>
          </li>
        )}
        {folders.data?.map((folder) => (
          <li key={folder.path}>
            <button type="button" class="quiet" onClick={() => setPath(folder.path)}>
              <Icon name="folder" size={18} /> {folder.name}
            </button>
          </li>
        ))}
        {folders.data?.length === 0 && <li class="hint">No subfolders</li>}
        {!folders.data && (
          <li>
            <Loading />
          </li>
        )}
      </ul>
      <div class="field">
        <label for="new-folder">New folder</label>
        <input
          id="new-folder"
          value={name}
          autoComplete="off"
          placeholder="Optional"
          pattern="[^\/\\]*"
          title="Names can’t contain / or \"
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </div>
    </Form>
  )
}
