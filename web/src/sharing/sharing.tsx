// Giving a file to somebody, and who can read it now.
import { useState } from 'preact/hooks'
import { api, ask, type StoredFile } from '../api/client'
import { copy } from '../components/clipboard'
import { Made } from '../components/copy-once'
import { Choice, Form } from '../components/dialog'
import { exactly } from '../format'
import { Readers } from './access'
import { FileLinks } from './links'

export type Way = 'link' | 'url' | 'access'

const WAYS: [Way, string][] = [
  ['link', 'Links'],
  ['url', 'Temporary URL'],
  ['access', 'Who can read it'],
]

const LIVES: [string, string][] = [
  ['900', '15 minutes'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
]

export default function Sharing({ file, begin }: { file: StoredFile; begin: Way }) {
  const [way, setWay] = useState(begin)
  return (
    <>
      <div class="tabs" role="group" aria-label="How">
        {WAYS.map(([key, label]) => (
          <button key={key} type="button" aria-pressed={way === key} onClick={() => setWay(key)}>
            {label}
          </button>
        ))}
      </div>
      {way === 'link' ? <FileLinks file={file} /> : way === 'url' ? <SignedUrl file={file} /> : <Readers file={file} />}
    </>
  )
}

function SignedUrl({ file }: { file: StoredFile }) {
  const [made, setMade] = useState<{ url: string; expires_at: string } | null>(null)
  const make = async (data: FormData) => {
    const body = { operation: 'get' as const, expires_in: Number(data.get('expires_in')), inline: data.has('inline') }
    const signed = await ask(api.POST('/v1/files/{id}/signed-urls', { params: { path: { id: file.id } }, body }))
    setMade(signed)
    await copy(signed.url, 'The URL is in the clipboard.')
  }
  if (made) return <Made url={made.url}>Whoever has this URL can read the file until {exactly(made.expires_at)}.</Made>
  return (
    <Form submit="Make the URL" onSubmit={make}>
      <p>
        A temporary URL needs no account and no password. What may be about is listed at “Who can read it”, with a way
        to end it if this server serves it; a URL that a bucket serves ends with its time alone.
      </p>
      <Choice label="Works for" name="expires_in" options={LIVES} value="3600" />
      <label class="check">
        <input type="checkbox" name="inline" /> Show it in the browser, if its type allows
      </label>
    </Form>
  )
}
