// A file, looked at. Nothing of what people upload is run: pictures, sound and film are shown by elements that
// cannot, text is put in as text, and PDFs are drawn. What is none of these is downloaded.
import { lazy, Suspense } from 'preact/compat'
import { useEffect, useRef, useState } from 'preact/hooks'
import { showTrail } from '../activity/show-activity'
import { api, ask, contentUrl, downloadUrl, type StoredFile } from '../api/client'
import { Icon, iconOf } from '../components/icon'
import { Empty, Failed, Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { removeEntries, renameEntry } from '../files/actions'
import type { Listing } from '../files/listing'
import { Selection } from '../files/selection'
import { bytes, exactly } from '../format'
import { folderUrl, open } from '../router'
import { shareFile } from '../sharing/share'
import { Text } from './text'

const Pdf = lazy(() => import('./pdf'))

export function Preview({ id, listing }: { id: string; listing: Listing }) {
  const listed = listing.files.value.find((file) => file.id === id)
  const fetched = useLoad(
    async () => listed ?? (await ask(api.GET('/v1/files/{id}', { params: { path: { id } } }))),
    [id, listed],
  )
  const file = listed ?? (fetched.data?.id === id ? fetched.data : undefined)
  const element = useRef<HTMLDialogElement>(null)
  const gone = useRef(false)
  useEffect(() => {
    const dialog = element.current
    dialog?.showModal()
    return () => {
      gone.current = true
      dialog?.close()
      document.querySelector<HTMLElement>('.grid')?.focus({ preventScroll: true })
    }
  }, [])

  const files = listing.files.value
  const at = files.findIndex((other) => other.id === id)
  const beside = (step: number) => (at < 0 ? undefined : files[at + step])
  const go = (step: number) => {
    const next = beside(step)
    if (next) open(next.id, true)
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
      onClose={() => gone.current || open(null)}
      onKeyDown={keys}
      onCancel={(event) => {
        event.preventDefault()
        open(null)
      }}
    >
      <header>
        <button type="button" class="quiet only-icon" aria-label="Back to the list" onClick={() => open(null)}>
          <Icon name="close" />
        </button>
        <div class="about">
          <h2 title={file?.name}>{file?.name ?? ' '}</h2>
          {file && (
            <p class="hint">
              {bytes(file.size)} · <time dateTime={file.updated_at}>{exactly(file.updated_at)}</time>
              {listing.wanted.query && (
                <>
                  {' '}
                  · <a href={folderUrl(file.path)}>{file.path || 'Files'}</a>
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
            <button type="button" class="quiet" onClick={() => showTrail(file)}>
              <Icon name="clock" size={18} /> <span>Trail</span>
            </button>
            <button type="button" class="quiet" onClick={() => renameEntry(listing, file)}>
              <Icon name="pencil" size={18} /> <span>Rename</span>
            </button>
            <button type="button" class="quiet" onClick={() => removeEntries(listing, new Selection(listing), [file])}>
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
        {beside(-1) && (
          <button type="button" class="beside before" aria-label="File before" onClick={() => go(-1)}>
            <Icon name="left" />
          </button>
        )}
        {beside(1) && (
          <button type="button" class="beside after" aria-label="Next file" onClick={() => go(1)}>
            <Icon name="right" />
          </button>
        )}
      </div>
    </dialog>
  )
}

const PICTURES = /^image\/(png|jpeg|gif|webp|avif)$/
/** Shown as the text that they are, whatever a browser would make of them. */
const TEXTS = /^(text\/|application\/(json|xml|javascript|x-sh|toml|yaml|x-yaml)|image\/svg)|\+(json|xml)\b/

function Content({ file }: { file: StoredFile }) {
  const [broken, setBroken] = useState(false)
  const type = file.content_type
  const source = contentUrl(file.id)
  const failed = () => setBroken(true)
  if (file.size === 0) return <Nothing file={file} title="This file is empty" />
  if (broken) return <Nothing file={file} title="The browser cannot show this file" />
  if (PICTURES.test(type)) return <img src={source} alt={file.name} onError={failed} />
  if (type.startsWith('video/')) return <video src={source} controls onError={failed} />
  if (type.startsWith('audio/')) return <audio src={source} controls onError={failed} />
  if (type === 'application/pdf') {
    return (
      <Suspense fallback={<Loading what="Loading the document" />}>
        <Pdf file={file} onBroken={failed} />
      </Suspense>
    )
  }
  if (TEXTS.test(type)) return <Text file={file} />
  return <Nothing file={file} title="No preview for this kind of file" />
}

function Nothing({ file, title }: { file: StoredFile; title: string }) {
  return (
    <Empty icon={iconOf(file.content_type)} title={title}>
      <p>{file.content_type}</p>
      <p>
        <a class="button" href={downloadUrl(file.id)} download={file.name} data-load="">
          <Icon name="download" size={18} /> Download it
        </a>
      </p>
    </Empty>
  )
}
