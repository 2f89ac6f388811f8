import './styles/base.css'
import './styles/frame.css'
import './styles/files.css'
import './styles/uploads.css'
import './styles/preview.css'
import './styles/settings.css'
import { render } from 'preact'
import { App } from './app'
import './theme'

render(<App />, document.getElementById('app') as HTMLElement)
