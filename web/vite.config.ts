import { join } from 'node:path'
import { defineConfig } from 'vite'

// Set by the build script of Cargo.
const out = process.env.STRONGROOM_OUT ?? join(import.meta.dirname, 'dist')

// The page and the API reference are separate builds, so that neither loads code of the other.
export default defineConfig(({ mode }) => {
  const docs = mode === 'docs'
  return {
    // Modules find each other wherever the server is; embed.mjs and the server complete the paths in the pages.
    base: './',
    build: {
      target: 'es2022',
      outDir: join(out, 'dist'),
      emptyOutDir: !docs,
      reportCompressedSize: false,
      chunkSizeWarningLimit: 8000,
      // Nothing inline: the content security policy allows data: URLs only for images.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        input: docs ? 'docs.html' : 'index.html',
        // One bundle for the reference: hundreds of small modules would be fetched one by one.
        output: { codeSplitting: !docs },
      },
    },
    define: docs ? { 'process.env.NODE_ENV': '"production"' } : {},
    server: { proxy: { '/v1': 'http://127.0.0.1:3000', '/openapi.json': 'http://127.0.0.1:3000' } },
  }
})
