// The dialog to share a file. Its content is fetched when it is first opened.
import { lazy, Suspense } from 'preact/compat'
import type { StoredFile } from '../api/client'
import { Dialog, showDialog } from '../components/dialog'
import { Loading } from '../components/states'
import type { SharingTab } from './sharing'

const Sharing = lazy(() => import('./sharing'))

export function shareFile(file: StoredFile, tab: SharingTab = 'links') {
  showDialog(() => (
    <Dialog title={`Share ${file.name}`} wide>
      <Suspense fallback={<Loading />}>
        <Sharing file={file} initialTab={tab} />
      </Suspense>
    </Dialog>
  ))
}
