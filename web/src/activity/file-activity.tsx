// The trail of one file.
import { useMemo } from 'preact/hooks'
import { pageSize } from '../api/capabilities'
import { api, ask } from '../api/client'
import { Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { me } from '../session'
import { linksTo } from '../sharing/link-list'
import { type Source, Trail } from './activity-list'

const PAGE = 50

export default function FileTrail({ id }: { id: string }) {
  const source = useMemo<Source>(
    () => async (cursor) => {
      const query = { limit: await pageSize(PAGE), cursor }
      return ask(api.GET('/v1/files/{id}/events', { params: { path: { id }, query } }))
    },
    [id],
  )
  // Names for the links of the trail; of a file that is gone there are none.
  const links = useLoad(async () => {
    return new Map((await linksTo(id)).map((link) => [link.id, link]))
  }, [id])
  if (!links.data && !links.error) return <Loading />
  const around = { me: me.value?.id ?? '', nameOf: () => 'An admin', file: 'this file', links: links.data }
  return (
    <>
      <p class="hint">
        Downloads count when their bytes are handed out, previews too. What a bucket serves by itself is in the bucket’s
        own log; that its URL was made is here.
      </p>
      <Trail source={source} around={around} />
    </>
  )
}
