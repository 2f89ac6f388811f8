// Renders an event of the audit log as a sentence.
import type { AuditEvent, Link } from '../api/client'
import { bytes, count, duration } from '../format'

export type EventKind = AuditEvent['kind']

/** What is known about the events of a list. */
export type ActivityContext = {
  /** The id of the reader. */
  me: string
  /** The name of another user. */
  nameOf: (id: string) => string
  /** What to call the file of an event that has no name for it. */
  file?: string
  links?: Map<string, Link>
}

type Parts = { who: string; whose: string; file: string; detail: Record<string, unknown>; event: AuditEvent }

const SENTENCES: Record<EventKind, (parts: Parts) => string> = {
  account_created: ({ whose, detail, event }) =>
    `${capitalize(whose)} account was created${event.channel === 'command' ? ' on the command line' : ''}${detail.is_admin ? ', with admin rights' : ''}`,
  account_changed: ({ who, whose }) => `${who} changed ${whose} name`,
  account_disabled: ({ who, whose }) => `${who} disabled ${whose} account`,
  account_enabled: ({ who, whose }) => `${who} enabled ${whose} account`,
  account_deleted: ({ who, event }) =>
    event.actor_id || event.channel === 'command' ? `${who} deleted an account` : 'An account was deleted',
  account_exported: ({ who, whose }) => `${who} exported ${whose} data`,
  quota_changed: ({ who, whose, detail }) => `${who} changed ${whose} quota${quota(detail)}`,
  password_changed: ({ who, whose, detail }) =>
    `${who} changed ${whose} password${detail.must_change ? ', to be changed again at the next sign-in' : ''}`,
  signed_in: ({ who }) => `${who} signed in`,
  sign_in_refused: ({ whose, event }) =>
    event.space_id
      ? `Someone entered a wrong password for ${whose} account`
      : 'Someone tried to sign in with an unknown email',
  signed_out: ({ who }) => `${who} signed out`,
  session_ended: ({ who, whose }) => `${who} ended one of ${whose} sessions`,
  token_created: ({ who }) => `${who} created an API token`,
  token_revoked: ({ who }) => `${who} revoked an API token`,
  file_uploaded: ({ who, file, detail }) => `${who} uploaded ${file}${size(detail)}`,
  file_replaced: ({ who, file, detail }) => `${who} uploaded a new version of ${file}${size(detail)}`,
  file_changed: ({ who, file, detail }) => `${who} ${change(file, detail)}`,
  file_downloaded: ({ who, file, detail }) =>
    `${who} downloaded ${file}${detail.complete === false ? ' (incomplete)' : ''}`,
  file_trashed: ({ who, file }) => `${who} moved ${file} to trash`,
  file_restored: ({ who, file }) => `${who} restored ${file}`,
  file_deleted: ({ who, file, event }) =>
    event.channel === 'server'
      ? `${capitalize(file)} was deleted after its time in the trash`
      : `${who} deleted ${file} forever`,
  folder_created: ({ who, detail }) => `${who} created ${folder(detail.path)}`,
  folder_changed: ({ who, detail }) =>
    `${who} renamed or moved ${folder(detail.was)}${detail.path ? ` to “${detail.path}”` : ''}`,
  folder_trashed: ({ who, detail }) => `${who} moved ${folder(detail.path)} to trash`,
  folder_restored: ({ who, detail }) => `${who} restored ${folder(detail.path)}`,
  folder_deleted: ({ who, event, detail }) =>
    event.channel === 'server'
      ? 'A folder was deleted after its time in the trash'
      : `${who} deleted ${folder(detail.path)} forever`,
  url_signed: ({ who, file, detail }) =>
    `${who} created a temporary link to ${detail.method === 'PUT' ? 'replace' : 'read'} ${file}${lifetime(detail)}`,
  link_created: ({ who, file }) => `${who} created a link to ${file}`,
  link_changed: ({ who, file, detail }) =>
    detail.rotated ? `${who} replaced the URL of a link to ${file}` : `${who} changed a link to ${file}`,
  link_revoked: ({ who, file }) => `${who} removed a link to ${file}`,
  link_downloaded: ({ whose, file }) => `Someone downloaded ${file} with ${whose} link`,
  link_refused: refused,
  archive_downloaded: ({ who }) => `${who} downloaded files as a ZIP archive`,
  access_granted: ({ who, detail }) => `${who} shared ${shared(detail)}${role(detail)}`,
  access_changed: ({ who, detail }) => `${who} changed who has access to ${shared(detail)}${role(detail)}`,
  access_ended: ({ who, detail }) => `${who} ended access to ${shared(detail)}`,
  space_created: ({ who, detail }) => `${who} created the shared space ${shared(detail)}`,
  space_changed: ({ who, detail }) => `${who} changed the shared space ${shared(detail)}`,
  space_deleted: ({ who, detail }) => `${who} deleted the shared space ${shared(detail)}`,
  space_restored: ({ who, detail }) => `${who} restored the shared space ${shared(detail)}`,
  team_created: ({ who, detail }) => `${who} created the team ${shared(detail)}`,
  team_changed: ({ who, detail }) => `${who} changed the team ${shared(detail)}`,
  team_deleted: ({ who, detail }) => `${who} deleted the team ${shared(detail)}`,
  fsck_started: ({ who }) => `${who} ran a storage check`,
}

export const KINDS = Object.keys(SENTENCES) as EventKind[]

/** "File uploaded" */
export const kindLabel = (kind: EventKind) => capitalize(kind.replaceAll('_', ' ')).replace(/^Url/, 'URL')

/** "Rosalind downloaded “report.pdf”." */
export function sentence(event: AuditEvent, context: ActivityContext): string {
  const detail = event.detail as Record<string, unknown>
  const nameOf = (id: string) => (id === context.me ? 'You' : context.nameOf(id))
  const owner = event.space_id ? nameOf(event.space_id) : 'someone'
  const parts: Parts = {
    who: event.actor_id ? nameOf(event.actor_id) : anonymousActor(event, owner),
    whose: owner === 'You' ? 'your' : `${owner}’s`,
    file: fileName(event, detail, context),
    detail,
    event,
  }
  // A newer server may send kinds that this page does not know.
  const format = SENTENCES[event.kind] ?? (({ who }: Parts) => `${who}: ${event.kind.replaceAll('_', ' ')}`)
  return `${format(parts)}.`
}

/** How the actor came to the file: the credential, the link, the address. */
export function eventDetails(event: AuditEvent, context: ActivityContext): string[] {
  const parts: string[] = []
  if (event.credential?.kind === 'token') parts.push('with an API token')
  const link = event.link_id ? context.links?.get(event.link_id) : undefined
  if (link) parts.push(`link …${link.last_four}${link.note ? ` (${link.note})` : ''}`)
  const amount = (event.detail as { bytes?: unknown }).bytes
  if (event.kind === 'file_downloaded' && typeof amount === 'number') parts.push(bytes(amount))
  if (event.address) parts.push(`from ${event.address}`)
  return parts
}

/** What to call an actor without an account. */
function anonymousActor(event: AuditEvent, owner: string): string {
  if (event.kind === 'signed_in' || event.kind === 'signed_out') return owner
  switch (event.channel) {
    case 'link':
      return 'Someone with a link'
    case 'signed_url':
    case 'signed_put':
      return 'Someone with a temporary link'
    case 'command':
      return 'The server operator'
    case 'server':
      return 'The server'
    default:
      return 'Someone'
  }
}

/** What was shared: the name of a file, a space or a team, or the path of a folder. */
function shared(detail: Record<string, unknown>): string {
  if (typeof detail.name === 'string') return `“${detail.name}”`
  return detail.path ? `“${detail.path}”` : 'everything in a space'
}

function role(detail: Record<string, unknown>): string {
  return typeof detail.role === 'string' ? ` (${detail.role})` : ''
}

function fileName(event: AuditEvent, detail: Record<string, unknown>, context: ActivityContext): string {
  const name = typeof detail.name === 'string' ? `“${detail.name}”` : (context.file ?? 'a file')
  const isOthers = event.space_id && event.space_id !== context.me && event.space_id !== event.actor_id
  return isOthers && event.space_id ? `${name} of ${context.nameOf(event.space_id)}` : name
}

function change(file: string, detail: Record<string, unknown>): string {
  const was = detail.was as { path?: string; name?: string } | undefined
  const to = String(detail.path || '') || 'Files'
  const renamed = was?.name !== undefined && was.name !== detail.name
  const moved = was?.path !== undefined && was.path !== detail.path
  if (renamed && moved) return `renamed “${was.name}” to ${file} and moved it to ${to}`
  if (renamed) return `renamed “${was.name}” to ${file}`
  if (moved) return `moved ${file} from ${was.path || 'Files'} to ${to}`
  return `edited the details of ${file}`
}

function refused({ whose, file, detail }: Parts): string {
  switch (detail.why) {
    case 'password':
      return `Someone entered a wrong password for ${whose} link to ${file}`
    case 'expired':
      return `Someone tried to open an expired link to ${file}`
    case 'revoked':
      return `Someone tried to open a removed link to ${file}`
    case 'used_up':
      return `Someone tried to open a link to ${file} that has reached its download limit`
    case 'network':
      return `Someone tried to open a link to ${file} from a network that is not allowed`
    default:
      return `Someone tried to open a link to ${file}: ${detail.why ?? 'unknown reason'}`
  }
}

function size({ size }: Record<string, unknown>): string {
  return typeof size === 'number' ? `, ${bytes(size)}` : ''
}

function lifetime({ expires_in: seconds }: Record<string, unknown>): string {
  return typeof seconds === 'number' ? `, valid for ${duration(seconds)}` : ''
}

/** "the folder “2026”", if its path is known. */
const folder = (path: unknown) => (path ? `the folder “${path}”` : 'a folder')

function quota(detail: Record<string, unknown>): string {
  const limit = (name: string, noun: string, format: (limit: number) => string) => {
    const value = detail[name]
    if (value === undefined) return []
    if (typeof value === 'number') return [format(value)]
    return [`${value === null ? 'the default limit of' : 'unlimited'} ${noun}`]
  }
  const parts = [...limit('bytes', 'storage', bytes), ...limit('files', 'files', (files) => count(files, 'file'))]
  return parts.length > 0 ? ` to ${parts.join(' and ')}` : ''
}

function capitalize(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
