// What an event says, as a sentence.
import type { AuditEvent, Link } from '../api/client'
import { bytes, count, duration } from '../format'

export type Kind = AuditEvent['kind']

/** What is known around an event. */
export type Around = {
  /** Who reads. */
  me: string
  /** What somebody else is called. */
  nameOf: (id: string) => string
  /** What a file is called of which the event has no name. */
  file?: string
  links?: Map<string, Link>
}

type Told = { who: string; whose: string; file: string; detail: Record<string, unknown>; event: AuditEvent }

const REFUSED: Record<string, string> = {
  expired: 'it had expired',
  revoked: 'it had been revoked',
  used_up: 'no download was left',
  network: 'it is not for that network',
  password: 'the password was wrong',
}

const SENTENCES: Record<Kind, (told: Told) => string> = {
  account_created: ({ whose, detail, event }) =>
    `${capital(whose)} account was made${event.channel === 'command' ? ' on the command line' : ''}${detail.is_admin ? ', as an admin’s' : ''}`,
  account_changed: ({ who, whose }) => `${who} changed ${whose} name`,
  account_disabled: ({ who, whose }) => `${who} disabled ${whose} account`,
  account_enabled: ({ who, whose }) => `${who} enabled ${whose} account`,
  account_deleted: ({ who, event }) =>
    event.actor_id || event.channel === 'command' ? `${who} erased an account` : 'An account was erased',
  account_exported: ({ who, whose }) => `${who} downloaded everything of ${whose} account`,
  quota_changed: ({ who, whose, detail }) => `${who} changed ${whose} quota${quota(detail)}`,
  password_changed: ({ who, whose }) => `${who} changed ${whose} password`,
  signed_in: ({ who }) => `${who} signed in`,
  sign_in_refused: ({ whose, event }) =>
    event.user_id
      ? `Somebody gave a wrong password for ${whose} account`
      : 'Somebody tried to sign in to an address without an account',
  signed_out: ({ who }) => `${who} signed out`,
  session_ended: ({ who, whose }) => `${who} ended one of ${whose} sign-ins`,
  token_created: ({ who }) => `${who} made an API token`,
  token_revoked: ({ who }) => `${who} revoked an API token`,
  file_uploaded: ({ who, file, detail }) => `${who} uploaded ${file}${size(detail)}`,
  file_replaced: ({ who, file, detail }) => `${who} put new bytes into ${file}${size(detail)}`,
  file_changed: ({ who, file, detail }) => `${who} ${changed(file, detail)}`,
  file_downloaded: ({ who, file, detail }) =>
    detail.complete === false ? `${who} downloaded ${file}, but not to its end` : `${who} downloaded ${file}`,
  file_trashed: ({ who, file }) => `${who} put ${file} into the trash`,
  file_restored: ({ who, file }) => `${who} took ${file} out of the trash`,
  file_deleted: ({ who, file, event }) =>
    event.channel === 'server' ? `The time of ${file} in the trash was over` : `${who} deleted ${file} for good`,
  url_signed: ({ who, file, detail }) =>
    `${who} made a temporary URL to ${detail.method === 'PUT' ? 'replace' : 'read'} ${file}${life(detail)}`,
  link_created: ({ who, file }) => `${who} made a link to ${file}`,
  link_changed: ({ who, file, detail }) =>
    detail.rotated ? `${who} gave a link to ${file} a new URL` : `${who} changed a link to ${file}`,
  link_revoked: ({ who, file }) => `${who} revoked a link to ${file}`,
  link_downloaded: ({ file }) => `A link to ${file} was used, to the last byte`,
  link_refused: ({ file, detail }) =>
    `A link to ${file} turned somebody away: ${REFUSED[String(detail.why)] ?? String(detail.why)}`,
  fsck_started: ({ who }) => `${who} had rows and bytes compared`,
}

export const KINDS = Object.keys(SENTENCES) as Kind[]

/** "Rosalind downloaded “report.pdf”" */
export function sentence(event: AuditEvent, around: Around): string {
  const detail = event.detail as Record<string, unknown>
  const called = (id: string) => (id === around.me ? 'You' : around.nameOf(id))
  const owner = event.user_id ? called(event.user_id) : 'somebody'
  const told: Told = {
    who: event.actor_id ? called(event.actor_id) : stranger(event, owner),
    whose: owner === 'You' ? 'your' : `${owner}’s`,
    file: file(event, detail, around),
    detail,
    event,
  }
  // A server that is newer than this page may tell of more.
  const say = SENTENCES[event.kind] ?? (({ who }: Told) => `${who}: ${event.kind.replaceAll('_', ' ')}`)
  return `${say(told)}.`
}

/** By what somebody came, and through which link. */
export function means(event: AuditEvent, around: Around): string[] {
  const parts: string[] = []
  if (event.credential?.kind === 'token') parts.push('with an API token')
  const link = event.link_id ? around.links?.get(event.link_id) : undefined
  if (link) parts.push(`link …${link.last_four}${link.note ? ` (${link.note})` : ''}`)
  const amount = (event.detail as { bytes?: unknown }).bytes
  if (event.kind === 'file_downloaded' && typeof amount === 'number') parts.push(bytes(amount))
  if (event.address) parts.push(`from ${event.address}`)
  return parts
}

/** Who it was that showed no account. */
function stranger(event: AuditEvent, owner: string): string {
  if (event.kind === 'signed_in' || event.kind === 'signed_out') return owner
  switch (event.channel) {
    case 'link':
      return 'Somebody with a link'
    case 'signed_url':
    case 'signed_put':
      return 'Somebody with a temporary URL'
    case 'command':
      return 'The operator'
    case 'server':
      return 'The server'
    default:
      return 'Somebody'
  }
}

function file(event: AuditEvent, detail: Record<string, unknown>, around: Around): string {
  const named = typeof detail.name === 'string' ? `“${detail.name}”` : (around.file ?? 'a file')
  const others = event.user_id && event.user_id !== around.me && event.user_id !== event.actor_id
  return others && event.user_id ? `${named} of ${around.nameOf(event.user_id)}` : named
}

function changed(file: string, detail: Record<string, unknown>): string {
  const was = detail.was as { path?: string; name?: string } | undefined
  const to = String(detail.path || '') || 'Files'
  const renamed = was?.name !== undefined && was.name !== detail.name
  const moved = was?.path !== undefined && was.path !== detail.path
  if (renamed && moved) return `renamed “${was.name}” to ${file} and moved it to ${to}`
  if (renamed) return `renamed “${was.name}” to ${file}`
  if (moved) return `moved ${file} from ${was.path || 'Files'} to ${to}`
  return `changed what is written down about ${file}`
}

function size({ size }: Record<string, unknown>): string {
  return typeof size === 'number' ? `, ${bytes(size)}` : ''
}

function life({ expires_in: seconds }: Record<string, unknown>): string {
  return typeof seconds === 'number' ? `, good for ${duration(seconds)}` : ''
}

function quota(detail: Record<string, unknown>): string {
  const limit = (name: string, shown: (most: number) => string) => {
    const value = detail[name]
    if (value === undefined) return []
    if (typeof value === 'number') return [shown(value)]
    return [value === null ? `the default of ${name}` : `any number of ${name}`]
  }
  const parts = [...limit('bytes', bytes), ...limit('files', (most) => count(most, 'file'))]
  return parts.length > 0 ? ` to ${parts.join(' and ')}` : ''
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
