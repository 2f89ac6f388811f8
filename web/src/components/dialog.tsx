// Modal dialogs and their forms. The browser keeps the focus inside and returns it afterwards.
import { signal } from '@preact/signals'
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { errorMessage, Problem } from '../api/client'
import { Icon } from './icon'

const current = signal<{ id: number; show: () => JSX.Element } | null>(null)
let last = 0

/** Shows a dialog. Replaces the one that is open. */
export function showDialog(show: () => JSX.Element) {
  last += 1
  current.value = { id: last, show }
}

export function closeDialog() {
  current.value = null
}

export function DialogHost() {
  const shown = current.value
  return shown && <shown.show key={shown.id} />
}

type DialogProps = { title: string; wide?: boolean; children: ComponentChildren; onClose?: () => void }

export function Dialog({ title, wide, children, onClose = closeDialog }: DialogProps) {
  const element = useRef<HTMLDialogElement>(null)
  const unmounted = useRef(false)
  const heading = useId()
  useEffect(() => {
    const dialog = element.current
    const before = document.activeElement as HTMLElement | null
    if (dialog && !dialog.open) dialog.showModal()
    return () => {
      // The close event arrives later, when another dialog may be open.
      unmounted.current = true
      dialog?.close()
      // The browser returns the focus only if the dialog closes before it is removed.
      before?.focus?.({ preventScroll: true })
    }
  }, [])
  return (
    <dialog
      ref={element}
      class={wide ? 'wide' : undefined}
      aria-labelledby={heading}
      onClose={() => unmounted.current || onClose()}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div class="dialog">
        <header>
          <h2 id={heading}>{title}</h2>
          <button type="button" class="quiet only-icon" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  )
}

type FormProps = {
  submit: string
  danger?: boolean
  onSubmit: (data: FormData) => Promise<unknown> | unknown
  children?: ComponentChildren
  cancel?: boolean
  cancelLabel?: string
  onCancel?: () => void
}

/** A form that shows errors above its buttons and focuses the field that is rejected. */
export function Form(props: FormProps) {
  const { submit, danger, onSubmit, children, cancel = true, cancelLabel = 'Cancel', onCancel = closeDialog } = props
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState<unknown>(null)
  const element = useRef<HTMLFormElement>(null)
  const run = async (event: Event) => {
    event.preventDefault()
    if (busy || !element.current) return
    setBusy(true)
    setProblem(null)
    try {
      await onSubmit(new FormData(element.current))
    } catch (error) {
      setProblem(error)
      const field = error instanceof Problem ? error.fields[0] : undefined
      if (field) element.current?.querySelector<HTMLElement>(`[name="${CSS.escape(field)}"]`)?.focus()
    } finally {
      setBusy(false)
    }
  }
  return (
    <form ref={element} onSubmit={run} noValidate={false}>
      {children}
      <div class="problem" role="alert">
        {problem ? (
          <p>
            <Icon name="alert" size={18} />
            <span>{errorMessage(problem)}</span>
          </p>
        ) : null}
      </div>
      <footer>
        {cancel && (
          <button type="button" onClick={onCancel}>
            {cancelLabel}
          </button>
        )}
        <button type="submit" class={danger ? 'danger' : 'primary'} aria-busy={busy} disabled={busy}>
          {submit}
        </button>
      </footer>
    </form>
  )
}

type FieldProps = { label: string; hint?: ComponentChildren } & JSX.InputHTMLAttributes<HTMLInputElement>

export function Field({ label, hint, ...input }: FieldProps) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input id={id} aria-describedby={hint ? `${id}-hint` : undefined} {...input} />
      {hint && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  )
}

type SelectProps = { label: string; name: string; options: [value: string, label: string][]; value?: string } & Omit<
  JSX.SelectHTMLAttributes<HTMLSelectElement>,
  'value'
>

export function Select({ label, options, value, ...select }: SelectProps) {
  const id = useId()
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <select id={id} value={value} {...select}>
        {options.map(([option, text]) => (
          <option key={option} value={option} selected={option === value}>
            {text}
          </option>
        ))}
      </select>
    </div>
  )
}

/** Asks for confirmation before an action that cannot be undone. */
export function confirmDialog(title: string, text: string, submit: string, run: () => Promise<unknown> | unknown) {
  showDialog(() => (
    <Dialog title={title}>
      <Form
        submit={submit}
        danger
        onSubmit={async () => {
          await run()
          closeDialog()
        }}
      >
        <p>{text}</p>
      </Form>
    </Dialog>
  ))
}
