// A new password, before anything else: the server's operator has set the current one.
import { Form } from '../components/dialog'
import { Logo } from '../components/icon'
import { changePassword, PasswordFields } from '../components/password'
import { showError } from '../components/toast'
import { logOut, me } from '../session'

export function NewPassword() {
  const save = async (data: FormData) => {
    me.value = await changePassword(data)
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
          <PasswordFields autofocus hint="At least 8 characters. Three or four random words work well." />
        </Form>
      </div>
    </main>
  )
}
