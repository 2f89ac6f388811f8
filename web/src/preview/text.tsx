// Shows the start of a text file as plain text.
import { contentUrl, Problem, type StoredFile } from '../api/client'
import { Failed, Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { bytes } from '../format'

const LIMIT = 256 * 1024

export function Text({ file }: { file: StoredFile }) {
  const { data, error, reload } = useLoad(async () => {
    const response = await fetch(contentUrl(file.id), { headers: { Range: `bytes=0-${LIMIT - 1}` } })
    if (!response.ok) throw Problem.from(response.status, await response.json().catch(() => null))
    const text = new TextDecoder().decode(await response.arrayBuffer())
    // The cut may be in the middle of a character.
    return file.size > LIMIT ? text.replace(/\ufffd$/, '') : text
  }, [file.id])
  if (error) return <Failed error={error} retry={reload} />
  if (data === undefined) return <Loading />
  return (
    <div class="page-text" tabIndex={0} role="region" aria-label="File contents">
      <pre>{data}</pre>
      {file.size > LIMIT && <p class="hint">Showing the first {bytes(LIMIT)}. Download the file to read all of it.</p>}
    </div>
  )
}
