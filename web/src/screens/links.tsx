// The links one has made: what each is bound by, how often it was used, and its end.
import { useEffect } from 'preact/hooks'
import { fetchAllPages } from '../api/capabilities'
import { api, ask, type Link } from '../api/client'
import { closeDialog, Dialog, showDialog } from '../components/dialog'
import { Empty, Failed, Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { ChangeLink } from '../sharing/change-link'
import { LinkList } from '../sharing/link-list'

const everyLink = () => fetchAllPages((query) => ask(api.GET('/v1/links', { params: { query } })))

export default function Links() {
  const links = useLoad(everyLink)
  const change = (link: Link) => {
    const done = () => {
      closeDialog()
      links.reload()
    }
    showDialog(() => (
      <Dialog title="Change a link" wide>
        <ChangeLink link={link} done={done} />
      </Dialog>
    ))
  }
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
              <LinkList links={links.data} changed={links.reload} change={change} showFile />
            </section>
          </div>
        </div>
      )}
    </div>
  )
}
