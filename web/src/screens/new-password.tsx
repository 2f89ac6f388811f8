// A new password, before anything else: the server's operator has set the current one.
import { api, request } from '../api/client'
import { Field, Form } from '../components/dialog'
import { Logo } from '../components/icon'
import { showError } from '../components/toast'
import { logOut, me } from '../session'

export function NewPassword() {
  const save = async (data: FormData) => {
    const body = { current_password: String(data.get('current_password')), password: String(data.get('password')) }
    me.value = await request(api.PATCH('/v1/me', { body }))
  }
  return (
    <main class="sign-in">
      <div class="card">
        <Logo size={44} />
        <h1>Set a new password</h1>
        <p class="hint">An administrator set your current password. Replace it to continue.</p>
        <Form
          submit="Change password"
          cancelLabel="Sign out"
          onCancel={() => logOut().catch(showError)}
          onSubmit={save}
        >
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
            label="Current password"
            name="current_password"
            type="password"
            required
            autoComplete="current-password"
            autofocus
          />
          <Field
            label="New password"
            name="password"
            type="password"
            required
            minLength={8}
            autoComplete="new-password"
            hint="At least 8 characters. Three or four random words work well."
          />
        </Form>
      </div>
    </main>
  )
}
