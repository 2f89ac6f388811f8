// Deleted files and folders, which can be restored for a limited time.
import { useEffect, useState } from 'preact/hooks'
import { showActivity } from '../activity/show-activity'
import { pageSize } from '../api/capabilities'
import { api, request, type TrashedFile, type TrashedFolder } from '../api/client'
import { fetchAllPages } from '../api/pages'
import { confirmDialog } from '../components/dialog'
import { Icon, iconOf } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { showError, showToast } from '../components/toast'
import { useLoad } from '../components/use-load'
import { folderName, parentPath } from '../files/path'
import { bytes, dateTime, duration, fromNow } from '../format'
import { folderUrl, navigate } from '../router'
import { refreshUsage } from '../session'

const PAGE = 200

export default function Trash() {
  const [more, setMore] = useState<{ items: TrashedFile[]; cursor: string | null } | null>(null)
  const first = useLoad(async () => {
    setMore(null)
    return request(api.GET('/v1/trash', { params: { query: { limit: await pageSize(PAGE) } } }))
  })
  const folders = useLoad(() =>
    fetchAllPages((query) => request(api.GET('/v1/trashed-folders', { params: { query } }))),
  )
  useEffect(() => {
    document.title = 'Trash · Strongroom'
  }, [])
  const items = [...(first.data?.items ?? []), ...(more?.items ?? [])]
  const cursor = more ? more.cursor : (first.data?.next_cursor ?? null)

  const next = async () => {
    const query = { limit: await pageSize(PAGE), cursor: cursor ?? '' }
    const page = await request(api.GET('/v1/trash', { params: { query } }))
    setMore({ items: [...(more?.items ?? []), ...page.items], cursor: page.next_cursor ?? null })
  }
  const changed = () => {
    first.reload()
    folders.reload()
    void refreshUsage()
  }
  const restore = async (file: TrashedFile) => {
    try {
      const restored = await request(api.POST('/v1/trash/{id}/restore', { params: { path: { id: file.id } } }))
      showToast(`Restored to ${folderName(restored.path)}`, {
        label: 'Show',
        run: () => navigate(folderUrl(restored.path)),
      })
      changed()
    } catch (error) {
      showError(error)
    }
  }
  const restoreFolder = async ({ id }: TrashedFolder) => {
    try {
      const restored = await request(api.POST('/v1/trashed-folders/{id}/restore', { params: { path: { id } } }))
      showToast(`Restored ${restored.name}`, { label: 'Show', run: () => navigate(folderUrl(restored.path)) })
      changed()
    } catch (error) {
      showError(error)
    }
  }
  const removeFolder = ({ id, name }: TrashedFolder) =>
    confirmDialog(
      `Delete “${name}” and everything in it forever?`,
      'This can’t be undone.',
      'Delete forever',
      async () => {
        await request(api.DELETE('/v1/trashed-folders/{id}', { params: { path: { id } } }))
        changed()
      },
    )
  const remove = (file: TrashedFile) =>
    confirmDialog(`Delete “${file.name}” forever?`, 'This can’t be undone.', 'Delete forever', async () => {
      await request(api.DELETE('/v1/trash/{id}', { params: { path: { id: file.id } } }))
      changed()
    })
  const empty = () =>
    confirmDialog(
      'Empty trash?',
      'Everything in it is deleted forever. This can’t be undone.',
      'Empty trash',
      async () => {
        await request(api.DELETE('/v1/trash'))
        changed()
      },
    )
  const isEmpty = items.length === 0 && !folders.data?.length

  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Trash</h1>
        {!isEmpty && (
          <button type="button" class="danger" onClick={empty}>
            <Icon name="trash" size={18} /> Empty trash
          </button>
        )}
      </header>
      {(first.error && !first.data) || (folders.error && !folders.data) ? (
        <Failed error={first.error ?? folders.error} retry={changed} />
      ) : !first.data || !folders.data ? (
        <Loading />
      ) : isEmpty ? (
        <Empty icon="trash" title="Trash is empty">
          <p>{retentionText(first.data.retention)}</p>
        </Empty>
      ) : (
        <div class="scroll">
          <div class="sections wide">
            <section class="card">
              <p class="hint">What is in the trash still uses storage.</p>
              <ul class="items">
                {folders.data.map((folder) => (
                  <li key={folder.id}>
                    <span class="kind">
                      <Icon name="folder" size={22} />
                    </span>
                    <div>
                      <strong>{folder.name}</strong>
                      <p class="hint">
                        {folderName(parentPath(folder.path))} ·{' '}
                        <span title={dateTime(folder.purge_at)}>Deleted forever {fromNow(folder.purge_at)}</span>
                      </p>
                    </div>
                    <button type="button" aria-label={`Restore ${folder.name}`} onClick={() => restoreFolder(folder)}>
                      <Icon name="retry" size={18} /> Restore
                    </button>
                    <button
                      type="button"
                      class="quiet only-icon"
                      aria-label={`Delete ${folder.name} forever`}
                      onClick={() => removeFolder(folder)}
                    >
                      <Icon name="trash" size={18} />
                    </button>
                  </li>
                ))}
                {items.map((file) => (
                  <li key={file.id}>
                    <span class="kind">
                      <Icon name={iconOf(file.content_type)} size={22} />
                    </span>
                    <div>
                      <strong>{file.name}</strong>
                      <p class="hint">
                        {folderName(file.path)} · {bytes(file.size)} ·{' '}
                        <span title={dateTime(file.purge_at)}>Deleted forever {fromNow(file.purge_at)}</span>
                      </p>
                    </div>
                    <button
                      type="button"
                      class="quiet only-icon"
                      aria-label={`Activity of ${file.name}`}
                      onClick={() => showActivity(file)}
                    >
                      <Icon name="clock" size={18} />
                    </button>
                    <button type="button" aria-label={`Restore ${file.name}`} onClick={() => restore(file)}>
                      <Icon name="retry" size={18} /> Restore
                    </button>
                    <button
                      type="button"
                      class="quiet only-icon"
                      aria-label={`Delete ${file.name} forever`}
                      onClick={() => remove(file)}
                    >
                      <Icon name="trash" size={18} />
                    </button>
                  </li>
                ))}
              </ul>
              {cursor && (
                <p>
                  <button type="button" onClick={() => next().catch(showError)}>
                    Show more
                  </button>
                </p>
              )}
            </section>
          </div>
        </div>
      )}
    </div>
  )
}

function retentionText(seconds: number): string {
  if (seconds === 0) return 'This server has no trash. Deleting can’t be undone.'
  return `Deleted files stay here for ${duration(seconds, 'long')}.`
}
