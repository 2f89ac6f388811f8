// For admins: users and their quotas, activity, the storage check, and the health of the server.
import { useEffect, useState } from 'preact/hooks'
import { AdminActivity } from '../activity/admin-activity'
import { type AdminUser, api, request } from '../api/client'
import { fetchAllPages } from '../api/pages'
import { pathOf } from '../base'
import { Avatar } from '../components/avatar'
import { closeDialog, confirmDialog, Dialog, Form, showDialog } from '../components/dialog'
import { Icon } from '../components/icon'
import { showMenu } from '../components/menu'
import { Empty, Failed, Loading } from '../components/states'
import { showError, showToast } from '../components/toast'
import { useLoad } from '../components/use-load'
import { bytes, count, number } from '../format'
import { navigate } from '../router'
import { me } from '../session'
import { Health } from './health'
import { StorageCheck } from './storage-check'

const TABS = [
  ['users', 'Users'],
  ['activity', 'Activity'],
  ['storage-check', 'Storage check'],
  ['health', 'Health'],
] as const

export default function Admin({ tab, user }: { tab: string; user: string | null }) {
  useEffect(() => {
    document.title = 'Admin · Strongroom'
  }, [])
  if (!me.value?.is_admin) {
    return (
      <Empty icon="shield" title="Admins only">
        <p>Ask an administrator for access.</p>
      </Empty>
    )
  }
  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Admin</h1>
        <nav class="tabs" aria-label="Admin">
          {TABS.map(([key, label]) => (
            <a key={key} href={pathOf(`/admin/${key}`)} aria-current={tab === key ? 'page' : undefined}>
              {label}
            </a>
          ))}
        </nav>
      </header>
      <div class="scroll">
        <div class="sections wide">
          {tab === 'activity' ? (
            <AdminActivity user={user} />
          ) : tab === 'storage-check' ? (
            <StorageCheck />
          ) : tab === 'health' ? (
            <Health />
          ) : (
            <Users />
          )}
        </div>
      </div>
    </div>
  )
}

type QuotaLimit = number | 'unlimited' | null
type UserChanges = { disabled?: boolean; quota?: { bytes: QuotaLimit; files: QuotaLimit } }

const allUsers = () => fetchAllPages((query) => request(api.GET('/v1/admin/users', { params: { query } })))

function Users() {
  const users = useLoad(allUsers)
  if (users.error && !users.data) return <Failed error={users.error} retry={users.reload} />
  if (!users.data) return <Loading />
  const update = async (user: AdminUser, body: UserChanges) => {
    await request(api.PATCH('/v1/admin/users/{id}', { params: { path: { id: user.id } }, body }))
    users.reload()
  }
  const confirmDelete = (user: AdminUser) =>
    confirmDialog(
      `Delete ${user.email}?`,
      'The account stops working immediately. Everything in it is deleted permanently.',
      'Delete account',
      async () => {
        await request(api.DELETE('/v1/admin/users/{id}', { params: { path: { id: user.id } } }))
        users.reload()
      },
    )
  const confirmDisable = (user: AdminUser) =>
    confirmDialog(
      `Disable ${user.email}?`,
      'All sessions end, and API tokens and signed URLs stop working. The files stay.',
      'Disable',
      () => update(user, { disabled: true }),
    )
  const menu = (user: AdminUser, at: Element) =>
    showMenu(`Actions for ${user.name}`, at, [
      { label: 'Change quota…', icon: 'shield', run: () => showQuotaForm(user, update) },
      { label: 'View activity', icon: 'clock', run: () => navigate(pathOf(`/admin/activity?user=${user.id}`)) },
      user.disabled_at
        ? { label: 'Enable', icon: 'check', run: () => update(user, { disabled: false }).catch(showError) }
        : { label: 'Disable…', icon: 'close', danger: true, run: () => confirmDisable(user) },
      { label: 'Delete account…', icon: 'trash', danger: true, run: () => confirmDelete(user) },
    ])
  return (
    <section class="card">
      <h2>{count(users.data.length, 'user')}</h2>
      <ul class="items users">
        {users.data.map((user) => (
          <li key={user.id} class={user.disabled_at ? 'disabled' : undefined}>
            <Avatar id={user.id} name={user.name} size={36} />
            <div>
              <strong>{user.name}</strong> {user.is_admin && <span class="tag">admin</span>}{' '}
              {user.disabled_at && <span class="tag bad">disabled</span>}
              <p class="hint">{user.email}</p>
            </div>
            <p class="hint numbers">
              {bytes(user.usage.used.bytes)} {ofQuota(user.usage.quota.bytes, bytes)}
              <br />
              {count(user.usage.used.files, 'file')} {ofQuota(user.usage.quota.files, number)}
            </p>
            <button
              type="button"
              class="quiet only-icon"
              aria-haspopup="menu"
              aria-label={`Actions for ${user.name}`}
              onClick={(event) => menu(user, event.currentTarget)}
            >
              <Icon name="more" />
            </button>
          </li>
        ))}
      </ul>
    </section>
  )
}

function ofQuota(quota: number | null | undefined, format: (value: number) => string): string {
  return quota == null ? '· no limit' : `of ${format(quota)}`
}

function showQuotaForm(user: AdminUser, update: (user: AdminUser, changes: UserChanges) => Promise<void>) {
  const submit = async (data: FormData) => {
    const quota = { bytes: readLimit(data, 'bytes', 1e9), files: readLimit(data, 'files', 1) }
    await update(user, { quota })
    closeDialog()
    showToast('Quota saved')
  }
  showDialog(() => (
    <Dialog title={`Quota for ${user.name}`}>
      <Form submit="Save" onSubmit={submit}>
        <LimitChoice legend="Storage" name="bytes" label="Gigabytes" unit={1e9} limit={user.quota.bytes} />
        <LimitChoice legend="Files" name="files" label="Maximum files" unit={1} limit={user.quota.files} />
      </Form>
    </Dialog>
  ))
}

type LimitProps = { legend: string; name: string; label: string; unit: number; limit: QuotaLimit }
type LimitKind = 'default' | 'unlimited' | 'custom'

const LIMIT_KINDS: [kind: LimitKind, label: string][] = [
  ['default', 'Server default'],
  ['unlimited', 'Unlimited'],
  ['custom', 'Custom'],
]

/** One limit of a quota: that of the server, none, or a number. */
function LimitChoice({ legend, name, label, unit, limit }: LimitProps) {
  const [kind, setKind] = useState<LimitKind>(limit === null ? 'default' : limit === 'unlimited' ? limit : 'custom')
  return (
    <fieldset class="field choice">
      <legend>{legend}</legend>
      {LIMIT_KINDS.map(([value, text]) => (
        <label key={value}>
          <input
            type="radio"
            name={`${name}-kind`}
            value={value}
            checked={kind === value}
            onChange={() => setKind(value)}
          />
          {text}
        </label>
      ))}
      <input
        name={name}
        aria-label={label}
        placeholder={label}
        inputMode="decimal"
        autoComplete="off"
        required={kind === 'custom'}
        defaultValue={typeof limit === 'number' ? String(limit / unit) : ''}
        onInput={() => setKind('custom')}
      />
    </fieldset>
  )
}

function readLimit(data: FormData, name: string, unit: number): QuotaLimit {
  const kind = data.get(`${name}-kind`)
  if (kind === 'default') return null
  if (kind === 'unlimited') return kind
  const text = String(data.get(name) ?? '').trim()
  const amount = Number(text.replace(',', '.'))
  if (text === '' || !(amount >= 0)) throw new Error(`“${text}” is not a number.`)
  return Math.round(amount * unit)
}
