// What a link to a file is bound by, as fields of a form.
import type { Link } from '../api/client'
import { Field } from '../components/dialog'
import { count } from '../format'

export const LIVES: [string, string][] = [
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
  ['2592000', '30 days'],
  ['', 'until it is revoked'],
]

export function Bounds({ link }: { link?: Link }) {
  return (
    <div class="bounds">
      <Field
        label={link ? 'New password' : 'Password'}
        name="password"
        type="text"
        autoComplete="off"
        hint={link?.has_password && 'Left empty, the password stays. A new one ends what the old one had opened.'}
      />
      {link?.has_password && (
        <label class="check">
          <input type="checkbox" name="no_password" /> Take the password away
        </label>
      )}
      <Field
        label="Downloads at most"
        name="max_downloads"
        type="number"
        min={1}
        inputMode="numeric"
        defaultValue={link?.max_downloads ?? ''}
        hint={link && `${count(link.downloads, 'download')} so far. Left empty, any number.`}
      />
      <Field
        label="Only from these networks"
        name="allow_from"
        autoComplete="off"
        placeholder="192.0.2.0/24, 2001:db8::/32"
        defaultValue={link?.allow_from.join(', ') ?? ''}
      />
      <Field
        label="Name of the download"
        name="download_name"
        autoComplete="off"
        spellcheck={false}
        defaultValue={link?.download_name ?? ''}
        hint="Left empty, what the file is called then."
      />
      <Field label="Note for yourself" name="note" maxLength={300} autoComplete="off" defaultValue={link?.note ?? ''} />
      <label class="check">
        <input type="checkbox" name="inline" defaultChecked={link?.inline ?? false} /> Show it in the browser, if its
        type allows
      </label>
    </div>
  )
}

/** What the fields of `Bounds` say. */
export function bounds(data: FormData) {
  const text = (name: string) => String(data.get(name) ?? '').trim()
  const networks = text('allow_from')
    .split(/[\s,]+/)
    .filter(Boolean)
  return {
    password: text('password') || null,
    max_downloads: Number(text('max_downloads')) || null,
    allow_from: networks,
    download_name: text('download_name') || null,
    note: text('note'),
    inline: data.has('inline'),
  }
}
