// Links to files: making one, and what there are.
import { useState } from 'preact/hooks'
import { api, ask, type File, type Link } from '../api/client'
import { count, exactly, fromNow } from '../format'
import { copy } from '../parts/copy'
import { Choice, closeDialog, confirm, Field, Form } from '../parts/dialog'
import { Icon } from '../parts/icon'
import { useLoad } from '../parts/load'
import { complain, say } from '../parts/toast'
import { Made } from './share'

const LIVES: [string, string][] = [
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
  ['2592000', '30 days'],
  ['', 'until it is revoked'],
]

/** The form for a new link to a file, and the links that there are. */
export function FileLinks({ file }: { file: File }) {
  const [url, setUrl] = useState<string | null>(null)
  const links = useLoad(async () => {
    const { items } = await ask(api.GET('/v1/links', { params: { query: { file_id: file.id } } }))
    return items.filter((link) => link.state === 'active')
  }, [file.id])
  const make = async (data: FormData) => {
    const text = (name: string) => String(data.get(name) ?? '').trim()
    const networks = text('allow_from')
      .split(/[\s,]+/)
      .filter(Boolean)
    const body = {
      expires_in: Number(text('expires_in')) || null,
      password: text('password') || null,
      max_downloads: Number(text('max_downloads')) || null,
      allow_from: networks.length > 0 ? networks : null,
      note: text('note'),
      inline: data.has('inline'),
    }
    const made = await ask(api.POST('/v1/files/{id}/links', { params: { path: { id: file.id } }, body }))
    setUrl(made.url)
    links.reload()
    await copy(made.url, 'The link is in the clipboard.')
  }
  return (
    <>
      {url ? (
        <Made url={url}>Copy it now: it is not shown again. You can revoke it here or under Links.</Made>
      ) : (
        <Form submit="Make a link" onSubmit={make}>
          <Choice label="Works for" name="expires_in" options={LIVES} value="604800" />
          <details>
            <summary>More bounds</summary>
            <div class="bounds">
              <Field label="Password" name="password" type="text" autoComplete="off" />
              <Field label="Downloads at most" name="max_downloads" type="number" min={1} inputMode="numeric" />
              <Field
                label="Only from these networks"
                name="allow_from"
                autoComplete="off"
                placeholder="192.0.2.0/24, 2001:db8::/32"
              />
              <Field label="Note for yourself" name="note" maxLength={300} autoComplete="off" />
              <label class="check">
                <input type="checkbox" name="inline" /> Show it in the browser, if its type allows
              </label>
            </div>
          </details>
        </Form>
      )}
      {links.data && links.data.length > 0 && <LinkList links={links.data} changed={links.reload} />}
    </>
  )
}

type ListProps = { links: Link[]; changed: () => void; showFile?: boolean }

export function LinkList({ links, changed, showFile }: ListProps) {
  const revoke = (link: Link) =>
    ask(api.DELETE('/v1/links/{id}', { params: { path: { id: link.id } } })).then(() => {
      say('The link is revoked. It is dead already.')
      changed()
    }, complain)
  return (
    <ul class="items links">
      {links.map((link) => (
        <li key={link.id}>
          <div>
            {showFile && <Linked link={link} />} <code>…{link.hint}</code>{' '}
            {link.state !== 'active' && <span class="tag bad">{link.state.replaceAll('_', ' ')}</span>}{' '}
            {link.note && <span>{link.note}</span>}
            <p class="hint">{bounds(link)}</p>
          </div>
          {link.state === 'active' && (
            <button type="button" onClick={() => (showFile ? sure(link, revoke) : revoke(link))}>
              <Icon name="close" size={18} /> Revoke
            </button>
          )}
        </li>
      ))}
    </ul>
  )
}

function sure(link: Link, revoke: (link: Link) => unknown) {
  confirm('Revoke this link?', 'Whoever has it cannot use it any more, at once and for good.', 'Revoke', async () => {
    await revoke(link)
    closeDialog()
  })
}

/** The name of the file; the list of links has only its id. */
function Linked({ link }: { link: Link }) {
  const file = useLoad(() => ask(api.GET('/v1/files/{id}', { params: { path: { id: link.file_id } } })), [link.file_id])
  if (file.error) return <strong>A deleted file</strong>
  return <a href={`/?open=${link.file_id}`}>{file.data?.name ?? '…'}</a>
}

function bounds(link: Link): string {
  const parts = [
    link.max_downloads
      ? `${link.downloads} of ${count(link.max_downloads, 'download')}`
      : count(link.downloads, 'download'),
  ]
  if (link.has_password) parts.push('with a password')
  if (link.allow_from.length > 0) parts.push(`only from ${link.allow_from.join(', ')}`)
  if (link.state === 'active') parts.push(link.expires_at ? `ends ${fromNow(link.expires_at)}` : 'until it is revoked')
  parts.push(`made ${exactly(link.created_at)}`)
  return parts.join(' · ')
}
