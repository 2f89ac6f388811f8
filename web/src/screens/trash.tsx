// Deleted files, which can be restored for a limited time.
import { useEffect, useState } from 'preact/hooks'
import { showActivity } from '../activity/show-activity'
import { pageSize } from '../api/capabilities'
import { api, request, type TrashedFile } from '../api/client'
import { confirmDialog } from '../components/dialog'
import { Icon, iconOf } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { showError, showToast } from '../components/toast'
import { useLoad } from '../components/use-load'
import { folderName } from '../files/path'
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

  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Trash</h1>
        {items.length > 0 && (
          <button type="button" class="danger" onClick={empty}>
            <Icon name="trash" size={18} /> Empty trash
          </button>
        )}
      </header>
      {first.error && !first.data ? (
        <Failed error={first.error} retry={first.reload} />
      ) : !first.data ? (
        <Loading />
      ) : items.length === 0 ? (
        <Empty icon="trash" title="Trash is empty">
          <p>{retentionText(first.data.retention)}</p>
        </Empty>
      ) : (
        <div class="scroll">
          <div class="sections wide">
            <section class="card">
              <p class="hint">Files in the trash still use storage.</p>
              <ul class="items">
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
