// The supervisor with stand-ins for the services (fake-service.mjs) and a real private Postgres.
import test from 'node:test'
import assert from 'node:assert/strict'
import { spawn, execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { binary } from './lib.mjs'

const FAKE = new URL('fake-service.mjs', import.meta.url).pathname

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

function makeInstallation(t, below = '.') {
  const root = mkdtempSync(join(tmpdir(), 'supervisor-test-'))
  const dir = join(root, below)
  chmodSync(root, 0o755)
  mkdirSync(dir, { recursive: true })
  t.after(() => rmSync(root, { recursive: true, force: true }))
  copyFileSync(binary('supervisor'), join(dir, 'sluice-supervisor'))
  for (const service of ['ingest', 'router', 'edge']) {
    // a wrapper, because a module's own path is what node shows in argv[1] only when it is not a link
    copyFileSync(FAKE, join(dir, `sluice-${service}.mjs`))
    writeFileSync(join(dir, `sluice-${service}`), `#!/bin/sh\nexec '${process.execPath}' '${dir}/sluice-${service}.mjs'\n`, { mode: 0o755 })
  }
  return dir
}

/** A running supervisor: what it prints, and promises for what happens to it. */
class Supervisor {
  constructor(dir, env) {
    this.output = ''
    this.waiting = new Set()
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(SLUICE_|ELECTRIC_|DATABASE_URL|PG)/.test(k)))
    this.process = spawn(join(dir, 'sluice-supervisor'), { env: { ...inherited, SLUICE_DATA_DIR: join(dir, 'data'), SLUICE_DEMO: 'false', ...env } })
    this.ended = once(this.process, 'close').then(([status, signal]) => {
      for (const check of this.waiting) check(true)
      return status ?? signal
    })
    for (const stream of [this.process.stdout, this.process.stderr]) {
      stream.on('data', (bytes) => {
        this.output += bytes
        for (const check of this.waiting) check(false)
      })
    }
  }

  /** Resolves when the output has matched so often; rejects when the supervisor ends before. */
  said(pattern, times = 1) {
    return new Promise((resolve, reject) => {
      const check = (ended) => {
        const matches = this.output.match(new RegExp(pattern, 'g'))?.length ?? 0
        if (matches < times && !ended) return
        this.waiting.delete(check)
        if (matches >= times) resolve()
        else reject(new Error(`ended without saying ${pattern}:\n${this.output}`))
      }
      this.waiting.add(check)
      check(false)
    })
  }

  async stop(signal = 'SIGTERM') {
    this.process.kill(signal)
    return this.ended
  }
}

function startIn(t, dir, env) {
  const supervisor = new Supervisor(dir, env)
  t.after(() => supervisor.stop('SIGKILL'))
  return supervisor
}

const edgeEnv = async (port) => (await fetch(`http://127.0.0.1:${port}/env`)).json()
const pidOf = (dir, name) => Number(readFileSync(join(dir, 'data/run', `${name}.pid`), 'utf8'))
const alive = (pid) => existsSync(`/proc/${pid}`) && !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
const sql = (url, text) => execFileSync('psql', ['-XAtc', text, url], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()

test('makes a private Postgres with a demo table, announces, keeps it over a restart', async (t) => {
  const dir = makeInstallation(t)
  const port = await freePort()
  const first = startIn(t, dir, { SLUICE_HTTP_PORT: String(port) })
  await first.said('Sluice is ready')
  assert.match(first.output, new RegExp(`curl -i "http://127.0.0.1:${port}/v1/shape\\?table=todos&offset=-1"`))
  const url = readFileSync(join(dir, 'data/database_url'), 'utf8').trim()
  assert.equal(statSync(join(dir, 'data/database_url')).mode & 0o777, 0o600)
  assert.equal(sql(url, 'show wal_level'), 'logical')
  assert.ok(Number(sql(url, 'select count(*) from todos')) > 0)
  sql(url, "insert into todos (title) values ('kept')")
  assert.throws(() => sql(url.replace(/:[0-9a-f]{32}@/, ':wrong@'), 'select 1'), /password authentication failed/)
  assert.equal(await first.stop(), 0)
  assert.match(first.output, /fake edge drained[^]*fake router drained[^]*fake ingest drained/)

  const second = startIn(t, dir, { SLUICE_HTTP_PORT: String(port) })
  await second.said('Sluice is ready')
  assert.equal(readFileSync(join(dir, 'data/database_url'), 'utf8').trim(), url)
  assert.equal(sql(url, "select count(*) from todos where title = 'kept'"), '1')
  assert.equal(await second.stop('SIGINT'), 0)
})

test('starts the demo of the tree it was built in, and says where its page is', async (t) => {
  const dir = makeInstallation(t, 'build/release')
  mkdirSync(join(dir, '../../examples/demo'), { recursive: true })
  writeFileSync(join(dir, '../../examples/demo/server.mjs'), 'setInterval(() => {}, 1000)\n')
  const port = await freePort()
  const supervisor = startIn(t, dir, { SLUICE_HTTP_PORT: String(port), SLUICE_DEMO: 'true' })
  await supervisor.said('Sluice is ready')
  await supervisor.said(`demo page +http://127\\.0\\.0\\.1:${port}/demo/`)
  assert.equal(await supervisor.stop(), 0)
})

test('a killed supervisor takes everything with it, and a new one takes over at once', async (t) => {
  const dir = makeInstallation(t)
  const port = await freePort()
  const first = startIn(t, dir, { SLUICE_HTTP_PORT: String(port) })
  await first.said('Sluice is ready')
  const pids = ['ingest', 'router-0', 'edge-0'].map((name) => pidOf(dir, name))
  await first.stop('SIGKILL')
  const second = startIn(t, dir, { SLUICE_HTTP_PORT: String(port) })
  await second.said('Sluice is ready')
  for (const pid of pids) assert.ok(!alive(pid))
  await second.stop()
})

test('several of each, with the environment of the contract', async (t) => {
  const dir = makeInstallation(t)
  const port = await freePort()
  const supervisor = startIn(t, dir, {
    DATABASE_URL: 'postgresql://nobody@127.0.0.1:1/none',
    SLUICE_HTTP_PORT: String(port),
    SLUICE_ROUTERS: '2',
    SLUICE_EDGES: '3',
    SLUICE_ADMIN_PORT: '40000',
    SLUICE_SECRET: 's3cret',
    SLUICE_LONG_POLL_TIMEOUT: '7s',
  })
  await supervisor.said('Sluice is ready')
  await supervisor.said('edge-2 started')
  const { env } = await edgeEnv(port)
  const run = join(dir, 'data/run')
  assert.equal(env.SLUICE_ROUTER_FETCH_URLS, `ipc://${run}/router-0-fetch.ipc,ipc://${run}/router-1-fetch.ipc`)
  assert.equal(env.SLUICE_ROUTER_NOTICES_URLS, `ipc://${run}/router-0-notices.ipc,ipc://${run}/router-1-notices.ipc`)
  assert.equal(env.SLUICE_EDGE_ADMIN_PORT, '40003')
  assert.equal(env.SLUICE_LONG_POLL_TIMEOUT, '7s')
  assert.equal(env.SLUICE_INSECURE, undefined)
  assert.doesNotMatch(supervisor.output, /s3cret|insecure/)
  assert.ok(existsSync(join(run, 'router-1.pid')) && existsSync(join(run, 'edge-2.pid')))
  assert.ok(!existsSync(join(dir, 'data/postgres')))
  assert.equal(await supervisor.stop(), 0)
  assert.ok(!existsSync(join(run, 'router-1.pid')))
})

test('starts again what dies', async (t) => {
  const dir = makeInstallation(t)
  const supervisor = startIn(t, dir, { DATABASE_URL: 'postgresql://x', SLUICE_HTTP_PORT: String(await freePort()) })
  await supervisor.said('Sluice is ready')
  const pid = pidOf(dir, 'router-0')
  process.kill(pid, 'SIGKILL')
  await supervisor.said('router-0 started', 2)
  assert.notEqual(pidOf(dir, 'router-0'), pid)
  assert.match(supervisor.output, /event=child_died msg="router-0 was ended by signal 9/)
  assert.equal(await supervisor.stop(), 0)
})

for (const [status, starts] of [[1, 3], [2, 1]]) {
  test(`a service that refuses with status ${status} ends the stack with it`, async (t) => {
    const dir = makeInstallation(t)
    const supervisor = startIn(t, dir, {
      DATABASE_URL: 'postgresql://x',
      SLUICE_HTTP_PORT: String(await freePort()),
      FAKE_INGEST_EXIT: String(status),
    })
    assert.equal(await supervisor.ended, status)
    assert.equal(supervisor.output.match(/fake ingest refuses/g).length, starts)
    assert.match(supervisor.output, new RegExp(`event=child_given_up msg="ingest exited with status ${status}`))
  })
}

test('a data directory in use, a wrong number, a full port range: one line each', async (t) => {
  const dir = makeInstallation(t)
  const env = { DATABASE_URL: 'postgresql://x', SLUICE_HTTP_PORT: String(await freePort()) }
  const first = startIn(t, dir, env)
  await first.said('Sluice is ready')
  const errors = async (more) => {
    const other = startIn(t, dir, { ...env, ...more })
    const status = await other.ended
    return [status, other.output.split('\n').filter((line) => line.includes('level=error'))]
  }
  const [inUse, [line]] = await errors({})
  assert.equal(inUse, 1)
  assert.match(line, new RegExp(`is in use by another supervisor \\(pid ${first.process.pid}\\)`))
  const [wrong, lines] = await errors({ SLUICE_ROUTERS: 'many' })
  assert.equal(wrong, 2)
  assert.equal(lines.length, 1)
  const [room, [noRoom]] = await errors({ SLUICE_HTTP_PORT: '65535', SLUICE_EDGES: '2' })
  assert.equal(room, 2)
  assert.match(noRoom, /leaves no room/)
  assert.equal(await first.stop(), 0)
})

test('what is open to everybody is said, and stays on this machine', async (t) => {
  const dir = makeInstallation(t)
  const port = await freePort()
  const supervisor = startIn(t, dir, { DATABASE_URL: 'postgresql://x', SLUICE_HTTP_PORT: String(port) })
  await supervisor.said('Sluice is ready')
  const { env } = await edgeEnv(port)
  assert.equal(env.SLUICE_INSECURE, 'true')
  assert.equal(env.SLUICE_HTTP_HOST, '127.0.0.1')
  assert.equal(supervisor.output.match(/event=insecure/g).length, 1)
  await supervisor.stop()
})

test("Postgres' user need not reach the data directory", { skip: process.getuid() !== 0 && 'only root runs it as another user' }, async (t) => {
  const dir = makeInstallation(t)
  chmodSync(dir, 0o700)
  const supervisor = startIn(t, dir, { SLUICE_HTTP_PORT: String(await freePort()) })
  await supervisor.said('Sluice is ready')
  const elsewhere = readlinkSync(join(dir, 'data/postgres'))
  t.after(() => rmSync(elsewhere, { recursive: true, force: true }))
  assert.match(sql(readFileSync(join(dir, 'data/database_url'), 'utf8').trim(), 'show data_directory'), new RegExp(elsewhere))
  assert.equal(await supervisor.stop(), 0)
})
