// Sign in, or create an account.
import { useState } from 'preact/hooks'
import { api, request } from '../api/client'
import { Field, Form } from '../components/dialog'
import { Logo } from '../components/icon'
import { useLoad } from '../components/use-load'
import { logIn, register } from '../session'

export function SignIn() {
  const [isNew, setIsNew] = useState(false)
  // The form works without this, so an error is ignored.
  const { data: registration } = useLoad(() => request(api.GET('/v1/auth/registration')))
  const submit = (data: FormData) => {
    const [email, name, password] = ['email', 'name', 'password'].map((field) => String(data.get(field) ?? ''))
    return isNew ? register(email ?? '', name ?? '', password ?? '') : logIn(email ?? '', password ?? '')
  }
  return (
    <main class="sign-in">
      <div class="card">
        <Logo size={44} />
        <h1>{isNew ? 'Create account' : 'Strongroom'}</h1>
        <p class="hint">{isNew ? 'Only you can see what you upload.' : 'Private files, only for you.'}</p>
        {registration && !registration.has_accounts && <FirstAccount open={registration.open} />}
        <Form key={String(isNew)} submit={isNew ? 'Create account' : 'Sign in'} onSubmit={submit} cancel={false}>
          <Field label="Email" name="email" type="email" required autoComplete="username" autofocus />
          {isNew && <Field label="Name" name="name" required maxLength={100} autoComplete="name" />}
          <Field
            label="Password"
            name="password"
            type="password"
            required
            minLength={isNew ? 8 : undefined}
            autoComplete={isNew ? 'new-password' : 'current-password'}
            hint={isNew ? 'At least 8 characters. Three or four random words work well.' : undefined}
          />
        </Form>
        {registration?.open === false ? (
          registration.has_accounts && <p class="other">No account? Ask your administrator for an invitation.</p>
        ) : (
          <p class="other">
            {isNew ? 'Already have an account?' : 'New here?'}{' '}
            <button type="button" class="as-link" onClick={() => setIsNew(!isNew)}>
              {isNew ? 'Sign in' : 'Create account'}
            </button>
          </p>
        )}
      </div>
    </main>
  )
}

/** Shown while the server has no accounts: how to create the first one. */
function FirstAccount({ open }: { open: boolean }) {
  return (
    <div class="first-account" role="note">
      <p>
        <strong>This server has no accounts yet.</strong> Create the first admin from the command line:
      </p>
      <p>
        <code>
          strongroom user add you@example.com <span>--admin</span>
        </code>
      </p>
      <p>
        {open ? 'Anyone who can open this page can sign up, without admin rights.' : 'Sign-up on this page is closed.'}
      </p>
    </div>
  )
}
