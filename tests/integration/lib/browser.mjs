// Chromium, and pages that are bundled from pages/ and node_modules when a test starts, served from an origin of their own: what they
// ask of an edge is subject to CORS.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { once } from 'node:events'
import { extname, join, normalize } from 'node:path'
import { build } from 'esbuild'
import { chromium } from 'playwright-core'
import { addParty, artifactDir } from './parties.mjs'

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
// Without these Chromium looks for hosts that have nothing to do with the test.
const FLAGS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const ROOT = new URL('..', import.meta.url).pathname
const TYPES = { '.js': 'text/javascript', '.html': 'text/html; charset=utf-8', '.wasm': 'application/wasm' }

export const launch = () => chromium.launch({ executablePath: CHROMIUM, args: FLAGS })

/** pages/<name> as one module. What is in `external` is loaded by the page itself, from node_modules as it was published. */
async function bundle(name, external) {
  const { outputFiles } = await build({
    entryPoints: [join(ROOT, 'pages', name)], bundle: true, write: false, format: 'esm', platform: 'browser', target: 'es2022', jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"production"' }, alias: external, external: Object.values(external), logLevel: 'silent',
  })
  return outputFiles[0].contents
}

/** A server of one page. `external`: package → path below /node_modules/. */
export async function servePage(name, { external = {} } = {}) {
  const urls = Object.fromEntries(Object.entries(external).map(([name, path]) => [name, `/node_modules/${path}`]))
  const script = await bundle(name, urls)
  const page = `<!doctype html><meta charset="utf-8"><title>${name}</title><link rel="icon" href="data:,"><body><div id="root"></div><script type="module" src="/main.js"></script>`
  const server = createServer(async (req, res) => {
    const path = normalize(new URL(req.url, 'http://x').pathname)
    try {
      const body = path === '/' ? page : path === '/main.js' ? script : path.startsWith('/node_modules/') ? await readFile(join(ROOT, path)) : undefined
      res.writeHead(body ? 200 : 404, { 'content-type': TYPES[extname(path)] ?? (path === '/' ? TYPES['.html'] : 'application/octet-stream') })
      res.end(body)
    } catch {
      res.writeHead(404).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}/`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Chromium with what its pages write to the console. */
export class Browser {
  static async start() {
    const self = new Browser()
    self.lines = []
    addParty('browser', () => self.lines.join('\n'))
    self.browser = await launch()
    self.context = await self.browser.newContext({ viewport: { width: 800, height: 600 } })
    return self
  }

  /** `settings` are the page's `window.settings`. */
  async open(url, settings = {}, context = this.context) {
    const page = await context.newPage()
    page.on('console', (m) => this.lines.push(`${m.type()} ${m.text()}`))
    page.on('pageerror', (e) => this.lines.push(`error ${e}`))
    await page.addInitScript((given) => (window.settings = given), settings)
    await page.goto(url)
    return page
  }

  /** Errors that the page made; those of the network are the browser's own and belong to tests that kill something. */
  errors() {
    return this.lines.filter((line) => line.startsWith('error') && !/Failed to load resource|net::ERR/.test(line))
  }

  screenshot(page, test, name) {
    return page.screenshot({ path: join(artifactDir(test), `${name}.png`) })
  }

  close() {
    return this.browser.close()
  }
}
