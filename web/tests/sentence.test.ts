import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ActivityContext,
  type EventKind,
  eventDetails,
  KINDS,
  kindLabel,
  sentence,
} from '../src/activity/sentence'
import type { AuditEvent, Link } from '../src/api/client'

const context: ActivityContext = { me: 'me', nameOf: (id) => ({ uma: 'Uma' })[id] ?? 'Deleted user', file: 'this file' }

type Changes = Partial<Omit<AuditEvent, 'detail'>> & { detail?: Record<string, unknown> }

function event(kind: EventKind, changes: Changes = {}): AuditEvent {
  const example = {
    id: '1',
    at: '2026-11-22T09:30:00Z',
    kind,
    space_id: 'me',
    actor_id: 'me',
    credential: null,
    file_id: null,
    link_id: null,
    address: null,
    channel: 'api',
    detail: { name: 'a.txt' },
    ...changes,
  }
  return example as AuditEvent
}

const say = (...parts: Parameters<typeof event>) => sentence(event(...parts), context).replaceAll(/\s/g, ' ')

test('every kind has a sentence and a label', () => {
  for (const kind of KINDS) {
    assert.match(say(kind), /^[A-Z“].*[^.]\.$/, kind)
    assert.doesNotMatch(say(kind), /undefined|null|NaN/, kind)
    assert.match(kindLabel(kind), /^[A-Z][A-Za-z ]+$/)
  }
})

test('the reader is addressed, others are named', () => {
  assert.equal(say('file_restored'), 'You restored “a.txt”.')
  assert.equal(
    say('file_uploaded', { space_id: 'uma', actor_id: 'uma', detail: { name: 'a.txt', size: 3000 } }),
    'Uma uploaded “a.txt”, 3 kB.',
  )
  assert.equal(say('file_trashed', { space_id: 'uma' }), 'You moved “a.txt” of Uma to trash.')
  assert.equal(say('account_disabled', { space_id: 'uma', detail: {} }), 'You disabled Uma’s account.')
  assert.equal(say('signed_in', { space_id: 'gone', actor_id: null, detail: {} }), 'Deleted user signed in.')
})

test('actors without an account are named by their channel', () => {
  const anonymous = { actor_id: null, detail: {} }
  assert.equal(say('file_downloaded', { ...anonymous, channel: 'link' }), 'Someone with a link downloaded this file.')
  assert.equal(
    say('file_downloaded', { ...anonymous, channel: 'signed_url' }),
    'Someone with a temporary link downloaded this file.',
  )
  assert.equal(say('quota_changed', { ...anonymous, channel: 'command' }), 'The server operator changed your quota.')
  assert.equal(
    say('password_changed', { ...anonymous, channel: 'command', detail: { must_change: true } }),
    'The server operator changed your password, to be changed again at the next sign-in.',
  )
  assert.equal(
    say('file_deleted', { ...anonymous, channel: 'server' }),
    'This file was deleted after its time in the trash.',
  )
})

test('details become part of the sentence', () => {
  assert.equal(
    say('account_created', { channel: 'command', detail: { is_admin: true } }),
    'Your account was created on the command line, with admin rights.',
  )
  assert.equal(
    say('quota_changed', { space_id: 'uma', detail: { bytes: 5000, files: 7 } }),
    'You changed Uma’s quota to 5 kB and 7 files.',
  )
  assert.equal(
    say('quota_changed', { detail: { bytes: 'unlimited', files: null } }),
    'You changed your quota to unlimited storage and the default limit of files.',
  )
  assert.equal(
    say('link_refused', { detail: { why: 'password' } }),
    'Someone entered a wrong password for your link to this file.',
  )
  assert.equal(say('link_refused', { detail: { why: 'novel' } }), 'Someone tried to open a link to this file: novel.')
  assert.equal(
    say('url_signed', { detail: { name: 'a.txt', method: 'GET', expires_in: 3600 } }),
    'You created a temporary link to read “a.txt”, valid for 1 hr.',
  )
  assert.equal(
    say('file_downloaded', { detail: { name: 'a.txt', complete: false } }),
    'You downloaded “a.txt” (incomplete).',
  )
})

test('changes of a file name what changed', () => {
  const changed = (was: object, now: object) =>
    say('file_changed', { detail: { name: 'a.txt', path: '', was, ...now } })
  assert.equal(changed({ name: 'b.txt' }, {}), 'You renamed “b.txt” to “a.txt”.')
  assert.equal(changed({ path: 'old' }, {}), 'You moved “a.txt” from old to Files.')
  assert.equal(
    changed({ name: 'b.txt', path: '' }, { path: 'new' }),
    'You renamed “b.txt” to “a.txt” and moved it to new.',
  )
  assert.equal(changed({}, {}), 'You edited the details of “a.txt”.')
})

test('a kind that this page does not know is shown as it is', () => {
  assert.equal(say('file_frozen' as EventKind), 'You: file frozen.')
})

test('the credential, the link and the address are listed', () => {
  const links = new Map([['7', { last_four: '4WpO', note: 'for Ann' } as Link]])
  const download = event('file_downloaded', {
    credential: { kind: 'token', id: '3' },
    link_id: '7',
    address: '192.0.2.7',
    detail: { bytes: 3000 },
  })
  const details = eventDetails(download, { ...context, links }).map((text) => text.replaceAll(/\s/g, ' '))
  assert.deepEqual(details, ['with an API token', 'link …4WpO (for Ann)', '3 kB', 'from 192.0.2.7'])
})
