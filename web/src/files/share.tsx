// Giving a file to somebody: a URL that works for a while.
import { useState } from 'preact/hooks'
import { api, ask, type File } from '../api/client'
import { exactly } from '../format'
import { copy } from '../parts/copy'
import { Choice, Dialog, Form, showDialog } from '../parts/dialog'
import { Icon } from '../parts/icon'
import { FileLinks } from './links'

const LIVES: [string, string][] = [
  ['900', '15 minutes'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
]

export function shareFile(file: File) {
  showDialog(() => (
    <Dialog title={`Share ${file.name}`}>
      <Share file={file} />
    </Dialog>
  ))
}

function Share({ file }: { file: File }) {
  const [way, setWay] = useState<'link' | 'url'>('link')
  return (
    <>
      <div class="tabs" role="group" aria-label="How">
        <button type="button" aria-pressed={way === 'link'} onClick={() => setWay('link')}>
          Link
        </button>
        <button type="button" aria-pressed={way === 'url'} onClick={() => setWay('url')}>
          Temporary URL
        </button>
      </div>
      {way === 'link' ? <FileLinks file={file} /> : <SignedUrl file={file} />}
    </>
  )
}

function SignedUrl({ file }: { file: File }) {
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
      <p>A temporary URL needs no account and no password, and cannot be taken back before its time.</p>
      <Choice label="Works for" name="expires_in" options={LIVES} value="3600" />
      <label class="check">
        <input type="checkbox" name="inline" /> Show it in the browser, if its type allows
      </label>
    </Form>
  )
}

/** An address that was made, to copy from. */
export function Made({
  url,
  label = 'The URL',
  children,
}: {
  url: string
  label?: string
  children: preact.ComponentChildren
}) {
  return (
    <div class="made">
      <div class="copy">
        <input readOnly value={url} aria-label={label} onFocus={(event) => event.currentTarget.select()} />
        <button type="button" class="primary" onClick={() => copy(url, 'Copied.')}>
          <Icon name="copy" size={18} /> Copy
        </button>
      </div>
      <p class="hint">{children}</p>
    </div>
  )
}
