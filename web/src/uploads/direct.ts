// Direct uploads: large files go to the bucket in parts. The server creates the upload, signs the parts and assembles the
// file. Parts that have arrived stay in the bucket, so a pause, a restart or a reload costs only the part in transfer.
// This module is fetched with the first file that is uploaded directly.
import AwsS3 from '@uppy/aws-s3'
import Uppy, { type Body } from '@uppy/core'
import { api, errorMessage, Problem, request } from '../api/client'
import { pathOf } from '../base'
import { refreshUsage } from '../session'
import {
  CONCURRENT_UPLOADS,
  currentUploads,
  markDone,
  markFailed,
  RETRY_DELAYS,
  removeFromList,
  toUppyFile,
  trackProgress,
  type UploadMeta,
  updateUpload,
} from './progress-list'
import { cancelOnServer, findOpenUpload, removeDirectUpload, saveDirectUpload, savedDirectUpload } from './state'
import type { SelectedFile } from './types'

/** Bytes per part; more for files that would have too many parts. */
const PART_SIZE = 8 * 1024 * 1024
const MAX_PARTS = 10_000
/** Milliseconds without progress of the first part after which the bucket counts as unreachable. */
const FIRST_PART_TIMEOUT = 10_000

/** Whether a file has more than one part. */
export const isLargeEnough = (file: File) => file.size > PART_SIZE

type Job = {
  selected: SelectedFile
  id: string
  state: 'waiting' | 'running' | 'stopped'
  /** The server's id, once the upload has been created. */
  upload?: string
  /** Whether the plugin is working on it, paused or not. After an error it retries only on request. */
  active: boolean
  /** Failures since the last part. */
  failures: number
  timer?: ReturnType<typeof setTimeout>
}

/** Uploads a file through the server instead. */
let fallback: (file: SelectedFile) => void = () => {}

export function setFallback(upload: typeof fallback) {
  fallback = upload
}

const jobs = new Map<string, Job>()
/** Whether the bucket accepts parts from this page. Unknown until a first part has succeeded or failed. */
let bucketWorks: boolean | undefined

// The concurrency is limited here: the plugin's own queue does not account for pauses.
const uppy = new Uppy<UploadMeta, Body>({ autoProceed: true, allowMultipleUploadBatches: true })
uppy.use(AwsS3, {
  companionEndpoint: pathOf('/v1/companion'),
  shouldUseMultipart: true,
  getChunkSize: ({ size }) => partSize(size),
  limit: 0,
})
trackProgress(uppy)

function partSize(size: number): number {
  return Math.max(PART_SIZE, Math.ceil(size / MAX_PARTS))
}

export const has = (id: string) => jobs.has(id)

export function add(id: string, selected: SelectedFile) {
  if (jobs.has(id)) return
  if (uppy.getFile(id)) uppy.removeFile(id)
  jobs.set(id, { selected, id, state: 'waiting', active: false, failures: 0 })
  startNext()
}

export function pause(id: string) {
  const job = jobs.get(id)
  if (!job) return
  clearTimeout(job.timer)
  job.state = 'stopped'
  if (job.active) setPaused(job, true)
  updateUpload(id, { state: 'paused' })
  startNext()
}

/** Resumes after a pause or a failure. */
export function resume(id: string) {
  const job = jobs.get(id)
  if (job?.state !== 'stopped') return
  clearTimeout(job.timer)
  job.state = 'waiting'
  updateUpload(id, { state: 'waiting', problem: undefined })
  startNext()
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
  removeJob(job)
  removeFromList(id)
  if (job.upload) void abandon(job, job.upload)
  startNext()
}

/** Cancels the upload on the server. If that fails, the next reload shows it as interrupted. */
async function abandon({ id }: Job, upload: string) {
  try {
    await cancelOnServer(upload)
    removeDirectUpload(id)
    await refreshUsage()
  } catch {}
}

function openJobs(): Job[] {
  return [...jobs.values()].filter((job) => currentUploads().get(job.id)?.state !== 'failed')
}

function removeJob(job: Job) {
  clearTimeout(job.timer)
  jobs.delete(job.id)
  if (uppy.getFile(job.id)) uppy.removeFile(job.id)
}

/** Starts as many jobs as may run: one until the bucket has accepted a part, then several. */
function startNext() {
  let free = bucketWorks ? CONCURRENT_UPLOADS : 1
  for (const { state } of jobs.values()) if (state === 'running') free -= 1
  for (const job of jobs.values()) {
    if (free <= 0) return
    if (job.state !== 'waiting') continue
    free -= 1
    void run(job)
  }
}

async function run(job: Job) {
  if (bucketWorks === false) return uploadThroughServer(job)
  job.state = 'running'
  try {
    job.upload ??= await findOrCreateUpload(job)
  } catch (error) {
    if (jobs.has(job.id) && job.state === 'running') handleFailure(job, error)
    return
  }
  if (jobs.get(job.id) !== job) return abandon(job, job.upload)
  if (job.state !== 'running') return
  startFirstPartTimeout(job)
  if (job.active) setPaused(job, false)
  else if (uppy.getFile(job.id)) void uppy.retryUpload(job.id)
  else {
    uppy.addFile(toUppyFile(job.selected))
    // With these, the plugin resumes the upload instead of creating another.
    uppy.setFileState(job.id, { s3Multipart: { uploadId: job.upload, key: job.upload } })
  }
}

/** The server's id of the upload that a reload interrupted, if it can be resumed, otherwise of a new one. */
async function findOrCreateUpload({ id, selected: { file, path } }: Job): Promise<string> {
  const saved = savedDirectUpload(id)
  const upload = saved && (await findOpenUpload(saved))
  if (upload && upload.part_size === partSize(file.size)) return upload.id
  const body = { mode: 'direct', name: file.name, path, size: file.size, part_size: partSize(file.size) } as const
  const created = await request(api.POST('/v1/uploads', { body: { ...body, content_type: file.type || undefined } }))
  saveDirectUpload(id, { upload: created.id, name: file.name, path, size: file.size })
  return created.id
}

/** Requests to a bucket that this browser cannot reach may hang for minutes. */
function startFirstPartTimeout(job: Job) {
  if (bucketWorks !== undefined) return
  clearTimeout(job.timer)
  job.timer = setTimeout(() => job.state === 'running' && disableBucket(job), FIRST_PART_TIMEOUT)
}

function setPaused({ id }: Job, paused: boolean) {
  if (Boolean(uppy.getFile(id)?.isPaused) !== paused) uppy.pauseResume(id)
}

uppy.on('upload-start', (files) => {
  for (const { id } of files) {
    const job = jobs.get(id)
    if (!job) continue
    job.active = true
    // The job may have been paused before the plugin was listening.
    queueMicrotask(() => job.state !== 'running' && setPaused(job, true))
  }
})

uppy.on('upload-progress', (file, { bytesUploaded }) => {
  const job = file && jobs.get(file.id)
  // The bucket is reachable: if it refuses the part, it will answer with an error.
  if (job && Number(bytesUploaded) > 0) clearTimeout(job.timer)
})

uppy.on('s3-multipart:part-uploaded', (file) => {
  const job = jobs.get(file.id)
  if (job) job.failures = 0
  if (bucketWorks) return
  bucketWorks = true
  startNext()
})

uppy.on('upload-success', (file) => {
  const job = file && jobs.get(file.id)
  if (job) finish(job)
})

uppy.on('upload-error', (file, error) => {
  const job = file && jobs.get(file.id)
  if (!job) return
  job.active = false
  if (job.state === 'running') void investigate(job, error)
})

function finish(job: Job) {
  forgetUpload(job)
  removeJob(job)
  startNext()
}

function forgetUpload(job: Job) {
  removeDirectUpload(job.id)
  job.upload = undefined
}

/** The plugin reports a status at best, so the server is asked for the state of the upload. */
async function investigate(job: Job, error: unknown) {
  try {
    const upload = await request(api.GET('/v1/uploads/{id}', { params: { path: { id: job.upload ?? '' } } }))
    if (jobs.get(job.id) === job && upload.file_id) {
      markDone(job.id)
      return finish(job)
    }
  } catch (problem) {
    if (jobs.get(job.id) === job && job.state === 'running') handleFailure(job, problem)
    return
  }
  if (jobs.get(job.id) !== job || job.state !== 'running') return
  // The server responds but no part has arrived: the bucket refuses this page.
  if (bucketWorks === undefined && isBucketError(error)) await disableBucket(job)
  else handleFailure(job, error)
}

/** Whether the request of a part failed, or its ETag is not readable, as opposed to a request to this server. */
function isBucketError(error: unknown): boolean {
  return error instanceof Error && ('request' in error || error.message.includes('ETag'))
}

/** Retries later, unless the request was refused. */
function handleFailure(job: Job, error: unknown) {
  const delay = RETRY_DELAYS[job.failures]
  job.failures += 1
  const status = error instanceof Problem ? error.status : 0
  const isRefused = status >= 400 && status < 500 && ![409, 423, 429].includes(status)
  if (status === 404 || status === 410) forgetUpload(job)
  if (isRefused || status === 507 || delay === undefined) {
    job.state = 'stopped'
    job.failures = 0
    markFailed(job.id, errorMessage(error))
    startNext()
    return
  }
  updateUpload(job.id, { state: 'retrying' })
  job.timer = setTimeout(() => job.state === 'running' && run(job), delay)
}

/** The bucket accepts no parts from this page, because of its CORS rules or the network: the server is used instead. */
async function disableBucket(job: Job) {
  bucketWorks = false
  await uploadThroughServer(job)
  startNext()
}

async function uploadThroughServer(job: Job) {
  const { upload, selected } = job
  forgetUpload(job)
  removeJob(job)
  // The quota that it reserved is needed by the new upload.
  if (upload) await cancelOnServer(upload).catch(() => {})
  fallback(selected)
}
