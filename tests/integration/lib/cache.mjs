// Real caches in front of an edge, with the configurations of deploy/cache; only addresses and directories are put in.
import { mkdtempSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { end, start, which } from './process.mjs'
import { addParty, logPath } from './parties.mjs'
import { freePorts } from './ports.mjs'
import { request } from './http.mjs'
import { REPOSITORY } from './stack.mjs'
import { until } from './wait.mjs'

const PATH = `${process.env.PATH}:/usr/sbin:/usr/local/sbin`
const program = (name) => which(name, PATH) ?? name

/** The example with each text replaced, which must be there exactly once. */
function adapted(file, replacements) {
  let text = readFileSync(join(REPOSITORY, 'deploy/cache', file), 'utf8')
  for (const [from, to] of Object.entries(replacements)) {
    if (text.split(from).length !== 2) throw new Error(`deploy/cache/${file} does not have one ${JSON.stringify(from)}`)
    text = text.replace(from, to)
  }
  return text
}

class Cache {
  constructor(name) {
    this.dir = mkdtempSync(`/tmp/sluice-${name}-`)
    this.log = logPath(name)
    this.name = addParty(name, this.log)
  }

  async launch(command, args) {
    this.process = start(program(command), args, { log: this.log, cwd: this.dir, env: { ...process.env, PATH } })
    await until(async () => {
      if (!this.process.running()) throw new Error(`${command} has ended:\n${readFileSync(this.log, 'utf8')}`)
      return (await request(this.url, { path: '/v1/health' }, 2000).catch(() => null))?.status === 200
    }, { what: `${command} serves` })
    return this
  }

  get url() {
    return `http://127.0.0.1:${this.port}`
  }

  async stop() {
    await end(this.process, 'SIGTERM', 15000, this.name)
    rmSync(this.dir, { recursive: true, force: true })
  }
}

/** @param edges URLs of edges */
export async function startNginx(edges) {
  const cache = new Cache('nginx')
  cache.port = await freePorts()
  for (const part of ['cache', 'body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']) mkdirSync(join(cache.dir, part))
  const conf = join(cache.dir, 'nginx.conf')
  const temp = ['client_body_temp_path body', 'proxy_temp_path proxy', 'fastcgi_temp_path fastcgi', 'uwsgi_temp_path uwsgi', 'scgi_temp_path scgi']
  writeFileSync(conf, adapted('nginx.conf', {
    'worker_processes auto;': `worker_processes 1; daemon off; pid nginx.pid; error_log stderr warn;${process.getuid() === 0 ? ' user root;' : ''}`,
    'http {\n': `http {\n${temp.map((t) => `  ${t};\n`).join('')}`,
    'server 127.0.0.1:3000;': edges.map((url) => `server ${new URL(url).host};`).join(' '),
    '/var/cache/nginx/sluice': join(cache.dir, 'cache'),
    'listen 8080;': `listen 127.0.0.1:${cache.port};`,
  }))
  return cache.launch('nginx', ['-e', 'stderr', '-p', cache.dir, '-c', conf])
}

export async function startVarnish([edge]) {
  const cache = new Cache('varnish')
  cache.port = await freePorts()
  const vcl = join(cache.dir, 'sluice.vcl')
  writeFileSync(vcl, adapted('varnish.vcl', { '.port = "3000";': `.port = "${new URL(edge).port}";` }))
  return cache.launch('varnishd', ['-F', '-j', 'none', '-n', join(cache.dir, 'work'), '-f', vcl, '-a', `127.0.0.1:${cache.port}`, '-s', 'malloc,64m', '-p', 'http_gzip_support=off'])
}
