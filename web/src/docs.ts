// The reference of the API, from the server's own description. Everything it needs comes from here.
import './no-eval'
import { createApiReference } from '@scalar/api-reference'
import '@scalar/api-reference/style.css'

createApiReference('#docs', {
  url: '/openapi.json',
  withDefaultFonts: false,
  telemetry: false,
  agent: { disabled: true },
  mcp: { disabled: true },
  hideClientButton: true,
  showDeveloperTools: 'never',
  // Requests go to this server, not through anybody's proxy.
  servers: [{ url: location.origin }],
})
