// Signing in, and registering.
import { useState } from 'preact/hooks'
import { Field, Form } from '../parts/dialog'
import { Logo } from '../parts/icon'
import { logIn, register } from '../session'

export function SignIn() {
  const [isNew, setNew] = useState(false)
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
        <p class="other">
          {isNew ? 'There is an account already?' : 'New here?'}{' '}
          <button type="button" class="as-link" onClick={() => setNew(!isNew)}>
            {isNew ? 'Sign in' : 'Make an account'}
          </button>
        </p>
      </div>
    </main>
  )
}
