// Generates TypeScript clients of openapi.json: the types of openapi-fetch, and a client of Hey API.
import { readFileSync, writeFileSync } from 'node:fs'
import { createClient } from '@hey-api/openapi-ts'
import openapiTS, { astToString } from 'openapi-typescript'
import ts from 'typescript'

const document = process.argv[2]

// As the documentation of openapi-typescript recommends: a Blob for binary content.
const blob = ts.factory.createTypeReferenceNode('Blob')
const types = await openapiTS(JSON.parse(readFileSync(document, 'utf8')), {
  transform: (schema) => (schema.format === 'binary' ? blob : undefined),
})
writeFileSync('openapi-types.ts', astToString(types))

await createClient({
  input: document,
  output: { path: 'hey-api', module: { extension: '.js' } },
  plugins: ['@hey-api/client-fetch', '@hey-api/sdk', '@hey-api/typescript'],
  logs: { level: 'error' },
})
