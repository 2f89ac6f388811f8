// Types that the modules of this folder share.

/** A local file and the folder to upload it to. */
export type SelectedFile = {
  file: File
  path: string
  /** Reopens the file after a reload, in browsers that support it. */
  handle?: FileSystemFileHandle
}
