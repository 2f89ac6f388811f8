// Runs after the build: compresses the output of Vite and writes the list of files that embed.rs includes.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname, join, relative, sep } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
}

const brotli = (bytes) =>
  brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: bytes.length > 1_000_000 ? 9 : 11,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  })

/** A page whose paths begin at the root, because it is served at more than one path. */
const fromRoot = (html) => Buffer.from(html.replaceAll('="./', '="/'))

/** Writes the list to `out`; the files are in `out/dist`. */
function embed(out) {
  const root = join(out, 'dist')
  const packed = join(out, 'packed')
  mkdirSync(packed, { recursive: true })
  const files = readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
  const assets = files.map((file) => {
    const type = TYPES[extname(file)]
    if (!type) throw new Error(`${file}: unknown file type; add it to TYPES`)
    const bytes = type === TYPES['.html'] ? fromRoot(readFileSync(file, 'utf8')) : readFileSync(file)
    const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 32)
    const plain = join(packed, `${hash}${extname(file)}`)
    writeFileSync(plain, bytes)
    const variant = (name, compressed) => {
      if (compressed.length >= bytes.length) return 'None'
      const target = join(packed, `${hash}.${name}`)
      writeFileSync(target, compressed)
      return `Some(include_bytes!(${JSON.stringify(target)}))`
    }
    return {
      path: relative(root, file).split(sep).join('/'),
      code: `content_type: ${JSON.stringify(type)}, etag: ${JSON.stringify(`"${hash}"`)}, plain: include_bytes!(${JSON.stringify(plain)}), brotli: ${variant('br', brotli(bytes))}, gzip: ${variant('gz', gzipSync(bytes, { level: 9 }))}`,
    }
  })
  assets.sort((a, b) => (a.path < b.path ? -1 : 1))
  const entries = assets.map(({ path, code }) => `Asset { path: ${JSON.stringify(path)}, ${code} },\n`)
  writeFileSync(join(out, 'assets.rs'), `&[\n${entries.join('')}]\n`)
  writeFileSync(join(out, 'is_built.rs'), 'true')
}

embed(process.env.STRONGROOM_OUT ?? join(import.meta.dirname, 'dist'))
