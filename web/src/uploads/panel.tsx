// The uploads, at the edge of the page: how far, how fast, and what can be done about them.
import { computed, signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import { Icon } from '../components/icon'
import { complain } from '../components/toast'
import { useRows } from '../files/virtual'
import { bytes, count, duration, percent } from '../format'
import { openAgain } from './file-handles'
import { chooseFiles, upload as send } from './select-files'
import { findInterrupted, forget, type Interrupted, interrupted, isPaused, speed, type Upload, uploads } from './state'

const ROW = 56
const isOpen = signal(true)

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
      ? `${isPaused.value ? 'Paused' : 'Uploading'} ${count(open, 'file')}`
      : failed > 0
        ? `${count(failed, 'upload')} failed`
        : all > 0
          ? `${count(done, 'file')} uploaded`
          : `${count(interrupted.value.length, 'upload')} to finish`
  return (
    <aside class="uploads" aria-label="Uploads">
      <header>
        <div>
          <h2>{title}</h2>
          {open > 0 && (
            <p class="hint">
              {retrying > 0
                ? 'The server is away. It goes on as soon as it is back.'
                : progress(sent, size, isPaused.value ? 0 : speed.value)}
            </p>
          )}
        </div>
        {open > 0 && (
          <button
            type="button"
            class="quiet only-icon"
            aria-label={isPaused.value ? 'Go on with all' : 'Pause all'}
            onClick={async () => (isPaused.value ? (await queue()).resumeAll() : (await queue()).pauseAll())}
          >
            <Icon name={isPaused.value ? 'play' : 'pause'} />
          </button>
        )}
        <button
          type="button"
          class="quiet only-icon"
          aria-expanded={isOpen.value}
          aria-label={isOpen.value ? 'Show less' : 'Show the uploads'}
          onClick={() => {
            isOpen.value = !isOpen.value
          }}
        >
          <Icon name={isOpen.value ? 'down' : 'up'} />
        </button>
        {open === 0 && all > 0 && (
          <button
            type="button"
            class="quiet only-icon"
            aria-label="Close the list of uploads"
            onClick={async () => (await queue()).clearDone()}
          >
            <Icon name="close" />
          </button>
        )}
      </header>
      {open > 0 && <progress value={sent} max={size || 1} aria-label="All uploads" />}
      {isOpen.value && (
        <>
          {interrupted.value.map((upload) => (
            <Unfinished key={upload.key} upload={upload} />
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

/** What needs attention first, what is done last. */
function ordered(all: ReadonlyMap<string, Upload>): Upload[] {
  const rank = { failed: 0, going: 1, retrying: 1, paused: 2, waiting: 3, done: 4 }
  return [...all.values()].sort((a, b) => rank[a.state] - rank[b.state])
}

function progress(sent: number, size: number, rate: number): string {
  const far = `${bytes(sent)} of ${bytes(size)}`
  if (rate < 1) return far
  return `${far} · ${bytes(rate)}/s · ${duration((size - sent) / rate)} left`
}

function Rows({ list }: { list: Upload[] }) {
  const { box, first, last } = useRows(list.length, ROW)
  return (
    <div class="upload-rows" ref={box} tabIndex={0} role="group" aria-label="Each upload">
      <div class="all" style={{ height: `${list.length * ROW}px` }}>
        {list.slice(first, last).map((upload, index) => (
          <Row key={upload.id} upload={upload} top={(first + index) * ROW} />
        ))}
      </div>
    </div>
  )
}

function Row({ upload, top }: { upload: Upload; top: number }) {
  const { id, name, size, sent, state, problem } = upload
  const open = state !== 'done' && state !== 'failed'
  const word = {
    waiting: 'Waiting',
    // The server hashes what went to the bucket, and that takes as long as reading it.
    going: size > 0 && sent === size ? 'Being checked' : `${percent(size ? sent / size : 0)} of ${bytes(size)}`,
    paused: `Paused at ${percent(size ? sent / size : 0)}`,
    retrying: 'Waiting for the server',
    done: bytes(size),
    failed: problem ?? 'Failed',
  }[state]
  return (
    <div class={`upload ${state}`} style={{ transform: `translateY(${top}px)` }}>
      <div class="what">
        <span class="name" title={name}>
          {name}
        </span>
        <span class="hint" title={word}>
          {word}
        </span>
        {open && sent > 0 && <progress value={sent} max={size || 1} aria-label={name} />}
      </div>
      {state === 'done' && <Icon name="check" size={18} />}
      {open && (
        <button
          type="button"
          class="quiet only-icon"
          aria-label={`${state === 'paused' ? 'Go on with' : 'Pause'} ${name}`}
          onClick={async () => (await queue()).pauseOrResume(id)}
        >
          <Icon name={state === 'paused' ? 'play' : 'pause'} size={18} />
        </button>
      )}
      {state === 'failed' && (
        <button
          type="button"
          class="quiet only-icon"
          aria-label={`Try ${name} again`}
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

/** A page may not open a file of the disk by itself: it asks for leave, or to be shown the file once more. */
function Unfinished({ upload }: { upload: Interrupted }) {
  const chooseAgain = () =>
    chooseFiles(upload.path, (chosen) => {
      const same = chosen.filter(({ file }) => file.name === upload.name && file.size === upload.size)
      if (same.length === 0) complain(new Error(`That is another file. Choose ${upload.name}, ${bytes(upload.size)}.`))
      else void send(same)
    })
  const resume = async (handle: FileSystemFileHandle) => {
    const file = await openAgain(handle).catch(() => null)
    if (!file) {
      interrupted.value = interrupted.value.map((other) => (other === upload ? { ...other, handle: undefined } : other))
      complain(new Error(`${upload.name} could not be opened. Choose it again.`))
    } else if (upload.id.endsWith(`-${file.size}-${file.lastModified}`)) {
      await send([{ file, path: upload.path, handle }])
    } else {
      // Its bytes do not go with those that arrived.
      complain(new Error(`${upload.name} has changed since. Give this up, and upload it anew.`))
    }
  }
  const { handle } = upload
  return (
    <div class="unfinished">
      <div class="what">
        <span class="name" title={upload.name}>
          {upload.name}
        </span>
        <span class="hint">
          Stopped at {percent(upload.size ? upload.sent / upload.size : 0)} of {bytes(upload.size)}
        </span>
      </div>
      {handle ? (
        <button type="button" aria-label={`Resume ${upload.name}`} onClick={() => resume(handle)}>
          Resume
        </button>
      ) : (
        <button type="button" aria-label={`Choose it again to go on: ${upload.name}`} onClick={chooseAgain}>
          Choose it again
        </button>
      )}
      <button
        type="button"
        class="quiet only-icon"
        aria-label={`Give ${upload.name} up`}
        onClick={() => forget(upload).catch(complain)}
      >
        <Icon name="close" size={18} />
      </button>
    </div>
  )
}
