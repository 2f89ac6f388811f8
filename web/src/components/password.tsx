// The form with which users change their password: on the account screen, and before anything else.
import { api, request } from '../api/client'
import { me } from '../session'
import { Field } from './dialog'

/** Changes the password to what the fields contain. Returns the account. */
export function changePassword(data: FormData) {
  const body = { current_password: String(data.get('current_password')), password: String(data.get('password')) }
  return request(api.PATCH('/v1/me', { body }))
}

/** The fields for the current and the new password, with the account for password managers. */
export function PasswordFields({ autofocus = false, hint = '' }: { autofocus?: boolean; hint?: string }) {
  return (
    <>
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
        autofocus={autofocus}
      />
      <Field
        label="New password"
        name="password"
        type="password"
        required
        minLength={8}
        autoComplete="new-password"
        hint={hint}
      />
    </>
  )
}
