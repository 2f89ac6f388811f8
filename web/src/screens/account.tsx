// One's own account: name, picture, password, sessions, API tokens, how the page looks.
import { useEffect, useState } from 'preact/hooks'
import { type ApiToken, api, ask } from '../api/client'
import { Avatar } from '../components/avatar'
import { Made } from '../components/copy-once'
import { SessionList, TokenList } from '../components/credentials'
import { Choice, confirm, Dialog, Field, Form, showDialog } from '../components/dialog'
import { Icon } from '../components/icon'
import { complain, say } from '../components/toast'
import { exactly } from '../format'
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
            <h2>Space</h2>
            <UsageMeter />
          </section>
          <Password />
          <Sessions />
          <Tokens />
          <Leaving />
          <section class="card">
            <h2>This page</h2>
            <Choice
              label="Appearance"
              name="theme"
              value={theme.value}
              options={[
                ['system', 'As the system says'],
                ['light', 'Light'],
                ['dark', 'Dark'],
              ]}
              onChange={(event) => {
                theme.value = event.currentTarget.value as Theme
              }}
            />
            <p>
              <a href="/docs" target="_blank" rel="noopener">
                <Icon name="book" size={18} /> API reference
              </a>
            </p>
          </section>
        </div>
      </div>
    </div>
  )
}

function Profile() {
  const user = me.value
  if (!user) return null
  const save = async (data: FormData) => {
    me.value = await ask(api.PATCH('/v1/me', { body: { name: String(data.get('name')) } }))
    say('Your name is saved.')
  }
  const picture = async (file: File | undefined) => {
    if (!file) return
    try {
      const answer = await fetch('/v1/me/avatar', { method: 'PUT', body: file })
      await ask(Promise.resolve({ response: answer, error: answer.ok ? undefined : await answer.json() }))
      avatarRevision.value += 1
      say('Your picture is saved. Everybody can see it.')
    } catch (error) {
      complain(error)
    }
  }
  const removePicture = () =>
    ask(api.DELETE('/v1/me/avatar')).then(() => {
      avatarRevision.value += 1
      say('Your picture is gone.')
    }, complain)
  return (
    <section class="card">
      <h2>You</h2>
      <div class="profile">
        <Avatar id={user.id} name={user.name} size={72} />
        <div class="buttons">
          <label class="button">
            <Icon name="image" size={18} /> Choose a picture
            <input
              class="visually-hidden"
              type="file"
              accept="image/png,image/jpeg,image/gif,image/webp,image/avif"
              onChange={(event) => picture(event.currentTarget.files?.[0])}
            />
          </label>
          <button type="button" onClick={removePicture}>
            Remove it
          </button>
        </div>
      </div>
      <p class="hint">
        {user.email} · with us since {exactly(user.created_at)}
      </p>
      <Form submit="Save" cancel={false} onSubmit={save}>
        <Field label="Name" name="name" required maxLength={100} defaultValue={user.name} autoComplete="name" />
      </Form>
      <p>
        <button type="button" onClick={() => logOut().catch(complain)}>
          <Icon name="exit" size={18} /> Sign out
        </button>
      </p>
    </section>
  )
}

/** Everything that is here of somebody: to take along, and to have taken away. */
function Leaving() {
  const erase = () =>
    showDialog(() => (
      <Dialog title="Erase your account?">
        <Form
          submit="Erase everything"
          danger
          onSubmit={async (data) => {
            await ask(api.DELETE('/v1/me', { body: { password: String(data.get('password')) } }))
            location.assign('/')
          }}
        >
          <p>Your files, links, tokens and the account itself are erased, for good. Nobody can bring them back.</p>
          <Field label="Your password" name="password" type="password" required autoComplete="current-password" />
        </Form>
      </Dialog>
    ))
  return (
    <section class="card">
      <h2>Everything of yours</h2>
      <div class="buttons">
        <a class="button" href="/trail">
          <Icon name="clock" size={18} /> What happened
        </a>
        <a class="button" href="/v1/me/export" download="strongroom.zip" data-load="">
          <Icon name="download" size={18} /> Download it all
        </a>
        <button type="button" class="danger" onClick={erase}>
          Erase the account…
        </button>
      </div>
    </section>
  )
}

function Password() {
  const [turn, setTurn] = useState(0)
  const save = async (data: FormData) => {
    const body = { current_password: String(data.get('current_password')), password: String(data.get('password')) }
    await ask(api.PATCH('/v1/me', { body }))
    say('The password is changed. You are signed out everywhere else.')
    setTurn(turn + 1)
  }
  return (
    <section class="card">
      <h2>Password</h2>
      <Form key={turn} submit="Change password" cancel={false} onSubmit={save}>
        <input
          class="visually-hidden"
          type="text"
          name="username"
          autoComplete="username"
          value={me.value?.email}
          readOnly
          tabIndex={-1}
          aria-hidden="true"
        />
        <Field
          label="The one you have"
          name="current_password"
          type="password"
          required
          autoComplete="current-password"
        />
        <Field label="The new one" name="password" type="password" required minLength={8} autoComplete="new-password" />
      </Form>
    </section>
  )
}

function Sessions() {
  return (
    <section class="card">
      <h2>Where you are signed in</h2>
      <SessionList />
    </section>
  )
}

function Tokens() {
  const [turn, setTurn] = useState(0)
  const changed = () => setTurn((before) => before + 1)
  const make = async (data: FormData) => {
    const expires_in = Number(data.get('expires_in')) || null
    const made = await ask(api.POST('/v1/me/tokens', { body: { name: String(data.get('name')), expires_in } }))
    changed()
    showDialog(() => (
      <Dialog title={made.name}>
        <Made url={made.token} label="The token">
          Copy it now: it is not shown again. It may do everything with your files, and nothing with your account.
        </Made>
      </Dialog>
    ))
  }
  const wish = () =>
    showDialog(() => (
      <Dialog title="New API token">
        <Form submit="Make it" onSubmit={make}>
          <Field label="What it is for" name="name" required maxLength={100} autoComplete="off" autofocus />
          <Choice
            label="Works for"
            name="expires_in"
            value="7776000"
            options={[
              ['2592000', '30 days'],
              ['7776000', '90 days'],
              ['31536000', 'a year'],
              ['', 'until it is revoked'],
            ]}
          />
        </Form>
      </Dialog>
    ))
  const revoke = (token: ApiToken) =>
    confirm(`Revoke “${token.name}”?`, 'Programs that use it stop working at once.', 'Revoke', async () => {
      await ask(api.DELETE('/v1/me/tokens/{id}', { params: { path: { id: token.id } } }))
      changed()
    })
  return (
    <section class="card">
      <h2>API tokens</h2>
      <TokenList key={turn} revoke={revoke} />
      <p>
        <button type="button" onClick={wish}>
          <Icon name="key" size={18} /> New token
        </button>
      </p>
    </section>
  )
}
