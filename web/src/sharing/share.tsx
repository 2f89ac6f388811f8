// What goes on around a file: giving it to somebody, who can read it, what was done with it. Fetched when it is asked for.
import { lazy, Suspense } from 'preact/compat'
import type { StoredFile } from '../api/client'
import { Dialog, showDialog } from '../components/dialog'
import { Loading } from '../components/states'
import type { Way } from './sharing'

const Sharing = lazy(() => import('./sharing'))

export function shareFile(file: StoredFile, way: Way = 'link') {
  showDialog(() => (
    <Dialog title={`Share ${file.name}`} wide>
      <Suspense fallback={<Loading />}>
        <Sharing file={file} begin={way} />
      </Suspense>
    </Dialog>
  ))
}
