// The dialog with the activity of a file. Its content is fetched when it is first opened.
import { lazy, Suspense } from 'preact/compat'
import { Dialog, showDialog } from '../components/dialog'
import { Loading } from '../components/states'

const FileTrail = lazy(() => import('./file-activity'))

/** What was done with a file, which may be deleted by now. */
export function showTrail(file: { id: string; name: string }) {
  showDialog(() => (
    <Dialog title={`Trail of ${file.name}`} wide>
      <Suspense fallback={<Loading />}>
        <FileTrail id={file.id} />
      </Suspense>
    </Dialog>
  ))
}
