// Changes the settings of a share link, or replaces its URL.
import { useState } from 'preact/hooks'
import { api, type Link, request } from '../api/client'
import { CopyOnce } from '../components/copy-once'
import { Form, Select } from '../components/dialog'
import { showToast } from '../components/toast'
import { dateTime } from '../format'
import { linkSummary } from './link-list'
import { LIFETIMES, LinkSettings, readLinkSettings } from './link-settings'

const KEEP = 'keep'

export function ChangeLink({ link, done }: { link: Link; done: () => void }) {
  const [url, setUrl] = useState<string | null>(null)
  const path = { id: link.id }
  const expiry = link.expires_at
    ? `${link.state === 'expired' ? 'expired' : 'expires'} ${dateTime(link.expires_at)}`
    : 'never'
  const save = async (data: FormData) => {
    const body = changes(link, data)
    if (Object.keys(body).length > 0) {
      await request(api.PATCH('/v1/links/{id}', { params: { path }, body }))
      showToast('Link updated')
    }
    done()
  }
  const rotate = async () => setUrl((await request(api.POST('/v1/links/{id}/rotate', { params: { path } }))).url)
  if (url) {
    return (
      <>
        <CopyOnce value={url}>The previous URL no longer works.</CopyOnce>
        <p>
          <button type="button" onClick={done}>
            Done
          </button>
        </p>
      </>
    )
  }
  return (
    <>
      <p class="hint">
        Link <code>…{link.last_four}</code> · {linkSummary(link)}
      </p>
      <Form submit="Save" onSubmit={save} onCancel={done}>
        <Select
          label="Link expires after"
          name="expires_in"
          options={[[KEEP, `No change (${expiry})`], ...LIFETIMES]}
          value={KEEP}
        />
        <LinkSettings link={link} />
      </Form>
      <details>
        <summary>New URL</summary>
        <Form submit="Generate new URL" danger cancel={false} onSubmit={rotate}>
          <p>The current URL stops working. Settings and count stay.</p>
        </Form>
      </details>
    </>
  )
}

type LinkChanges = Partial<ReturnType<typeof readLinkSettings>> & { expires_in?: number | null }

/** Only what differs, so that concurrent changes made elsewhere are kept. */
export function changes(link: Link, data: FormData): LinkChanges {
  const { password, ...settings } = readLinkSettings(data)
  const body: LinkChanges = Object.fromEntries(
    Object.entries(settings).filter(([name, value]) => String(value ?? '') !== String(link[name as keyof Link] ?? '')),
  )
  const lifetime = String(data.get('expires_in'))
  if (lifetime !== KEEP) body.expires_in = Number(lifetime) || null
  if (data.has('no_password')) body.password = null
  else if (password) body.password = password
  return body
}
