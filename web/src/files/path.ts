// Paths of folders: names joined by slashes, empty for the top.

/** The folder that contains this one. */
export function parentPath(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

export function joinPath(...parts: string[]): string {
  return parts.filter(Boolean).join('/')
}
