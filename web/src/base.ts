// Where the server is: at the root of its host, or below a path that its front removes.

/** The path of the public URL, without a slash at its end. The server writes it into the page. */
export const base = globalThis.document?.documentElement.dataset.base ?? ''

/** The path of a route of this server, as a browser requests it. */
export const pathOf = (route: string): string => base + route
