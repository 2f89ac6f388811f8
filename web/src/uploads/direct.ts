// Big files as parts straight to the bucket. The server is asked to begin, signs the parts, and makes them the file;
// what has arrived is in the bucket, so a pause, a restart and a reload cost the part that was on its way.
// This module is fetched with the first file that goes this way.
import AwsS3 from '@uppy/aws-s3'
import Uppy, { type Body } from '@uppy/core'
import { api, ask, Problem, words } from '../api/client'
import { refreshUsage } from '../session'
import {
  AT_ONCE,
  arrived,
  change,
  described,
  type Each,
  failed,
  follow,
  now,
  RETRIES,
  remove,
  type Sent,
} from './progress-list'
import { forgetDirect, giveUp, keepDirect, keptDirect, stillOpen } from './state'
import type { Chosen } from './types'

/** Bytes in a part; larger where a file would have more than a bucket takes. */
const PART = 8 * 1024 * 1024
const MOST_PARTS = 10_000
/** How long a bucket may show no sign of life before it is out of reach. */
const PATIENCE = 10_000

/** Whether a file is worth it: more than one part. */
export const isBig = (file: File) => file.size > PART

type Job = {
  chosen: Chosen
  id: string
  state: 'waiting' | 'running' | 'resting'
  /** The server's id of it, once it has begun. */
  upload?: string
  /** Whether the plugin is at it, be it that it pauses. After an error it has to be told to try again. */
  live: boolean
  /** Failures since the last part. */
  tries: number
  timer?: ReturnType<typeof setTimeout>
}

/** Uploads a file through the server instead. */
let fallback: (chosen: Chosen) => void = () => {}

export function setFallback(upload: typeof fallback) {
  fallback = upload
}

const jobs = new Map<string, Job>()
/** Whether the bucket takes what comes from this page. Known once a first part has arrived there, or has not. */
let admitted: boolean | undefined

// Which files are on their way is decided here: the plugin's own queue knows nothing of pauses.
const uppy = new Uppy<Sent, Body>({ autoProceed: true, allowMultipleUploadBatches: true })
uppy.use(AwsS3, {
  companionEndpoint: '/v1/companion',
  shouldUseMultipart: true,
  getChunkSize: ({ size }) => partSize(size),
  limit: 0,
})
follow(uppy)

function partSize(size: number): number {
  return Math.max(PART, Math.ceil(size / MOST_PARTS))
}

export const has = (id: string) => jobs.has(id)

export function add(id: string, chosen: Chosen) {
  if (jobs.has(id)) return
  if (uppy.getFile(id)) uppy.removeFile(id)
  jobs.set(id, { chosen, id, state: 'waiting', live: false, tries: 0 })
  next()
}

export function pause(id: string) {
  const job = jobs.get(id)
  if (!job) return
  clearTimeout(job.timer)
  job.state = 'resting'
  if (job.live) setPaused(job, true)
  change(id, { state: 'paused' })
  next()
}

/** Goes on after a pause or a failure. */
export function resume(id: string) {
  const job = jobs.get(id)
  if (job?.state !== 'resting') return
  clearTimeout(job.timer)
  job.state = 'waiting'
  change(id, { state: 'waiting', problem: undefined })
  next()
}

export function pauseAll() {
  for (const job of openJobs()) pause(job.id)
}

export function resumeAll() {
  for (const job of openJobs()) resume(job.id)
}

export function cancel(id: string) {
  const job = jobs.get(id)
  if (!job) return
  drop(job)
  remove(id)
  if (job.upload) void abandon(job, job.upload)
  next()
}

/** If the server is away, the next reload shows what is left of it. */
async function abandon({ id }: Job, upload: string) {
  try {
    await giveUp(upload)
    forgetDirect(id)
    await refreshUsage()
  } catch {}
}

function openJobs(): Job[] {
  return [...jobs.values()].filter((job) => now().get(job.id)?.state !== 'failed')
}

function drop(job: Job) {
  clearTimeout(job.timer)
  jobs.delete(job.id)
  if (uppy.getFile(job.id)) uppy.removeFile(job.id)
}

/** Sends as many as may be sent; only one until the bucket has shown that it takes any. */
function next() {
  let places = admitted ? AT_ONCE : 1
  for (const { state } of jobs.values()) if (state === 'running') places -= 1
  for (const job of jobs.values()) {
    if (places <= 0) return
    if (job.state !== 'waiting') continue
    places -= 1
    void run(job)
  }
}

async function run(job: Job) {
  if (admitted === false) return viaServer(job)
  job.state = 'running'
  try {
    job.upload ??= await begin(job)
  } catch (error) {
    if (jobs.has(job.id) && job.state === 'running') stumble(job, error)
    return
  }
  if (jobs.get(job.id) !== job) return abandon(job, job.upload)
  if (job.state !== 'running') return
  watch(job)
  if (job.live) setPaused(job, false)
  else if (uppy.getFile(job.id)) void uppy.retryUpload(job.id)
  else {
    uppy.addFile(described(job.chosen) as never)
    // The plugin goes on with what is begun, however little of it is there.
    uppy.setFileState(job.id, { s3Multipart: { uploadId: job.upload, key: job.upload } } as Partial<Each>)
  }
}

/** The server's id: of the upload that a reload cut off, if it can go on, else of a new one. */
async function begin({ id, chosen: { file, path } }: Job): Promise<string> {
  const before = keptDirect(id)
  const upload = before && (await stillOpen(before))
  if (upload && upload.part_size === partSize(file.size)) return upload.id
  const body = { mode: 'direct', name: file.name, path, size: file.size, part_size: partSize(file.size) } as const
  const begun = await ask(api.POST('/v1/uploads', { body: { ...body, content_type: file.type || undefined } }))
  keepDirect(id, { upload: begun.id, name: file.name, path, size: file.size })
  return begun.id
}

/** A bucket that is out of this browser's reach may keep it waiting for minutes. */
function watch(job: Job) {
  if (admitted !== undefined) return
  clearTimeout(job.timer)
  job.timer = setTimeout(() => job.state === 'running' && turnedAway(job), PATIENCE)
}

function setPaused({ id }: Job, paused: boolean) {
  if (Boolean(uppy.getFile(id)?.isPaused) !== paused) uppy.pauseResume(id)
}

uppy.on('upload-start', (files) => {
  for (const { id } of files) {
    const job = jobs.get(id)
    if (!job) continue
    job.live = true
    // Paused before the plugin was listening.
    queueMicrotask(() => job.state !== 'running' && setPaused(job, true))
  }
})

uppy.on('upload-progress', (file, { bytesUploaded }) => {
  const job = file && jobs.get(file.id)
  // Bytes flow: whoever refuses them does so in words.
  if (job && Number(bytesUploaded) > 0) clearTimeout(job.timer)
})

uppy.on('s3-multipart:part-uploaded', (file) => {
  const job = jobs.get(file.id)
  if (job) job.tries = 0
  if (admitted) return
  admitted = true
  next()
})

uppy.on('upload-success', (file) => {
  const job = file && jobs.get(file.id)
  if (job) done(job)
})

uppy.on('upload-error', (file, error) => {
  const job = file && jobs.get(file.id)
  if (!job) return
  job.live = false
  if (job.state === 'running') void askWhy(job, error)
})

function done(job: Job) {
  forget(job)
  drop(job)
  next()
}

function forget(job: Job) {
  forgetDirect(job.id)
  job.upload = undefined
}

/** What the plugin tells is a status at best. The server knows what became of the upload. */
async function askWhy(job: Job, error: unknown) {
  try {
    const upload = await ask(api.GET('/v1/uploads/{id}', { params: { path: { id: job.upload ?? '' } } }))
    if (jobs.get(job.id) === job && upload.file_id) {
      arrived(job.id)
      return done(job)
    }
  } catch (problem) {
    if (jobs.get(job.id) === job && job.state === 'running') stumble(job, problem)
    return
  }
  if (jobs.get(job.id) !== job || job.state !== 'running') return
  // The server answers, and no part has come through yet: it is the bucket that does not want this page.
  if (admitted === undefined && isOfBucket(error)) await turnedAway(job)
  else stumble(job, error)
}

/** Whether it was sending a part that failed, or reading its ETag, and not a request to this server. */
function isOfBucket(error: unknown): boolean {
  return error instanceof Error && ('request' in error || error.message.includes('ETag'))
}

function stumble(job: Job, error: unknown) {
  const delay = RETRIES[job.tries]
  job.tries += 1
  const status = error instanceof Problem ? error.status : 0
  const refused = status >= 400 && status < 500 && ![409, 423, 429].includes(status)
  if (status === 404 || status === 410) forget(job)
  if (refused || status === 507 || delay === undefined) {
    job.state = 'resting'
    job.tries = 0
    failed(job.id, words(error))
    next()
    return
  }
  change(job.id, { state: 'retrying' })
  job.timer = setTimeout(() => job.state === 'running' && run(job), delay)
}

/** The bucket does not take parts from this page, be it its CORS rules or the way there: all goes through the server. */
async function turnedAway(job: Job) {
  admitted = false
  await viaServer(job)
  next()
}

async function viaServer(job: Job) {
  const { upload, chosen } = job
  forget(job)
  drop(job)
  // What it reserved of the quota will be needed again.
  if (upload) await giveUp(upload).catch(() => {})
  fallback(chosen)
}
