// Who can read a file now, and what would end it.
import { useState } from 'preact/hooks'
import { type AccessEntry, api, ask, type Link, type StoredFile } from '../api/client'
import { SessionList, TokenList } from '../components/credentials'
import { Icon } from '../components/icon'
import { Failed, Loading } from '../components/states'
import { complain, say } from '../components/toast'
import { useLoad } from '../components/use-load'
import { count, exactly } from '../format'
import { ChangeLink } from './change-link'
import { LinkList } from './link-list'

type Owner = Extract<AccessEntry, { kind: 'owner' }>
type SignedUrls = Extract<AccessEntry, { kind: 'signed_urls' }>

export function Readers({ file }: { file: StoredFile }) {
  const [changing, setChanging] = useState<Link | null>(null)
  const params = { path: { id: file.id } }
  const readers = useLoad(async () => (await ask(api.GET('/v1/files/{id}/access', { params }))).items, [file.id])
  if (readers.error && !readers.data) return <Failed error={readers.error} retry={readers.reload} />
  if (!readers.data) return <Loading />
  if (changing) {
    const done = () => {
      setChanging(null)
      readers.reload()
    }
    return <ChangeLink link={changing} done={done} />
  }
  const links = readers.data.flatMap((reader) => (reader.kind === 'link' ? [reader.link] : []))
  const endUrls = () =>
    ask(api.POST('/v1/files/{id}/signed-urls/revoke', { params })).then(() => {
      say('The temporary URLs to this file are dead.')
      readers.reload()
    }, complain)
  return (
    <div class="readers">
      <p>These can read “{file.name}” now, and nobody else through this server.</p>
      {readers.data.map((reader) => {
        if (reader.kind === 'owner') return <You key="owner" owner={reader} changed={readers.reload} />
        if (reader.kind === 'signed_urls') return <Urls key="urls" urls={reader} end={endUrls} />
        return null
      })}
      <section>
        <h3>
          {links.length > 1
            ? `Whoever has one of ${links.length} links`
            : links.length
              ? 'Whoever has this link'
              : 'Links'}
        </h3>
        {links.length > 0 ? (
          <LinkList links={links} changed={readers.reload} change={setChanging} />
        ) : (
          <p class="hint">No link to this file is alive.</p>
        )}
      </section>
    </div>
  )
}

function You({ owner, changed }: { owner: Owner; changed: () => void }) {
  const revoke = (id: string) =>
    ask(api.DELETE('/v1/me/tokens/{id}', { params: { path: { id } } })).then(changed, complain)
  return (
    <section>
      <h3>You</h3>
      <p class="hint">
        {owner.email}, with {count(owner.sessions, 'sign-in')} and {count(owner.tokens, 'API token')}. Each of them can
        be ended.
      </p>
      <details>
        <summary>Sign-ins and API tokens</summary>
        <SessionList changed={changed} />
        <TokenList key={owner.tokens} revoke={(token) => revoke(token.id)} />
      </details>
    </section>
  )
}

function Urls({ urls, end }: { urls: SignedUrls; end: () => void }) {
  return (
    <section>
      <h3>Whoever has a temporary URL</h3>
      <p class="hint">There may be some, until {exactly(urls.until)} at the latest. They are not counted one by one.</p>
      {urls.revocable ? (
        <p>
          <button type="button" onClick={end}>
            <Icon name="close" size={18} /> End all temporary URLs
          </button>
        </p>
      ) : (
        <p class="hint">
          The bucket serves them, so that they end with their time alone. With <code>STRONGROOM_SIGNED_URLS=ours</code>{' '}
          this server makes such that can be ended.
        </p>
      )}
    </section>
  )
}
