// The bytes of one request of an upload: what the server offers, and less where a proxy in front of it refuses that.

/** The usual limit of a proxy that nobody has configured. Less is never tried. */
const SMALLEST = 1024 * 1024
/** Where to begin if the server has not told. */
const DEFAULT = 64 * 1024 * 1024

/** The size to try after a request was refused as too large; null if a smaller one would not help. */
export function smallerChunk(refused: number): number | null {
  const size = Number.isFinite(refused) ? refused : DEFAULT
  return size > SMALLEST ? Math.max(SMALLEST, Math.floor(size / 4)) : null
}
