// For admins: people and their quotas, whether rows and bytes fit, whether the set-up is sound.
import { useEffect } from 'preact/hooks'
import { Events } from '../activity/admin-activity'
import { nameOf } from '../activity/user-names'
import { fetchAllPages } from '../api/capabilities'
import { type AdminUser, api, ask, type FsckRun } from '../api/client'
import { Avatar } from '../components/avatar'
import { closeDialog, confirm, Dialog, Field, Form, showDialog } from '../components/dialog'
import { Icon } from '../components/icon'
import { showMenu } from '../components/menu'
import { Empty, Failed, Loading } from '../components/states'
import { complain, say } from '../components/toast'
import { useLoad } from '../components/use-load'
import { bytes, count, exactly, number } from '../format'
import { navigate } from '../router'
import { me } from '../session'
import { Doctor } from './diagnostics'

const TABS = [
  ['users', 'People'],
  ['events', 'Trail'],
  ['fsck', 'Rows and bytes'],
  ['doctor', 'Set-up'],
] as const

export default function Admin({ tab, user }: { tab: string; user: string | null }) {
  useEffect(() => {
    document.title = 'Admin · Strongroom'
  }, [])
  if (!me.value?.is_admin) {
    return (
      <Empty icon="shield" title="For admins">
        <p>
          Somebody with access to the server can make you one: <code>strongroom user add</code> with{' '}
          <code>--admin</code>.
        </p>
      </Empty>
    )
  }
  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Admin</h1>
        <nav class="tabs" aria-label="Admin">
          {TABS.map(([key, label]) => (
            <a key={key} href={`/admin/${key}`} aria-current={tab === key ? 'page' : undefined}>
              {label}
            </a>
          ))}
        </nav>
      </header>
      <div class="scroll">
        <div class="sections wide">
          {tab === 'events' ? (
            <Events user={user} />
          ) : tab === 'fsck' ? (
            <Fsck />
          ) : tab === 'doctor' ? (
            <Doctor />
          ) : (
            <People />
          )}
        </div>
      </div>
    </div>
  )
}

const everybody = () => fetchAllPages((query) => ask(api.GET('/v1/admin/users', { params: { query } })))

function People() {
  const people = useLoad(everybody)
  if (people.error && !people.data) return <Failed error={people.error} retry={people.reload} />
  if (!people.data) return <Loading />
  const change = async (account: AdminUser, body: { disabled?: boolean; quota?: { bytes?: Limit; files?: Limit } }) => {
    await ask(api.PATCH('/v1/admin/users/{id}', { params: { path: { id: account.id } }, body: body as never }))
    people.reload()
  }
  const erase = (account: AdminUser) =>
    confirm(
      `Erase ${account.email}?`,
      'The account is dead at once, and its files, links, tokens and trail go with it. Nobody can bring them back.',
      'Erase it',
      async () => {
        await ask(api.DELETE('/v1/admin/users/{id}', { params: { path: { id: account.id } } }))
        people.reload()
      },
    )
  const menu = (account: AdminUser, at: Element) =>
    showMenu(`Actions for ${account.name}`, at, [
      { label: 'Quota…', icon: 'shield', run: () => quota(account, change) },
      { label: 'Trail', icon: 'clock', run: () => navigate(`/admin/events?user=${account.id}`) },
      account.disabled_at
        ? { label: 'Enable', icon: 'check', run: () => change(account, { disabled: false }).catch(complain) }
        : {
            label: 'Disable…',
            icon: 'close',
            danger: true,
            run: () =>
              confirm(
                `Disable ${account.email}?`,
                'Sessions end at once, and API tokens and signed URLs stop working. The files stay.',
                'Disable',
                () => change(account, { disabled: true }),
              ),
          },
      { label: 'Erase…', icon: 'trash', danger: true, run: () => erase(account) },
    ])
  return (
    <section class="card">
      <h2>{count(people.data.length, 'person', 'people')}</h2>
      <ul class="items people">
        {people.data.map((account) => (
          <li key={account.id} class={account.disabled_at ? 'disabled' : undefined}>
            <Avatar id={account.id} name={account.name} size={36} />
            <div>
              <strong>{account.name}</strong> {account.is_admin && <span class="tag">admin</span>}{' '}
              {account.disabled_at && <span class="tag bad">disabled</span>}
              <p class="hint">{account.email}</p>
            </div>
            <p class="hint numbers">
              {bytes(account.usage.used.bytes)} of{' '}
              {account.usage.quota.bytes == null ? 'any' : bytes(account.usage.quota.bytes)}
              <br />
              {count(account.usage.used.files, 'file')} of{' '}
              {account.usage.quota.files == null ? 'any' : number(account.usage.quota.files)}
            </p>
            <button
              type="button"
              class="quiet only-icon"
              aria-haspopup="menu"
              aria-label={`Actions for ${account.name}`}
              onClick={(event) => menu(account, event.currentTarget)}
            >
              <Icon name="more" />
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

type Limit = number | 'unlimited' | null

function quota(
  account: AdminUser,
  change: (account: AdminUser, body: { quota: { bytes: Limit; files: Limit } }) => Promise<void>,
) {
  const own = account.quota as { bytes?: Limit; files?: Limit }
  const shown = (limit: Limit | undefined, unit: number) =>
    limit == null ? '' : limit === 'unlimited' ? limit : String(limit / unit)
  const read = (value: FormDataEntryValue | null, unit: number): Limit => {
    const text = String(value ?? '')
      .trim()
      .toLowerCase()
    if (text === '') return null
    if (text === 'unlimited') return text
    const amount = Number(text.replace(',', '.'))
    if (!(amount >= 0)) throw new Error(`“${text}” is no number. Write a number, “unlimited”, or nothing.`)
    return Math.round(amount * unit)
  }
  const hint = 'A number, “unlimited”, or nothing for what the settings say.'
  showDialog(() => (
    <Dialog title={`Quota of ${account.name}`}>
      <Form
        submit="Save"
        onSubmit={async (data) => {
          await change(account, { quota: { bytes: read(data.get('bytes'), 1e9), files: read(data.get('files'), 1) } })
          closeDialog()
          say('The quota is saved.')
        }}
      >
        <Field
          label="Gigabytes"
          name="bytes"
          inputMode="decimal"
          autoComplete="off"
          defaultValue={shown(own.bytes, 1e9)}
          hint={hint}
        />
        <Field
          label="Files"
          name="files"
          inputMode="numeric"
          autoComplete="off"
          defaultValue={shown(own.files, 1)}
          hint={hint}
        />
      </Form>
    </Dialog>
  ))
}

function Fsck() {
  const last = useLoad(async (): Promise<FsckRun | null> => {
    try {
      return await ask(api.GET('/v1/admin/fsck'))
    } catch (error) {
      if ((error as { code?: string }).code === 'not_found') return null
      throw error
    }
  })
  const running = last.data?.state === 'running'
  useEffect(() => {
    if (!running) return
    const timer = setTimeout(last.reload, 1500)
    return () => clearTimeout(timer)
  }, [last.data, running])
  const begin = (full: boolean) => ask(api.POST('/v1/admin/fsck', { body: { full } })).then(last.reload, complain)
  if (last.error && last.data === undefined) return <Failed error={last.error} retry={last.reload} />
  if (last.data === undefined) return <Loading />
  const pass = last.data
  return (
    <section class="card">
      <h2>Do rows and bytes fit?</h2>
      <div class="buttons">
        <button type="button" class="primary" disabled={running} onClick={() => begin(false)}>
          Look now
        </button>
        <button type="button" disabled={running} onClick={() => begin(true)}>
          Read every byte, too
        </button>
      </div>
      {!pass ? <p class="hint">No pass has run yet.</p> : <Result pass={pass} />}
    </section>
  )
}

function Result({ pass }: { pass: FsckRun }) {
  const state =
    pass.state === 'running'
      ? 'Running…'
      : pass.clean
        ? 'Everything is as it should be.'
        : pass.error
          ? `It did not come to its end: ${pass.error}`
          : 'Something is not as it should be.'
  const facts: [string, string][] = [
    ['Begun', exactly(pass.started_at)],
    ['Ended', pass.finished_at ? exactly(pass.finished_at) : '…'],
    ['Rows', number(pass.rows)],
    ['Objects', number(pass.objects)],
    ['Open uploads', number(pass.uploads)],
    ['Read', bytes(pass.hashed_bytes)],
    ['In quarantine', number(pass.quarantined)],
  ]
  return (
    <>
      <p class={`verdict ${pass.state === 'running' ? '' : pass.clean ? 'ok' : 'failed'}`} role="status">
        <Icon name={pass.state === 'running' ? 'clock' : pass.clean ? 'check' : 'alert'} size={18} /> {state}
      </p>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {pass.findings.length > 0 && (
        <ul class="items">
          {pass.findings.map((finding) => (
            <li key={`${finding.kind} ${finding.key} ${finding.upload_id}`}>
              <div>
                <strong>{finding.kind.replaceAll('_', ' ')}</strong>{' '}
                {finding.action && <span class="tag">{finding.action}</span>}
                <p>{finding.detail}</p>
                <p class="hint">
                  {finding.owner_id && `Of ${nameOf(finding.owner_id)} · `}
                  <code>{finding.key}</code>
                </p>
              </div>
            </li>
          ))}
        </ul>
      )}
    </>
  )
}
