// The activity of the user's account and files.
import { useEffect } from 'preact/hooks'
import { pageSize } from '../api/capabilities'
import { api, request } from '../api/client'
import { me } from '../session'
import { ActivityList, type Source } from './activity-list'

const PAGE = 100

const source: Source = async (cursor) =>
  request(api.GET('/v1/me/events', { params: { query: { limit: await pageSize(PAGE), cursor } } }))

export default function Activity() {
  useEffect(() => {
    document.title = 'Activity · Strongroom'
  }, [])
  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Activity</h1>
      </header>
      <div class="scroll">
        <div class="sections wide">
          <section class="card">
            <p class="hint">Everything done with your account and files, newest first.</p>
            <ActivityList source={source} context={{ me: me.value?.id ?? '', nameOf: () => 'An admin' }} />
          </section>
        </div>
      </div>
    </div>
  )
}
