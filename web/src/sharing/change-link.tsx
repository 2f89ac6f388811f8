// Changing a link: other bounds, or another URL.
import { useState } from 'preact/hooks'
import { api, ask, type Link } from '../api/client'
import { Made } from '../components/copy-once'
import { Choice, Form } from '../components/dialog'
import { say } from '../components/toast'
import { exactly } from '../format'
import { facts } from './link-list'
import { Bounds, bounds, LIVES } from './link-settings'

const KEEP = 'keep'

/** Changes what a link is bound by, or gives it another URL. */
export function ChangeLink({ link, done }: { link: Link; done: () => void }) {
  const [url, setUrl] = useState<string | null>(null)
  const path = { id: link.id }
  const keep = link.expires_at
    ? `as now, ${link.state === 'expired' ? 'ended' : 'until'} ${exactly(link.expires_at)}`
    : 'as now, until it is revoked'
  const save = async (data: FormData) => {
    const { password, ...wanted } = bounds(data)
    // Only what is different, so that what somebody changes elsewhere meanwhile stays.
    const body: Record<string, unknown> = Object.fromEntries(
      Object.entries(wanted).filter(([name, value]) => String(value ?? '') !== String(link[name as keyof Link] ?? '')),
    )
    const life = String(data.get('expires_in'))
    if (life !== KEEP) body.expires_in = Number(life) || null
    if (data.has('no_password')) body.password = null
    else if (password) body.password = password
    if (Object.keys(body).length > 0) {
      await ask(api.PATCH('/v1/links/{id}', { params: { path }, body: body as never }))
      say('The link is changed. That counts at once.')
    }
    done()
  }
  const rotate = async () => setUrl((await ask(api.POST('/v1/links/{id}/rotate', { params: { path } }))).url)
  if (url) {
    return (
      <>
        <Made url={url}>Copy it now: it is not shown again. The URL before this one is dead.</Made>
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
        Link <code>…{link.last_four}</code> · {facts(link)}
      </p>
      <Form submit="Save the link" onSubmit={save} onCancel={done}>
        <Choice label="Works for" name="expires_in" options={[[KEEP, keep], ...LIVES]} value={KEEP} />
        <Bounds link={link} />
      </Form>
      <details>
        <summary>Another URL</summary>
        <Form submit="Give it a new URL" danger cancel={false} onSubmit={rotate}>
          <p>The URL that people have now is dead at once. The bounds and the count stay.</p>
        </Form>
      </details>
    </>
  )
}
