// Sharing a file: share links, temporary links, and the list of who has access.
import { useState } from 'preact/hooks'
import { api, request, type StoredFile } from '../api/client'
import { copy } from '../components/clipboard'
import { CopyOnce } from '../components/copy-once'
import { Form, Select } from '../components/dialog'
import { dateTime } from '../format'
import { Access } from './access'
import { FileLinks } from './links'

export type SharingTab = 'links' | 'temporary' | 'access'

const TABS: [SharingTab, string][] = [
  ['links', 'Links'],
  ['temporary', 'Temporary link'],
  ['access', 'Access'],
]

const LIFETIMES: [string, string][] = [
  ['900', '15 minutes'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
]

export default function Sharing({ file, initialTab }: { file: StoredFile; initialTab: SharingTab }) {
  const [tab, setTab] = useState(initialTab)
  return (
    <>
      <div class="tabs" role="group" aria-label="Sharing">
        {TABS.map(([key, label]) => (
          <button key={key} type="button" aria-pressed={tab === key} onClick={() => setTab(key)}>
            {label}
          </button>
        ))}
      </div>
      {tab === 'links' ? (
        <FileLinks file={file} />
      ) : tab === 'temporary' ? (
        <TemporaryLink file={file} />
      ) : (
        <Access file={file} />
      )}
    </>
  )
}

function TemporaryLink({ file }: { file: StoredFile }) {
  const [created, setCreated] = useState<{ url: string; expires_at: string } | null>(null)
  const create = async (data: FormData) => {
    const body = { operation: 'get' as const, expires_in: Number(data.get('expires_in')), inline: data.has('inline') }
    const signed = await request(api.POST('/v1/files/{id}/signed-urls', { params: { path: { id: file.id } }, body }))
    setCreated(signed)
    await copy(signed.url, 'Link copied')
  }
  if (created) {
    return (
      <CopyOnce value={created.url}>
        Anyone with this link can read the file until {dateTime(created.expires_at)}.
      </CopyOnce>
    )
  }
  return (
    <Form submit="Create temporary link" onSubmit={create}>
      <p>A temporary link works without sign-in until it expires. Access shows whether you can revoke it earlier.</p>
      <Select label="Link expires after" name="expires_in" options={LIFETIMES} value="3600" />
      <label class="check">
        <input type="checkbox" name="inline" /> Allow viewing in the browser
      </label>
    </Form>
  )
}
