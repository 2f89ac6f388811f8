// The settings of a share link, as form fields.
import type { Link } from '../api/client'
import { Field } from '../components/dialog'
import { count } from '../format'

export const LIFETIMES: [string, string][] = [
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
  ['2592000', '30 days'],
  ['', 'Never'],
]

export function LinkSettings({ link }: { link?: Link }) {
  return (
    <div class="link-settings">
      <Field
        label={link ? 'New password' : 'Password'}
        name="password"
        type="text"
        autoComplete="off"
        hint={link?.has_password && 'Leave empty to keep the password. With a new one, everyone has to enter it again.'}
      />
      {link?.has_password && (
        <label class="check">
          <input type="checkbox" name="no_password" /> Remove password
        </label>
      )}
      <Field
        label="Download limit"
        name="max_downloads"
        type="number"
        min={1}
        inputMode="numeric"
        defaultValue={link?.max_downloads ?? ''}
        hint={`${link ? `${count(link.downloads, 'download')} so far. ` : ''}Leave empty for no limit.`}
      />
      <Field
        label="Allowed networks"
        name="allow_from"
        autoComplete="off"
        placeholder="192.0.2.0/24, 2001:db8::/32"
        defaultValue={link?.allow_from.join(', ') ?? ''}
      />
      <Field
        label="Download name"
        name="download_name"
        autoComplete="off"
        spellcheck={false}
        defaultValue={link?.download_name ?? ''}
        hint="Leave empty to use the file name."
      />
      <Field label="Private note" name="note" maxLength={300} autoComplete="off" defaultValue={link?.note ?? ''} />
      <label class="check">
        <input type="checkbox" name="inline" defaultChecked={link?.inline ?? false} /> Allow viewing in the browser
      </label>
    </div>
  )
}

/** The values of the fields of `LinkSettings`. */
export function readLinkSettings(data: FormData) {
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
