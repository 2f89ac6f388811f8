// The links one has made: what each is bound by, how often it was used, and its end.
import { useEffect } from 'preact/hooks'
import { api, ask, type Link } from '../api/client'
import { LinkList } from '../files/links'
import { useLoad } from '../parts/load'
import { Empty, Failed, Loading } from '../parts/states'

async function everyLink(): Promise<Link[]> {
  const all: Link[] = []
  let cursor: string | undefined
  do {
    const query = { limit: 1000, ...(cursor ? { cursor } : {}) }
    const page: { items: Link[]; next_cursor: string | null } = await ask(api.GET('/v1/links', { params: { query } }))
    all.push(...page.items)
    cursor = page.next_cursor ?? undefined
  } while (cursor)
  return all
}

export default function Links() {
  const links = useLoad(everyLink)
  useEffect(() => {
    document.title = 'Links · Strongroom'
  }, [])
  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Links</h1>
      </header>
      {links.error && !links.data ? (
        <Failed error={links.error} retry={links.reload} />
      ) : !links.data ? (
        <Loading />
      ) : links.data.length === 0 ? (
        <Empty icon="link" title="No links">
          <p>Share a file from its menu. Every link that you make is listed here, and can be revoked.</p>
        </Empty>
      ) : (
        <div class="scroll">
          <div class="sections wide">
            <section class="card">
              <LinkList links={links.data} changed={links.reload} showFile />
            </section>
          </div>
        </div>
      )}
    </div>
  )
}
