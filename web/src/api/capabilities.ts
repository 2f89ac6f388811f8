// What this server can do and how much it accepts in one request. Requested once, not before each list.
import { api, request, type ServerCapabilities } from './client'

let cached: Promise<ServerCapabilities> | null = null

export function getCapabilities(): Promise<ServerCapabilities> {
  cached ??= request(api.GET('/v1/capabilities')).catch((error) => {
    cached = null
    throw error
  })
  return cached
}

/** Items to request in one page: as many as wanted, within the server's limit. */
export async function pageSize(wanted: number): Promise<number> {
  return Math.min(wanted, (await getCapabilities()).page_limit)
}

/** Files to send in one batch: as many as wanted, within the server's limit. */
export async function batchSize(wanted: number): Promise<number> {
  return Math.min(wanted, (await getCapabilities()).batch_limit)
}
