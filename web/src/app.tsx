// The frame around the screens: navigation, dialogs, notifications, uploads.
import { lazy, Suspense } from 'preact/compat'
import { useEffect, useState } from 'preact/hooks'
import { pathOf } from './base'
import { Avatar } from './components/avatar'
import { DialogHost } from './components/dialog'
import { Icon, type IconName, Logo } from './components/icon'
import { MenuHost } from './components/menu'
import { Failed, Loading } from './components/states'
import { Toasts } from './components/toast'
import { handleLinkClick, route } from './router'
import Files from './screens/files'
import { NewPassword } from './screens/new-password'
import { SignIn } from './screens/sign-in'
import { UsageMeter } from './screens/usage'
import { me, refreshMe } from './session'
import { DropTarget } from './uploads/drop-target'
import { Uploads } from './uploads/panel'

// Not needed for the first screen: fetched on first use.
const Account = lazy(() => import('./screens/account'))
const Links = lazy(() => import('./screens/links'))
const Trash = lazy(() => import('./screens/trash'))
const Activity = lazy(() => import('./activity/activity-screen'))
const Admin = lazy(() => import('./screens/admin'))

export function App() {
  const [error, setError] = useState<unknown>(null)
  const load = () => {
    setError(null)
    refreshMe().catch((problem) => me.value === undefined && setError(problem))
  }
  useEffect(load, [])
  useEffect(() => {
    document.addEventListener('click', handleLinkClick)
    return () => document.removeEventListener('click', handleLinkClick)
  }, [])
  return (
    <>
      {error ? (
        <Failed error={error} retry={load} />
      ) : me.value === undefined ? (
        <Loading />
      ) : me.value === null ? (
        <SignIn />
      ) : me.value.must_change_password ? (
        <NewPassword />
      ) : (
        <SignedIn />
      )}
      <DialogHost />
      <MenuHost />
      <Toasts />
    </>
  )
}

function SignedIn() {
  return (
    <>
      <a class="skip" href="#main" data-load="">
        Skip to content
      </a>
      <div class="frame">
        <Sidebar />
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
  const current = route.value
  switch (current.screen) {
    case 'account':
      return <Account />
    case 'admin':
      return <Admin tab={current.tab} user={current.user} />
    case 'links':
      return <Links />
    case 'activity':
      return <Activity />
    case 'trash':
      return <Trash />
    case 'search':
      return <Files path="" query={current.query} />
    case 'files':
      return <Files path={current.path} query="" />
  }
}

function Sidebar() {
  const user = me.value
  const { screen } = route.value
  const entries: [href: string, label: string, icon: IconName, current: boolean][] = [
    [pathOf('/'), 'Files', 'files', screen === 'files' || screen === 'search'],
    [pathOf('/links'), 'Links', 'link', screen === 'links'],
    [pathOf('/trash'), 'Trash', 'trash', screen === 'trash'],
  ]
  if (user?.is_admin) entries.push([pathOf('/admin'), 'Admin', 'shield', screen === 'admin'])
  return (
    <div class="side">
      <a class="brand" href={pathOf('/')} aria-label="Strongroom home">
        <Logo /> <span>Strongroom</span>
      </a>
      <nav aria-label="Main">
        {entries.map(([href, label, icon, current]) => (
          <a key={href} href={href} aria-current={current ? 'page' : undefined}>
            <Icon name={icon} /> <span>{label}</span>
          </a>
        ))}
        <a
          class="me"
          href={pathOf('/account')}
          aria-current={screen === 'account' || screen === 'activity' ? 'page' : undefined}
        >
          {user && <Avatar id={user.id} name={user.name} size={24} />} <span>{user?.name}</span>
        </a>
      </nav>
      <UsageMeter />
    </div>
  )
}
