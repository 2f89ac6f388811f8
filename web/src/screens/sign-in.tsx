// Signing in, and registering.
import { useState } from 'preact/hooks'
import { api, ask } from '../api/client'
import { Field, Form } from '../components/dialog'
import { Logo } from '../components/icon'
import { useLoad } from '../components/use-load'
import { logIn, register } from '../session'

export function SignIn() {
  const [isNew, setNew] = useState(false)
  // If it cannot be known, the form works all the same.
  const { data: registration } = useLoad(() => ask(api.GET('/v1/auth/registration')))
  const submit = (data: FormData) => {
    const [email, name, password] = ['email', 'name', 'password'].map((field) => String(data.get(field) ?? ''))
    return isNew ? register(email ?? '', name ?? '', password ?? '') : logIn(email ?? '', password ?? '')
  }
  return (
    <main class="sign-in">
      <div class="card">
        <Logo size={44} />
        <h1>{isNew ? 'Make an account' : 'Strongroom'}</h1>
        <p class="hint">{isNew ? 'What you upload is yours alone.' : 'Private files, for you alone.'}</p>
        {registration && !registration.has_accounts && <FirstAccount open={registration.open} />}
        <Form key={String(isNew)} submit={isNew ? 'Register' : 'Sign in'} onSubmit={submit} cancel={false}>
          <Field label="E-mail address" name="email" type="email" required autoComplete="username" autofocus />
          {isNew && <Field label="Name" name="name" required maxLength={100} autoComplete="name" />}
          <Field
            label="Password"
            name="password"
            type="password"
            required
            minLength={isNew ? 8 : undefined}
            autoComplete={isNew ? 'new-password' : 'current-password'}
            hint={isNew ? 'At least 8 characters. A few unrelated words are best.' : undefined}
          />
        </Form>
        {registration?.open === false ? (
          registration.has_accounts && (
            <p class="other">No account? Ask whoever runs this server: they make the accounts here.</p>
          )
        ) : (
          <p class="other">
            {isNew ? 'There is an account already?' : 'New here?'}{' '}
            <button type="button" class="as-link" onClick={() => setNew(!isNew)}>
              {isNew ? 'Sign in' : 'Make an account'}
            </button>
          </p>
        )}
      </div>
    </main>
  )
}

/** For whoever has just started the server. */
function FirstAccount({ open }: { open: boolean }) {
  return (
    <div class="first" role="note">
      <p>
        <strong>No account exists yet.</strong> With the settings of the server, its command line makes the first one,
        an admin’s:
      </p>
      <p>
        <code>
          strongroom user add you@example.com <span>--admin</span>
        </code>
      </p>
      <p>
        {open
          ? 'Whoever can open this page can also register here; that makes accounts that are no admins.'
          : 'Registration on this page is closed.'}
      </p>
    </div>
  )
}
