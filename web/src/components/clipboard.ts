// Into the clipboard, also where a page without https may not use the new way.
import { say } from './toast'

export async function copy(text: string, what = 'Copied.') {
  try {
    await navigator.clipboard.writeText(text)
    say(what)
  } catch {
    say('The browser does not let this page copy. Select the text and copy it by hand.', undefined, true)
  }
}
