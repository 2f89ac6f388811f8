// All share links of the user.
import { useEffect } from 'preact/hooks'
import { api, type Link, request } from '../api/client'
import { fetchAllPages } from '../api/pages'
import { closeDialog, Dialog, showDialog } from '../components/dialog'
import { Empty, Failed, Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { ChangeLink } from '../sharing/change-link'
import { LinkItems } from '../sharing/link-list'

const allLinks = () => fetchAllPages((query) => request(api.GET('/v1/links', { params: { query } })))

export default function Links() {
  const links = useLoad(allLinks)
  const change = (link: Link) => {
    const done = () => {
      closeDialog()
      links.reload()
    }
    showDialog(() => (
      <Dialog title="Change link" wide>
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
          <p>Share a file from its menu. The links you create are listed here.</p>
        </Empty>
      ) : (
        <div class="scroll">
          <div class="sections wide">
            <section class="card">
              <LinkItems links={links.data} changed={links.reload} change={change} showFile />
            </section>
          </div>
        </div>
      )}
    </div>
  )
}
