// The frame around the screens: who one is, where one can go.
import { lazy, Suspense } from 'preact/compat'
import { useEffect, useState } from 'preact/hooks'
import { words } from './api/client'
import { Avatar } from './components/avatar'
import { DialogHost } from './components/dialog'
import { Icon, type IconName, Logo } from './components/icon'
import { MenuHost } from './components/menu'
import { Failed, Loading } from './components/states'
import { Toasts } from './components/toast'
import { follow, place } from './router'
import Files from './screens/files'
import { SignIn } from './screens/sign-in'
import { UsageMeter } from './screens/usage'
import { me, refreshMe } from './session'
import { DropTarget } from './uploads/drop-target'
import { Uploads } from './uploads/panel'

// What few people need at once is fetched when they do.
const Account = lazy(() => import('./screens/account'))
const Links = lazy(() => import('./screens/links'))
const Trash = lazy(() => import('./screens/trash'))
const OwnTrail = lazy(() => import('./activity/activity-screen'))
const Admin = lazy(() => import('./screens/admin'))

export function App() {
  const [error, setError] = useState<unknown>(null)
  const begin = () => {
    setError(null)
    refreshMe().catch((problem) => me.value === undefined && setError(problem))
  }
  useEffect(begin, [])
  useEffect(() => {
    document.addEventListener('click', follow)
    return () => document.removeEventListener('click', follow)
  }, [])
  return (
    <>
      {error ? (
        <Failed error={words(error)} retry={begin} />
      ) : me.value === undefined ? (
        <Loading />
      ) : me.value === null ? (
        <SignIn />
      ) : (
        <Inside />
      )}
      <DialogHost />
      <MenuHost />
      <Toasts />
    </>
  )
}

function Inside() {
  return (
    <>
      <a class="skip" href="#main" data-load="">
        Skip to the content
      </a>
      <div class="frame">
        <Side />
        <main id="main" tabIndex={-1}>
          <Suspense fallback={<Loading />}>
            <Screen />
          </Suspense>
        </main>
      </div>
      <Uploads />
      <DropTarget />
    </>
  )
}

function Screen() {
  const at = place.value
  switch (at.screen) {
    case 'account':
      return <Account />
    case 'admin':
      return <Admin tab={at.tab} user={at.user} />
    case 'links':
      return <Links />
    case 'trail':
      return <OwnTrail />
    case 'trash':
      return <Trash />
    case 'search':
      return <Files path="" query={at.query} />
    case 'files':
      return <Files path={at.path} query="" />
  }
}

function Side() {
  const user = me.value
  const at = place.value.screen
  const entries: [href: string, label: string, icon: IconName, current: boolean][] = [
    ['/', 'Files', 'files', at === 'files' || at === 'search'],
    ['/links', 'Links', 'link', at === 'links'],
    ['/trash', 'Trash', 'trash', at === 'trash'],
  ]
  if (user?.is_admin) entries.push(['/admin', 'Admin', 'shield', at === 'admin'])
  return (
    <div class="side">
      <a class="brand" href="/" aria-label="Strongroom, to your files">
        <Logo /> <span>Strongroom</span>
      </a>
      <nav aria-label="Strongroom">
        {entries.map(([href, label, icon, current]) => (
          <a key={href} href={href} aria-current={current ? 'page' : undefined}>
            <Icon name={icon} /> <span>{label}</span>
          </a>
        ))}
        <a class="me" href="/account" aria-current={at === 'account' || at === 'trail' ? 'page' : undefined}>
          {user && <Avatar id={user.id} name={user.name} size={24} />} <span>{user?.name}</span>
        </a>
      </nav>
      <UsageMeter />
    </div>
  )
}
