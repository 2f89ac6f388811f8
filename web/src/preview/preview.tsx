// The preview of a file. Nothing that users upload is executed: images, audio and video are shown by elements that
// cannot, text is inserted as text, and PDFs are rendered to a canvas. Other types can only be downloaded.
import { lazy, Suspense } from 'preact/compat'
import { useEffect, useRef, useState } from 'preact/hooks'
import { showActivity } from '../activity/show-activity'
import { api, contentUrl, downloadUrl, request, type StoredFile } from '../api/client'
import { Icon, iconOf } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { deleteEntries, renameEntry } from '../files/actions'
import type { Listing } from '../files/listing'
import { folderName } from '../files/path'
import { Selection } from '../files/selection'
import { bytes, dateTime } from '../format'
import { folderUrl, openFile } from '../router'
import { shareFile } from '../sharing/share'
import { Text } from './text'

const Pdf = lazy(() => import('./pdf'))

export function Preview({ id, listing }: { id: string; listing: Listing }) {
  const listed = listing.files.value.find((file) => file.id === id)
  const fetched = useLoad(
    async () => listed ?? (await request(api.GET('/v1/files/{id}', { params: { path: { id } } }))),
    [id, listed],
  )
  const file = listed ?? (fetched.data?.id === id ? fetched.data : undefined)
  const element = useRef<HTMLDialogElement>(null)
  const unmounted = useRef(false)
  useEffect(() => {
    const dialog = element.current
    dialog?.showModal()
    return () => {
      unmounted.current = true
      dialog?.close()
      document.querySelector<HTMLElement>('.grid')?.focus({ preventScroll: true })
    }
  }, [])

  const files = listing.files.value
  const index = files.findIndex((other) => other.id === id)
  const neighbor = (step: number) => (index < 0 ? undefined : files[index + step])
  const go = (step: number) => {
    const next = neighbor(step)
    if (next) openFile(next.id, true)
  }
  const keys = (event: KeyboardEvent) => {
    if (event.target instanceof HTMLElement && event.target.closest('video, audio, input, .page-text')) return
    if (event.key === 'ArrowLeft') go(-1)
    if (event.key === 'ArrowRight') go(1)
  }
  return (
    <dialog
      ref={element}
      class="preview"
      aria-label={file?.name ?? 'File'}
      onClose={() => unmounted.current || openFile(null)}
      onKeyDown={keys}
      onCancel={(event) => {
        event.preventDefault()
        openFile(null)
      }}
    >
      <header>
        <button type="button" class="quiet only-icon" aria-label="Close" onClick={() => openFile(null)}>
          <Icon name="close" />
        </button>
        <div class="about">
          <h2 title={file?.name}>{file?.name ?? ' '}</h2>
          {file && (
            <p class="hint">
              {bytes(file.size)} · <time dateTime={file.updated_at}>{dateTime(file.updated_at)}</time>
              {listing.options.query && (
                <>
                  {' '}
                  · <a href={folderUrl(file.path)}>{folderName(file.path)}</a>
                </>
              )}
            </p>
          )}
        </div>
        {file && (
          <div class="buttons">
            <button type="button" class="quiet" onClick={() => shareFile(file)}>
              <Icon name="link" size={18} /> <span>Share</span>
            </button>
            <button type="button" class="quiet" onClick={() => showActivity(file)}>
              <Icon name="clock" size={18} /> <span>Activity</span>
            </button>
            <button type="button" class="quiet" onClick={() => renameEntry(listing, file)}>
              <Icon name="pencil" size={18} /> <span>Rename</span>
            </button>
            <button type="button" class="quiet" onClick={() => deleteEntries(listing, new Selection(listing), [file])}>
              <Icon name="trash" size={18} /> <span>Delete</span>
            </button>
            <a class="button primary" href={downloadUrl(file.id)} download={file.name} data-load="">
              <Icon name="download" size={18} /> <span>Download</span>
            </a>
          </div>
        )}
      </header>
      <div class="stage">
        {file ? (
          <Content key={file.etag + file.id} file={file} />
        ) : fetched.error ? (
          <Failed error={fetched.error} retry={fetched.reload} />
        ) : (
          <Loading />
        )}
        {neighbor(-1) && (
          <button type="button" class="neighbor before" aria-label="Previous file" onClick={() => go(-1)}>
            <Icon name="left" />
          </button>
        )}
        {neighbor(1) && (
          <button type="button" class="neighbor after" aria-label="Next file" onClick={() => go(1)}>
            <Icon name="right" />
          </button>
        )}
      </div>
    </dialog>
  )
}

const IMAGES = /^image\/(png|jpeg|gif|webp|avif)$/
/** Shown as source text, never interpreted. */
const TEXTS = /^(text\/|application\/(json|xml|javascript|x-sh|toml|yaml|x-yaml)|image\/svg)|\+(json|xml)\b/

function Content({ file }: { file: StoredFile }) {
  const [failed, setFailed] = useState(false)
  const type = file.content_type
  const source = contentUrl(file.id)
  const onError = () => setFailed(true)
  if (file.size === 0) return <NoPreview file={file} title="This file is empty" />
  if (failed) return <NoPreview file={file} title="Your browser can’t show this file" />
  if (IMAGES.test(type)) return <img src={source} alt={file.name} onError={onError} />
  if (type.startsWith('video/')) return <video src={source} controls onError={onError} />
  if (type.startsWith('audio/')) return <audio src={source} controls onError={onError} />
  if (type === 'application/pdf') {
    return (
      <Suspense fallback={<Loading text="Loading document" />}>
        <Pdf file={file} onError={onError} />
      </Suspense>
    )
  }
  if (TEXTS.test(type)) return <Text file={file} />
  return <NoPreview file={file} title="No preview available" />
}

function NoPreview({ file, title }: { file: StoredFile; title: string }) {
  return (
    <Empty icon={iconOf(file.content_type)} title={title}>
      <p>
        {typeName(file)}, {bytes(file.size)}
      </p>
      <p>
        <a class="button" href={downloadUrl(file.id)} download={file.name} data-load="">
          <Icon name="download" size={18} /> Download
        </a>
      </p>
    </Empty>
  )
}

/** "ZIP file"; the content type if the name has no extension. */
function typeName({ name, content_type }: StoredFile): string {
  const extension = /[^.]\.([a-z0-9]{1,8})$/i.exec(name)?.[1]
  return extension ? `${extension.toUpperCase()} file` : content_type
}
