// Copies to the clipboard, which browsers allow only on https pages and localhost.
import { showError, showToast } from './toast'

export async function copy(text: string, message = 'Copied') {
  try {
    await navigator.clipboard.writeText(text)
    showToast(message)
  } catch {
    showError('Your browser blocked copying. Select the text and copy it manually.')
  }
}
