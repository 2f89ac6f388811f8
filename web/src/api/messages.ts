// Error messages. The server's own text is shown where the page has none for the code.
import type { components } from '../../schema.gen'
import { bytes, count } from '../format'

type ProblemBody = Partial<components['schemas']['Problem']>
type FieldError = components['schemas']['FieldError']

const MESSAGES: Record<string, (problem: ProblemBody) => string> = {
  unauthorized: () => 'Please sign in.',
  bad_credentials: () => 'Wrong email or password.',
  not_found: () => 'Not found.',
  email_taken: () => 'This email already has an account.',
  upload_gone: () => 'This upload has expired.',
  quota_exceeded: shortage,
  invalid: rejectedFields,
  internal: ({ request_id }) => `Server error (reference ${request_id}).`,
}

export function problemMessage(status: number, problem: ProblemBody): string {
  const text = MESSAGES[problem.code ?? '']?.(problem)
  return text || sentence(problem.detail || problem.title || `The server answered with status ${status}.`)
}

/** The message of a response that the server did not write: something in front of it answered. */
export function foreignMessage(status: number): string {
  return status === 413
    ? 'Too large for something between you and the server.'
    : `Something between you and the server answered with status ${status}.`
}

function shortage({ resource, needed, quota, used, trashed = 0 }: ProblemBody): string {
  if (needed == null || quota == null || used == null) return ''
  const left = Math.max(0, quota - used)
  const isFiles = resource === 'files'
  const text = isFiles
    ? `File limit reached: needs ${count(needed, 'more file')}, ${left} left.`
    : `Not enough storage: needs ${bytes(needed)}, ${bytes(left)} left.`
  return trashed > 0 ? `${text} The trash has ${isFiles ? count(trashed, 'file') : bytes(trashed)}.` : text
}

/** The name of a rejected value, as it is in the form that sent it. */
export function fieldName({ pointer, parameter, header }: FieldError): string {
  return pointer?.replace(/^\//, '') ?? parameter ?? header ?? ''
}

/** The page's own sentences for rejected values. */
const REJECTIONS: Record<string, string> = {
  weak_password: 'This password is too common. Try a few random words.',
  wrong: 'Wrong password.',
  unchanged: 'Choose a password that differs from the current one.',
}

/** "Expires in: at most 604800 seconds." */
function rejectedFields({ errors = [] }: ProblemBody): string {
  return errors
    .map((error) => {
      const known = REJECTIONS[error.code]
      if (known) return known
      const name = fieldName(error).replaceAll(/[_/]/g, ' ')
      return sentence(name ? `${name}: ${error.detail}` : error.detail)
    })
    .join(' ')
}

/** With a capital letter and a full stop. */
function sentence(text: string): string {
  const capitalized = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?…]$/.test(capitalized) ? capitalized : `${capitalized}.`
}
