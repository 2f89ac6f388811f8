// Prepares Node for the tests: TypeScript, a fixed time zone, and the few browser globals that modules use when they
// load. The API client keeps the `fetch` of that moment, so tests set `respond` instead.
import { register } from 'node:module'

register('./typescript-loader.mjs', import.meta.url)
process.env.TZ = 'UTC'

const location = new URL('http://page.test/')
const move = (state, _unused, url) => {
  history.state = state
  location.href = new URL(url, location).href
}
const history = { state: null, pushState: move, replaceState: move }
const fetch = async (request) => globalThis.respond(request)
Object.assign(globalThis, { location, history, addEventListener: () => {}, fetch })
