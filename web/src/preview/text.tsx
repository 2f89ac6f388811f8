// The beginning of a text, as text.
import { contentUrl, Problem, type StoredFile } from '../api/client'
import { Failed, Loading } from '../components/states'
import { useLoad } from '../components/use-load'
import { bytes } from '../format'

const MOST = 256 * 1024

export function Text({ file }: { file: StoredFile }) {
  const { data, error, reload } = useLoad(async () => {
    const answer = await fetch(contentUrl(file.id), { headers: { Range: `bytes=0-${MOST - 1}` } })
    if (!answer.ok) throw Problem.of(answer.status, await answer.json().catch(() => null))
    const text = new TextDecoder().decode(await answer.arrayBuffer())
    // The cut may be in the middle of a character.
    return file.size > MOST ? text.replace(/\ufffd$/, '') : text
  }, [file.id])
  if (error) return <Failed error={error} retry={reload} />
  if (data === undefined) return <Loading />
  return (
    <div class="page-text" tabIndex={0} role="region" aria-label="The text">
      <pre>{data}</pre>
      {file.size > MOST && <p class="hint">These are the first {bytes(MOST)}. Download the file to read it all.</p>}
    </div>
  )
}
