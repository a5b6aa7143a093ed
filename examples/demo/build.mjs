// Bundles the page with the official client into dist/: three files, nothing from elsewhere.
import { build } from 'esbuild'
import { cp, rm } from 'node:fs/promises'

await rm('dist', { recursive: true, force: true })
await build({
  entryPoints: ['src/main.mjs'],
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  outfile: 'dist/main.js',
  logLevel: 'warning',
})
await cp('src/index.html', 'dist/index.html')
await cp('src/style.css', 'dist/style.css')
