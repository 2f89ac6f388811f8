// The share links of a file: a form to create one, and the list of those that exist.
import { useState } from 'preact/hooks'
import { api, type Link, request, type StoredFile } from '../api/client'
import { copy } from '../components/clipboard'
import { CopyOnce } from '../components/copy-once'
import { Form, Select } from '../components/dialog'
import { useLoad } from '../components/use-load'
import { ChangeLink } from './change-link'
import { LinkItems, linksTo } from './link-list'
import { LIFETIMES, LinkSettings, readLinkSettings } from './link-settings'

export function FileLinks({ file }: { file: StoredFile }) {
  const [url, setUrl] = useState<string | null>(null)
  const [changing, setChanging] = useState<Link | null>(null)
  const links = useLoad(async () => {
    const items = await linksTo(file.id)
    return items.filter((link) => link.state !== 'revoked')
  }, [file.id])
  const create = async (data: FormData) => {
    const body = { expires_in: Number(data.get('expires_in')) || null, ...readLinkSettings(data) }
    const created = await request(api.POST('/v1/files/{id}/links', { params: { path: { id: file.id } }, body }))
    setUrl(created.url)
    links.reload()
    if (created.url) await copy(created.url, 'Link copied')
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
        <CopyOnce value={url}>You can copy, change or remove the link here or under Links.</CopyOnce>
      ) : (
        <Form submit="Create link" onSubmit={create}>
          <Select label="Link expires after" name="expires_in" options={LIFETIMES} value="604800" />
          <details>
            <summary>Link settings</summary>
            <LinkSettings />
          </details>
        </Form>
      )}
      {links.data && links.data.length > 0 && (
        <LinkItems links={links.data} changed={links.reload} change={setChanging} />
      )}
    </>
  )
}
