// The activity of one file.
import { useMemo } from 'preact/hooks'
import { pageSize } from '../api/capabilities'
import { api, request } from '../api/client'
import { Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { me } from '../session'
import { linksTo } from '../sharing/link-list'
import { ActivityList, type Source } from './activity-list'

const PAGE = 50

export default function FileActivity({ id }: { id: string }) {
  const source = useMemo<Source>(
    () => async (cursor) => {
      const query = { limit: await pageSize(PAGE), cursor }
      return request(api.GET('/v1/files/{id}/events', { params: { path: { id }, query } }))
    },
    [id],
  )
  // Details of the links in the events; unavailable once the file is deleted.
  const links = useLoad(async () => new Map((await linksTo(id)).map((link) => [link.id, link])), [id])
  if (!links.data && !links.error) return <Loading />
  const context = { me: me.value?.id ?? '', nameOf: () => 'An admin', file: 'this file', links: links.data }
  return (
    <>
      <p class="hint">Previews count as downloads. Direct bucket downloads aren’t listed.</p>
      <ActivityList source={source} context={context} />
    </>
  )
}
