// The user's account: profile, password, sessions, API tokens, data and appearance.
import { useEffect, useState } from 'preact/hooks'
import { type ApiToken, api, Problem, request } from '../api/client'
import { pathOf } from '../base'
import { Avatar } from '../components/avatar'
import { CopyOnce } from '../components/copy-once'
import { SessionItems, TokenItems } from '../components/credentials'
import { confirmDialog, Dialog, Field, Form, Select, showDialog } from '../components/dialog'
import { Icon } from '../components/icon'
import { changePassword, PasswordFields } from '../components/password'
import { showError, showToast } from '../components/toast'
import { date } from '../format'
import { avatarRevision, logOut, me } from '../session'
import { type Theme, theme } from '../theme'
import { UsageMeter } from './usage'

export default function Account() {
  useEffect(() => {
    document.title = 'Account · Strongroom'
  }, [])
  return (
    <div class="screen">
      <header class="toolbar">
        <h1>Account</h1>
      </header>
      <div class="scroll">
        <div class="sections">
          <Profile />
          <section class="card">
            <h2>Storage</h2>
            <UsageMeter />
          </section>
          <Password />
          <Sessions />
          <Tokens />
          <Data />
          <Appearance />
        </div>
      </div>
    </div>
  )
}

function Profile() {
  const user = me.value
  if (!user) return null
  const save = async (data: FormData) => {
    me.value = await request(api.PATCH('/v1/me', { body: { name: String(data.get('name')) } }))
    showToast('Name saved')
  }
  const setPhoto = async (file: File | undefined) => {
    if (!file) return
    try {
      const response = await fetch(pathOf('/v1/me/avatar'), { method: 'PUT', body: file })
      if (!response.ok) throw Problem.from(response.status, await response.json().catch(() => null))
      avatarRevision.value += 1
      showToast('Photo saved. Everyone on this server can see it.')
    } catch (error) {
      showError(error)
    }
  }
  const removePhoto = () =>
    request(api.DELETE('/v1/me/avatar')).then(() => {
      avatarRevision.value += 1
      showToast('Photo removed')
    }, showError)
  return (
    <section class="card">
      <h2>Profile</h2>
      <div class="profile">
        <Avatar id={user.id} name={user.name} size={72} />
        <div class="buttons">
          <label class="button">
            <Icon name="image" size={18} /> Change photo
            <input
              class="visually-hidden"
              type="file"
              accept="image/png,image/jpeg,image/gif,image/webp,image/avif"
              onChange={(event) => setPhoto(event.currentTarget.files?.[0])}
            />
          </label>
          <button type="button" onClick={removePhoto}>
            Remove photo
          </button>
        </div>
      </div>
      <p class="hint">
        {user.email} · Joined {date(user.created_at)}
      </p>
      <Form submit="Save" cancel={false} onSubmit={save}>
        <Field label="Name" name="name" required maxLength={100} defaultValue={user.name} autoComplete="name" />
      </Form>
      <p>
        <button type="button" onClick={() => logOut().catch(showError)}>
          <Icon name="exit" size={18} /> Sign out
        </button>
      </p>
    </section>
  )
}

function Password() {
  const [saves, setSaves] = useState(0)
  const save = async (data: FormData) => {
    await changePassword(data)
    showToast('Password changed. You’re signed out on all other devices.')
    setSaves(saves + 1)
  }
  return (
    <section class="card">
      <h2>Password</h2>
      <Form key={saves} submit="Change password" cancel={false} onSubmit={save}>
        <PasswordFields />
      </Form>
    </section>
  )
}

function Sessions() {
  return (
    <section class="card">
      <h2>Sessions</h2>
      <SessionItems />
    </section>
  )
}

const TOKEN_LIFETIMES: [string, string][] = [
  ['2592000', '30 days'],
  ['7776000', '90 days'],
  ['31536000', '1 year'],
  ['', 'Never'],
]

function Tokens() {
  const [revision, setRevision] = useState(0)
  const changed = () => setRevision((before) => before + 1)
  const create = async (data: FormData) => {
    const expires_in = Number(data.get('expires_in')) || null
    const created = await request(api.POST('/v1/me/tokens', { body: { name: String(data.get('name')), expires_in } }))
    changed()
    showDialog(() => (
      <Dialog title={created.name}>
        <CopyOnce value={created.token} label="Token">
          Copy it now. You won’t see it again. Full access to your files, no access to account settings.
        </CopyOnce>
      </Dialog>
    ))
  }
  const showForm = () =>
    showDialog(() => (
      <Dialog title="New API token">
        <Form submit="Create token" onSubmit={create}>
          <Field label="Name" name="name" required maxLength={100} autoComplete="off" autofocus />
          <Select label="Expires after" name="expires_in" value="7776000" options={TOKEN_LIFETIMES} />
        </Form>
      </Dialog>
    ))
  const revoke = (token: ApiToken) =>
    confirmDialog(`Revoke “${token.name}”?`, 'Apps that use it stop working immediately.', 'Revoke', async () => {
      await request(api.DELETE('/v1/me/tokens/{id}', { params: { path: { id: token.id } } }))
      changed()
    })
  return (
    <section class="card">
      <h2>API tokens</h2>
      <TokenItems key={revision} revoke={revoke} />
      <p>
        <button type="button" onClick={showForm}>
          <Icon name="key" size={18} /> New token
        </button>
      </p>
    </section>
  )
}

/** Activity, export, and deletion of the account. */
function Data() {
  const deleteAccount = () =>
    showDialog(() => (
      <Dialog title="Delete your account?">
        <Form
          submit="Delete account"
          danger
          onSubmit={async (data) => {
            await request(api.DELETE('/v1/me', { body: { password: String(data.get('password')) } }))
            location.assign('/')
          }}
        >
          <p>Your account, files, links and tokens are deleted permanently. This can’t be undone.</p>
          <Field label="Your password" name="password" type="password" required autoComplete="current-password" />
        </Form>
      </Dialog>
    ))
  return (
    <section class="card">
      <h2>Your data</h2>
      <div class="buttons">
        <a class="button" href={pathOf('/activity')}>
          <Icon name="clock" size={18} /> Activity
        </a>
        <a class="button" href={pathOf('/v1/me/export')} download="strongroom.zip" data-load="">
          <Icon name="download" size={18} /> Export all
        </a>
        <button type="button" class="danger" onClick={deleteAccount}>
          Delete account…
        </button>
      </div>
    </section>
  )
}

function Appearance() {
  return (
    <section class="card">
      <h2>Appearance</h2>
      <Select
        label="Theme"
        name="theme"
        value={theme.value}
        options={[
          ['system', 'System'],
          ['light', 'Light'],
          ['dark', 'Dark'],
        ]}
        onChange={(event) => {
          theme.value = event.currentTarget.value as Theme
        }}
      />
      <p>
        <a href={pathOf('/docs')} target="_blank" rel="noopener">
          <Icon name="book" size={18} /> API reference
        </a>
      </p>
    </section>
  )
}
