// Who has access to a file, with buttons to revoke it.
import { useState } from 'preact/hooks'
import { type AccessEntry, api, type Link, request, type StoredFile } from '../api/client'
import { fetchAllPages } from '../api/pages'
import { SessionItems, TokenItems } from '../components/credentials'
import { Icon } from '../components/icon'
import { Failed, Loading } from '../components/states'
import { showError, showToast } from '../components/toast'
import { useLoad } from '../components/use-load'
import { count, dateTime } from '../format'
import { ChangeLink } from './change-link'
import { LinkItems } from './link-list'

type OwnerEntry = Extract<AccessEntry, { kind: 'owner' }>
type SignedUrlsEntry = Extract<AccessEntry, { kind: 'signed_urls' }>
type SignedPutsEntry = Extract<AccessEntry, { kind: 'signed_puts' }>

export function Access({ file }: { file: StoredFile }) {
  const [changing, setChanging] = useState<Link | null>(null)
  const params = { path: { id: file.id } }
  const access = useLoad(
    () => fetchAllPages((query) => request(api.GET('/v1/files/{id}/access', { params: { ...params, query } }))),
    [file.id],
  )
  if (access.error && !access.data) return <Failed error={access.error} retry={access.reload} />
  if (!access.data) return <Loading />
  if (changing) {
    const done = () => {
      setChanging(null)
      access.reload()
    }
    return <ChangeLink link={changing} done={done} />
  }
  const links = access.data.flatMap((entry) => (entry.kind === 'link' ? [entry.link] : []))
  const revokeUrls = () =>
    request(api.POST('/v1/files/{id}/signed-urls/revoke', { params })).then(() => {
      showToast('Temporary links revoked')
      access.reload()
    }, showError)
  return (
    <div class="access">
      <p>People and links with access</p>
      {access.data.map((entry) => {
        if (entry.kind === 'owner') return <Owner key="owner" owner={entry} changed={access.reload} />
        if (entry.kind === 'signed_urls') return <TemporaryLinks key="urls" urls={entry} revoke={revokeUrls} />
        if (entry.kind === 'signed_puts') return <UploadLinks key="puts" puts={entry} revoke={revokeUrls} />
        return null
      })}
      <section>
        <h3>
          {links.length > 1
            ? `Anyone with one of ${links.length} links`
            : links.length === 1
              ? 'Anyone with this link'
              : 'Links'}
        </h3>
        {links.length > 0 ? (
          <LinkItems links={links} changed={access.reload} change={setChanging} />
        ) : (
          <p class="hint">No active links</p>
        )}
      </section>
    </div>
  )
}

function Owner({ owner, changed }: { owner: OwnerEntry; changed: () => void }) {
  const revoke = (id: string) =>
    request(api.DELETE('/v1/me/tokens/{id}', { params: { path: { id } } })).then(changed, showError)
  return (
    <section>
      <h3>You</h3>
      <p class="hint">
        {owner.email} · {count(owner.sessions, 'session')} · {count(owner.tokens, 'API token')}
      </p>
      <details>
        <summary>Sessions and API tokens</summary>
        <SessionItems changed={changed} />
        <TokenItems key={owner.tokens} revoke={(token) => revoke(token.id)} />
      </details>
    </section>
  )
}

function TemporaryLinks({ urls, revoke }: { urls: SignedUrlsEntry; revoke: () => void }) {
  return (
    <section>
      <h3>Anyone with a temporary link</h3>
      <p class="hint">Temporary links may exist until {dateTime(urls.until)}.</p>
      {urls.revocable ? (
        <p>
          <button type="button" onClick={revoke}>
            <Icon name="close" size={18} /> Revoke temporary links
          </button>
        </p>
      ) : (
        <p class="hint">
          The storage bucket signed them, so they can’t be revoked before they expire. With{' '}
          <code>STRONGROOM_SIGNED_URLS=server</code>, this server signs links that can be revoked.
        </p>
      )}
    </section>
  )
}

function UploadLinks({ puts, revoke }: { puts: SignedPutsEntry; revoke: () => void }) {
  return (
    <section>
      <h3>Anyone with an upload link</h3>
      <p class="hint">
        {count(puts.uploads, 'temporary link')} can upload new content until {dateTime(puts.until)}. You decide whether
        to use it.
      </p>
      <p>
        <button type="button" onClick={revoke}>
          <Icon name="close" size={18} /> Revoke temporary links
        </button>
      </p>
    </section>
  )
}
