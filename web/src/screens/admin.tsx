// For admins: users and their quotas, activity, the storage check, and the health of the server.
import { useEffect } from 'preact/hooks'
import { AdminActivity } from '../activity/admin-activity'
import { type AdminUser, api, request } from '../api/client'
import { fetchAllPages } from '../api/pages'
import { pathOf } from '../base'
import { Avatar } from '../components/avatar'
import { closeDialog, confirmDialog, Dialog, Field, Form, showDialog } from '../components/dialog'
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
  const hint = 'A number or “unlimited”. Leave empty for the server default.'
  const submit = async (data: FormData) => {
    const quota = { bytes: parseLimit(data.get('bytes'), 1e9), files: parseLimit(data.get('files'), 1) }
    await update(user, { quota })
    closeDialog()
    showToast('Quota saved')
  }
  showDialog(() => (
    <Dialog title={`Quota for ${user.name}`}>
      <Form submit="Save" onSubmit={submit}>
        <Field
          label="Gigabytes"
          name="bytes"
          inputMode="decimal"
          autoComplete="off"
          defaultValue={formatLimit(user.quota.bytes, 1e9)}
          hint={hint}
        />
        <Field
          label="Files"
          name="files"
          inputMode="numeric"
          autoComplete="off"
          defaultValue={formatLimit(user.quota.files, 1)}
          hint={hint}
        />
      </Form>
    </Dialog>
  ))
}

function formatLimit(limit: QuotaLimit, unit: number): string {
  if (limit === null) return ''
  return limit === 'unlimited' ? limit : String(limit / unit)
}

function parseLimit(value: FormDataEntryValue | null, unit: number): QuotaLimit {
  const text = String(value ?? '')
    .trim()
    .toLowerCase()
  if (text === '') return null
  if (text === 'unlimited') return text
  const amount = Number(text.replace(',', '.'))
  if (!(amount >= 0)) {
    throw new Error(`“${text}” is not a number. Enter a number, “unlimited”, or leave empty for the default.`)
  }
  return Math.round(amount * unit)
}
