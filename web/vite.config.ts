import { join } from 'node:path'
import { defineConfig } from 'vite'

// Cargo says where the build goes; without it, it is `dist`.
const out = process.env.STRONGROOM_OUT ?? join(import.meta.dirname, 'dist')

// The page and the reference of the API are built apart, so that neither fetches anything of the other's.
export default defineConfig(({ mode }) => {
  const docs = mode === 'docs'
  return {
    build: {
      target: 'es2022',
      outDir: join(out, 'dist'),
      emptyOutDir: !docs,
      reportCompressedSize: false,
      chunkSizeWarningLimit: 8000,
      // Nothing inline: the page's policy allows no data: but for pictures.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: {
        input: docs ? 'docs.html' : 'index.html',
        // Hundreds of small modules would be fetched one by one.
        output: { codeSplitting: !docs },
      },
    },
    define: docs ? { 'process.env.NODE_ENV': '"production"' } : {},
    server: { proxy: { '/v1': 'http://127.0.0.1:3000', '/openapi.json': 'http://127.0.0.1:3000' } },
  }
})
