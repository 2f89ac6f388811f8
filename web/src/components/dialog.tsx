// A window over the page. The browser keeps the focus inside and gives it back.
import { signal } from '@preact/signals'
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { Problem, words } from '../api/client'
import { Icon } from './icon'

const current = signal<{ id: number; show: () => JSX.Element } | null>(null)
let last = 0

/** Shows a dialog, in the place of one that is open. */
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
  const gone = useRef(false)
  const heading = useId()
  useEffect(() => {
    const dialog = element.current
    const before = document.activeElement as HTMLElement | null
    if (dialog && !dialog.open) dialog.showModal()
    return () => {
      // The browser tells of it later, when another dialog may be open.
      gone.current = true
      dialog?.close()
      // The browser gives the focus back only if the dialog closes before it goes.
      before?.focus?.({ preventScroll: true })
    }
  }, [])
  return (
    <dialog
      ref={element}
      class={wide ? 'wide' : undefined}
      aria-labelledby={heading}
      onClose={() => gone.current || onClose()}
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
  onCancel?: () => void
}

/** A form whose problems stand where they belong: at the field, or above the button. */
export function Form({ submit, danger, onSubmit, children, cancel = true, onCancel = closeDialog }: FormProps) {
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
      const field = error instanceof Problem ? Object.keys(error.fields)[0] : undefined
      if (field) element.current?.querySelector<HTMLElement>(`[name="${CSS.escape(field)}"]`)?.focus()
    } finally {
      setBusy(false)
    }
  }
  const fields = problem instanceof Problem ? Object.entries(problem.fields) : []
  return (
    <form ref={element} onSubmit={run} noValidate={false}>
      {children}
      <div class="problem" role="alert">
        {problem ? (
          <p>
            <Icon name="alert" size={18} />
            <span>
              {fields.length > 0
                ? fields.map(([field, detail]) => `${label(field)}: ${detail}`).join('. ')
                : words(problem)}
            </span>
          </p>
        ) : null}
      </div>
      <footer>
        {cancel && (
          <button type="button" onClick={onCancel}>
            Cancel
          </button>
        )}
        <button type="submit" class={danger ? 'danger' : 'primary'} aria-busy={busy} disabled={busy}>
          {submit}
        </button>
      </footer>
    </form>
  )
}

function label(field: string): string {
  const text = field.replaceAll('_', ' ').replaceAll('/', ' ')
  return text.charAt(0).toUpperCase() + text.slice(1)
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

type ChoiceProps = { label: string; name: string; options: [value: string, label: string][]; value?: string } & Omit<
  JSX.SelectHTMLAttributes<HTMLSelectElement>,
  'value'
>

export function Choice({ label, options, value, ...select }: ChoiceProps) {
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

/** Asks before something that cannot be undone. */
export function confirm(title: string, text: ComponentChildren, submit: string, run: () => Promise<unknown> | unknown) {
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
