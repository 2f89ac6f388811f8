// The links that there are: what each is bound by, how often it was used, and its end.
import { fetchAllPages } from '../api/capabilities'
import { api, ask, type Link } from '../api/client'
import { confirm } from '../components/dialog'
import { Icon } from '../components/icon'
import { complain, say } from '../components/toast'
import { useLoad } from '../components/use-load'
import { count, exactly, fromNow } from '../format'

/** All links to a file, revoked ones too. */
export const linksTo = (file_id: string) =>
  fetchAllPages((query) => ask(api.GET('/v1/links', { params: { query: { ...query, file_id } } })))

type ListProps = { links: Link[]; changed: () => void; change: (link: Link) => void; showFile?: boolean }

export function LinkList({ links, changed, change, showFile }: ListProps) {
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
            {showFile && <Linked link={link} />} <code>…{link.last_four}</code>{' '}
            {link.state !== 'active' && <span class="tag bad">{link.state.replaceAll('_', ' ')}</span>}{' '}
            {link.note && <span>{link.note}</span>}
            <p class="hint">{facts(link)}</p>
          </div>
          {link.state !== 'revoked' && (
            <span class="buttons">
              <button type="button" aria-label={`Change the link …${link.last_four}`} onClick={() => change(link)}>
                <Icon name="pencil" size={18} /> Change
              </button>
              <button
                type="button"
                aria-label={`Revoke the link …${link.last_four}`}
                onClick={() => (showFile ? sure(() => revoke(link)) : revoke(link))}
              >
                <Icon name="close" size={18} /> Revoke
              </button>
            </span>
          )}
        </li>
      ))}
    </ul>
  )
}

function sure(revoke: () => unknown) {
  confirm('Revoke this link?', 'Whoever has it cannot use it any more, at once and for good.', 'Revoke', revoke)
}

/** The name of the file; the list of links has only its id. */
function Linked({ link }: { link: Link }) {
  const file = useLoad(() => ask(api.GET('/v1/files/{id}', { params: { path: { id: link.file_id } } })), [link.file_id])
  if (file.error) return <strong>A deleted file</strong>
  return <a href={`/?open=${link.file_id}`}>{file.data?.name ?? '…'}</a>
}

/** What a link is bound by, and what came of it. */
export function facts(link: Link): string {
  const parts = [
    link.max_downloads
      ? `${link.downloads} of ${count(link.max_downloads, 'download')}`
      : count(link.downloads, 'download'),
  ]
  if (link.last_used_at) parts.push(`last ${fromNow(link.last_used_at)}`)
  if (link.has_password) parts.push('with a password')
  if (link.allow_from.length > 0) parts.push(`only from ${link.allow_from.join(', ')}`)
  if (link.download_name) parts.push(`as “${link.download_name}”`)
  if (link.inline) parts.push('shown in the browser')
  if (link.state === 'active') parts.push(link.expires_at ? `ends ${fromNow(link.expires_at)}` : 'until it is revoked')
  parts.push(`made ${exactly(link.created_at)}`)
  return parts.join(' · ')
}
