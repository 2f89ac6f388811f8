// The dialog with the activity of a file. Its content is fetched when it is first opened.
import { lazy, Suspense } from 'preact/compat'
import { Dialog, showDialog } from '../components/dialog'
import { Loading } from '../components/states'

const FileActivity = lazy(() => import('./file-activity'))

/** Shows the activity of a file, which may be in the trash. */
export function showActivity(file: { id: string; name: string }) {
  showDialog(() => (
    <Dialog title={`Activity of ${file.name}`} wide>
      <Suspense fallback={<Loading />}>
        <FileActivity id={file.id} />
      </Suspense>
    </Dialog>
  ))
}
