// The API reference, rendered from the server's own description. Everything it loads comes from this server.
import './no-eval'
import { createApiReference } from '@scalar/api-reference'
import '@scalar/api-reference/style.css'
import { base, pathOf } from './base'

createApiReference('#docs', {
  url: pathOf('/openapi.json'),
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: 'never',
  // Send requests to this server, not through a third-party proxy.
  servers: [{ url: location.origin + base }],
})
