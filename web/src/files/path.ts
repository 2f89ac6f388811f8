// Folder paths: names joined by slashes; empty for the root.

/** The folder that contains this one. */
export function parentPath(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : ''
}

export function joinPath(...parts: string[]): string {
  return parts.filter(Boolean).join('/')
}

/** What to call a folder. */
export function folderName(path: string): string {
  return path || 'Files'
}
