// A list of share links: settings, downloads, and buttons to change or remove each.

import { api, type Link, request } from '../api/client'
import { fetchAllPages } from '../api/pages'
import { pathOf } from '../base'
import { copy } from '../components/clipboard'
import { confirmDialog } from '../components/dialog'
import { Icon } from '../components/icon'
import { showError, showToast } from '../components/toast'
import { useLoad } from '../components/use-load'
import { count, date, fromNow } from '../format'

/** All links to a file, including removed ones. */
export const linksTo = (file_id: string) =>
  fetchAllPages((query) => request(api.GET('/v1/links', { params: { query: { ...query, file_id } } })))

type ListProps = { links: Link[]; changed: () => void; change: (link: Link) => void; showFile?: boolean }

const STATES: Record<Link['state'], string> = {
  active: '',
  expired: 'expired',
  revoked: 'removed',
  used_up: 'download limit reached',
}

export function LinkItems({ links, changed, change, showFile }: ListProps) {
  const remove = (link: Link) =>
    request(api.DELETE('/v1/links/{id}', { params: { path: { id: link.id } } })).then(() => {
      showToast('Link removed')
      changed()
    }, showError)
  const confirmRemove = (link: Link) =>
    confirmDialog('Remove this link?', 'It stops working immediately.', 'Remove link', () => remove(link))
  return (
    <ul class="items links">
      {links.map((link) => (
        <li key={link.id}>
          <div>
            {showFile && <FileName link={link} />} <code>…{link.last_four}</code>{' '}
            {link.state !== 'active' && <span class="tag bad">{STATES[link.state]}</span>}{' '}
            {link.note && <span>{link.note}</span>}
            <p class="hint">{linkSummary(link)}</p>
          </div>
          {link.state !== 'revoked' && (
            <span class="buttons">
              {link.url && <CopyLink link={link} url={link.url} />}
              <button type="button" aria-label={`Change link …${link.last_four}`} onClick={() => change(link)}>
                <Icon name="pencil" size={18} /> Change
              </button>
              <button
                type="button"
                aria-label={`Remove link …${link.last_four}`}
                onClick={() => (showFile ? confirmRemove(link) : remove(link))}
              >
                <Icon name="close" size={18} /> Remove
              </button>
            </span>
          )}
        </li>
      ))}
    </ul>
  )
}

function CopyLink({ link, url }: { link: Link; url: string }) {
  return (
    <button type="button" aria-label={`Copy link …${link.last_four}`} onClick={() => copy(url, 'Link copied')}>
      <Icon name="copy" size={18} /> Copy
    </button>
  )
}

/** The name of the file of a link, which the list of links does not include. */
function FileName({ link }: { link: Link }) {
  const { file_id: id } = link
  const file = useLoad(() => request(api.GET('/v1/files/{id}', { params: { path: { id } } })), [id])
  if (file.error) return <strong>Deleted file</strong>
  return <a href={pathOf(`/?open=${id}`)}>{file.data?.name ?? '…'}</a>
}

/** Settings and downloads of a link in one line. */
export function linkSummary(link: Link): string {
  const parts = [
    link.max_downloads
      ? `${link.downloads} of ${count(link.max_downloads, 'download')}`
      : count(link.downloads, 'download'),
  ]
  if (link.last_downloaded_at) parts.push(`last ${fromNow(link.last_downloaded_at)}`)
  if (link.has_password) parts.push('with password')
  if (link.allow_from.length > 0) parts.push(`only from ${link.allow_from.join(', ')}`)
  if (link.download_name) parts.push(`downloads as “${link.download_name}”`)
  if (link.inline) parts.push('viewable in the browser')
  if (link.state === 'active') parts.push(link.expires_at ? `expires ${fromNow(link.expires_at)}` : 'never expires')
  parts.push(`created ${date(link.created_at)}`)
  return parts.join(' · ')
}
