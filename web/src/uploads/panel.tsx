// The panel of uploads at the edge of the page: progress, speed, and controls.
import { computed, signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Icon } from '../components/icon'
import { showError } from '../components/toast'
import { useVirtualRows } from '../files/virtual'
import { bytes, count, duration, percent } from '../format'
import { reopenFile } from './file-handles'
import { selectFiles, upload as send } from './select-files'
import {
  discard,
  findInterrupted,
  type InterruptedUpload,
  interrupted,
  isPaused,
  speed,
  type Upload,
  uploads,
} from './state'

const ROW_HEIGHT = 56
const isExpanded = signal(true)

const totals = computed(() => {
  const total = { all: 0, done: 0, failed: 0, retrying: 0, size: 0, sent: 0 }
  for (const upload of uploads.value.values()) {
    total.all += 1
    total.size += upload.size
    total.sent += upload.sent
    if (upload.state === 'done') total.done += 1
    if (upload.state === 'failed') total.failed += 1
    if (upload.state === 'retrying') total.retrying += 1
  }
  return total
})

const queue = () => import('./queue')

export function Uploads() {
  useEffect(() => {
    findInterrupted().catch(() => {})
  }, [])
  const { all, done, failed, retrying, size, sent } = totals.value
  if (all === 0 && interrupted.value.length === 0) return null
  const open = all - done - failed
  const title =
    open > 0
      ? isPaused.value
        ? `${count(open, 'upload')} paused`
        : `Uploading ${count(open, 'file')}`
      : failed > 0
        ? `${count(failed, 'upload')} failed`
        : all > 0
          ? `${count(done, 'file')} uploaded`
          : `${count(interrupted.value.length, 'upload')} interrupted`
  return (
    <aside class="uploads" aria-label="Uploads">
      <header>
        <div>
          <h2>{title}</h2>
          {open > 0 && (
            <p class="hint">
              {retrying > 0
                ? 'Can’t reach the server. Uploads continue when it’s back.'
                : progressText(sent, size, isPaused.value ? 0 : speed.value)}
            </p>
          )}
        </div>
        {open > 0 && (
          <button
            type="button"
            class="quiet only-icon"
            aria-label={isPaused.value ? 'Resume all' : 'Pause all'}
            onClick={async () => (isPaused.value ? (await queue()).resumeAll() : (await queue()).pauseAll())}
          >
            <Icon name={isPaused.value ? 'play' : 'pause'} />
          </button>
        )}
        <button
          type="button"
          class="quiet only-icon"
          aria-expanded={isExpanded.value}
          aria-label={isExpanded.value ? 'Collapse' : 'Expand'}
          onClick={() => {
            isExpanded.value = !isExpanded.value
          }}
        >
          <Icon name={isExpanded.value ? 'down' : 'up'} />
        </button>
        {open === 0 && all > 0 && (
          <button
            type="button"
            class="quiet only-icon"
            aria-label="Close uploads"
            onClick={async () => (await queue()).clearDone()}
          >
            <Icon name="close" />
          </button>
        )}
      </header>
      {open > 0 && <progress value={sent} max={size || 1} aria-label="All uploads" />}
      {isExpanded.value && (
        <>
          {interrupted.value.map((upload) => (
            <InterruptedRow key={upload.key} upload={upload} />
          ))}
          {all > 0 && <Rows list={ordered(uploads.value)} />}
        </>
      )}
      <p class="visually-hidden" role="status">
        {open === 0 && all > 0 ? title : ''}
      </p>
    </aside>
  )
}

/** Failed uploads first, those that are done last. */
function ordered(all: ReadonlyMap<string, Upload>): Upload[] {
  const rank = { failed: 0, uploading: 1, retrying: 1, paused: 2, waiting: 3, done: 4 }
  return [...all.values()].sort((a, b) => rank[a.state] - rank[b.state])
}

function progressText(sent: number, size: number, rate: number): string {
  const progress = `${bytes(sent)} of ${bytes(size)}`
  if (rate < 1) return progress
  return `${progress} · ${bytes(rate)}/s · ${duration((size - sent) / rate)} left`
}

function Rows({ list }: { list: Upload[] }) {
  const { box, first, last } = useVirtualRows(list.length, ROW_HEIGHT)
  return (
    <div class="upload-rows" ref={box} tabIndex={0} role="group" aria-label="Uploads">
      <div class="all" style={{ height: `${list.length * ROW_HEIGHT}px` }}>
        {list.slice(first, last).map((upload, index) => (
          <Row key={upload.id} upload={upload} top={(first + index) * ROW_HEIGHT} />
        ))}
      </div>
    </div>
  )
}

function Row({ upload, top }: { upload: Upload; top: number }) {
  const { id, name, size, sent, state, problem } = upload
  const open = state !== 'done' && state !== 'failed'
  const status = {
    waiting: 'Waiting',
    // The server hashes what the bucket received, which takes as long as reading it.
    uploading: size > 0 && sent === size ? 'Finishing…' : `${percent(size ? sent / size : 0)} of ${bytes(size)}`,
    paused: `Paused at ${percent(size ? sent / size : 0)}`,
    retrying: 'Reconnecting…',
    done: bytes(size),
    failed: problem ?? 'Failed',
  }[state]
  return (
    <div class={`upload ${state}`} style={{ transform: `translateY(${top}px)` }}>
      <div class="what">
        <span class="name" title={name}>
          {name}
        </span>
        <span class="hint" title={status}>
          {status}
        </span>
        {open && sent > 0 && <progress value={sent} max={size || 1} aria-label={name} />}
      </div>
      {state === 'done' && <Icon name="check" size={18} />}
      {open && (
        <button
          type="button"
          class="quiet only-icon"
          aria-label={`${state === 'paused' ? 'Resume' : 'Pause'} ${name}`}
          onClick={async () => (await queue()).pauseOrResume(id)}
        >
          <Icon name={state === 'paused' ? 'play' : 'pause'} size={18} />
        </button>
      )}
      {state === 'failed' && (
        <button
          type="button"
          class="quiet only-icon"
          aria-label={`Retry ${name}`}
          onClick={async () => (await queue()).retry(id)}
        >
          <Icon name="retry" size={18} />
        </button>
      )}
      {state !== 'done' && (
        <button
          type="button"
          class="quiet only-icon"
          aria-label={`Cancel ${name}`}
          onClick={async () => (await queue()).cancel(id)}
        >
          <Icon name="close" size={18} />
        </button>
      )}
    </div>
  )
}

/** A page cannot open local files by itself: the user has to allow it, or to select the file again. */
function InterruptedRow({ upload }: { upload: InterruptedUpload }) {
  const selectAgain = () =>
    selectFiles(upload.path, (selected) => {
      const same = selected.filter(({ file }) => file.name === upload.name && file.size === upload.size)
      if (same.length > 0) void send(same)
      else showError(`That’s a different file. Select ${upload.name} (${bytes(upload.size)}).`)
    })
  const resume = async (handle: FileSystemFileHandle) => {
    const file = await reopenFile(handle).catch(() => null)
    const restart = async () => {
      await discard(upload)
      if (file) await send([{ file, path: upload.path, handle }])
    }
    if (!file) {
      interrupted.value = interrupted.value.map((other) => (other === upload ? { ...other, handle: undefined } : other))
      showError(`Can’t open ${upload.name}. Select the file again.`)
    } else if (upload.id.endsWith(`-${file.size}-${file.lastModified}`)) {
      await send([{ file, path: upload.path, handle }])
    } else {
      // The bytes that arrived belong to the previous version.
      const action = { label: 'Start over', run: () => restart().catch(showError) }
      showError(`${upload.name} changed since the upload started.`, action)
    }
  }
  const { handle } = upload
  return (
    <div class="interrupted">
      <div class="what">
        <span class="name" title={upload.name}>
          {upload.name}
        </span>
        <span class="hint">Interrupted at {percent(upload.size ? upload.sent / upload.size : 0)}</span>
      </div>
      {handle ? (
        <button type="button" aria-label={`Resume ${upload.name}`} onClick={() => resume(handle)}>
          Resume
        </button>
      ) : (
        <button type="button" aria-label={`Select file to resume: ${upload.name}`} onClick={selectAgain}>
          Select file
        </button>
      )}
      <button
        type="button"
        class="quiet only-icon"
        aria-label={`Discard upload of ${upload.name}`}
        onClick={() => discard(upload).catch(showError)}
      >
        <Icon name="close" size={18} />
      </button>
    </div>
  )
}
