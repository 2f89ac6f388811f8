// Links to a file: making one, and what there are.
import { useState } from 'preact/hooks'
import { api, ask, type Link, type StoredFile } from '../api/client'
import { copy } from '../components/clipboard'
import { Made } from '../components/copy-once'
import { Choice, Form } from '../components/dialog'
import { useLoad } from '../components/use-load'
import { ChangeLink } from './change-link'
import { LinkList, linksTo } from './link-list'
import { Bounds, bounds, LIVES } from './link-settings'

/** The form for a new link to a file, and the links that there are. */
export function FileLinks({ file }: { file: StoredFile }) {
  const [url, setUrl] = useState<string | null>(null)
  const [changing, setChanging] = useState<Link | null>(null)
  const links = useLoad(async () => {
    const items = await linksTo(file.id)
    return items.filter((link) => link.state !== 'revoked')
  }, [file.id])
  const make = async (data: FormData) => {
    const body = { expires_in: Number(data.get('expires_in')) || null, ...bounds(data) }
    const made = await ask(api.POST('/v1/files/{id}/links', { params: { path: { id: file.id } }, body }))
    setUrl(made.url)
    links.reload()
    await copy(made.url, 'The link is in the clipboard.')
  }
  if (changing) {
    const done = () => {
      setChanging(null)
      links.reload()
    }
    return <ChangeLink link={changing} done={done} />
  }
  return (
    <>
      {url ? (
        <Made url={url}>Copy it now: it is not shown again. You can change and revoke it here or under Links.</Made>
      ) : (
        <Form submit="Make a link" onSubmit={make}>
          <Choice label="Works for" name="expires_in" options={LIVES} value="604800" />
          <details>
            <summary>More bounds</summary>
            <Bounds />
          </details>
        </Form>
      )}
      {links.data && links.data.length > 0 && (
        <LinkList links={links.data} changed={links.reload} change={setChanging} />
      )}
    </>
  )
}
