// What happened with one's account and one's files.
import { useEffect } from 'preact/hooks'
import { pageSize } from '../api/capabilities'
import { api, ask } from '../api/client'
import { me } from '../session'
import { type Source, Trail } from './activity-list'

const PAGE = 100

const source: Source = async (cursor) =>
  ask(api.GET('/v1/me/events', { params: { query: { limit: await pageSize(PAGE), cursor } } }))

export default function OwnTrail() {
  useEffect(() => {
    document.title = 'Trail · Strongroom'
  }, [])
  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Trail</h1>
      </header>
      <div class="scroll">
        <div class="sections wide">
          <section class="card">
            <p class="hint">Everything that was done with your account and your files, the latest first.</p>
            <Trail source={source} around={{ me: me.value?.id ?? '', nameOf: () => 'An admin' }} />
          </section>
        </div>
      </div>
    </div>
  )
}
