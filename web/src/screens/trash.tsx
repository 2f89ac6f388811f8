// What was deleted, and can be had back until its time is over.
import { useEffect, useState } from 'preact/hooks'
import { showTrail } from '../activity/show-activity'
import { pageSize } from '../api/capabilities'
import { api, ask, type TrashedFile } from '../api/client'
import { confirm } from '../components/dialog'
import { Icon, iconOf } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { complain, say } from '../components/toast'
import { useLoad } from '../components/use-load'
import { bytes, exactly, fromNow } from '../format'
import { folderUrl, navigate } from '../router'
import { refreshUsage } from '../session'

const PAGE = 200

export default function Trash() {
  const [more, setMore] = useState<{ items: TrashedFile[]; cursor: string | null } | null>(null)
  const first = useLoad(async () => {
    setMore(null)
    return ask(api.GET('/v1/trash', { params: { query: { limit: await pageSize(PAGE) } } }))
  })
  useEffect(() => {
    document.title = 'Trash · Strongroom'
  }, [])
  const items = [...(first.data?.items ?? []), ...(more?.items ?? [])]
  const cursor = more ? more.cursor : (first.data?.next_cursor ?? null)

  const next = async () => {
    const query = { limit: await pageSize(PAGE), cursor: cursor ?? '' }
    const page = await ask(api.GET('/v1/trash', { params: { query } }))
    setMore({ items: [...(more?.items ?? []), ...page.items], cursor: page.next_cursor ?? null })
  }
  const changed = () => {
    first.reload()
    void refreshUsage()
  }
  const restore = async (file: TrashedFile) => {
    try {
      const back = await ask(api.POST('/v1/trash/{id}/restore', { params: { path: { id: file.id } } }))
      say(`${back.name} is back in ${back.path || 'Files'}.`, {
        label: 'Show',
        run: () => navigate(folderUrl(back.path)),
      })
      changed()
    } catch (error) {
      complain(error)
    }
  }
  const remove = (file: TrashedFile) =>
    confirm(`Delete “${file.name}” for good?`, 'This cannot be undone.', 'Delete for good', async () => {
      await ask(api.DELETE('/v1/trash/{id}', { params: { path: { id: file.id } } }))
      changed()
    })
  const empty = () =>
    confirm(
      'Empty the trash?',
      'Everything in it is deleted for good. This cannot be undone.',
      'Empty it',
      async () => {
        await ask(api.DELETE('/v1/trash'))
        changed()
      },
    )

  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Trash</h1>
        {items.length > 0 && (
          <button type="button" class="danger" onClick={empty}>
            <Icon name="trash" size={18} /> Empty the trash
          </button>
        )}
      </header>
      {first.error && !first.data ? (
        <Failed error={first.error} retry={first.reload} />
      ) : !first.data ? (
        <Loading />
      ) : items.length === 0 ? (
        <Empty icon="trash" title="The trash is empty">
          <p>What you delete waits here for a while, in case you want it back.</p>
        </Empty>
      ) : (
        <div class="scroll">
          <div class="sections wide">
            <section class="card">
              <p class="hint">What is in the trash counts toward your space until it is gone.</p>
              <ul class="items">
                {items.map((file) => (
                  <li key={file.id}>
                    <span class="kind">
                      <Icon name={iconOf(file.content_type)} size={22} />
                    </span>
                    <div>
                      <strong>{file.name}</strong>
                      <p class="hint">
                        {file.path || 'Files'} · {bytes(file.size)} ·{' '}
                        <span title={exactly(file.purge_at)}>gone for good {fromNow(file.purge_at)}</span>
                      </p>
                    </div>
                    <button
                      type="button"
                      class="quiet only-icon"
                      aria-label={`Trail of ${file.name}`}
                      onClick={() => showTrail(file)}
                    >
                      <Icon name="clock" size={18} />
                    </button>
                    <button type="button" aria-label={`Restore ${file.name}`} onClick={() => restore(file)}>
                      <Icon name="retry" size={18} /> Restore
                    </button>
                    <button
                      type="button"
                      class="quiet only-icon"
                      aria-label={`Delete ${file.name} for good`}
                      onClick={() => remove(file)}
                    >
                      <Icon name="trash" size={18} />
                    </button>
                  </li>
                ))}
              </ul>
              {cursor && (
                <p>
                  <button type="button" onClick={() => next().catch(complain)}>
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
