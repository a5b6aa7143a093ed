// One Sluice: the supervisor and what it starts, with a data directory, port and stream id of its own.
import { mkdtempSync, readFileSync, rmSync, existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { start, end, alive } from './process.mjs'
import { freePorts } from './ports.mjs'
import { addParty, collectLogs, logPath } from './parties.mjs'
import { request } from './http.mjs'
import { until, deadlineMs } from './wait.mjs'

export const SERVICES = ['ingest', 'router', 'edge', 'supervisor']
export const REPOSITORY = new URL('../../..', import.meta.url).pathname

export const binary = (service) =>
  join(REPOSITORY, 'build', process.env.SLUICE_VARIANT ?? 'release', `sluice-${service}`)

/** Lines that must never be in a log: a sanitizer's, a failed assertion's, the supervisor's about a crash. */
const DISASTER = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:|assert(ion)?[^\n]*failed|SIGSEGV|SIGABRT|SIGBUS|signal (6|7|11)\b/i

const DEFAULTS = {
  LSAN_OPTIONS: `suppressions=${new URL('lsan.supp', import.meta.url).pathname}:print_suppressions=0`,
  TSAN_OPTIONS: `suppressions=${new URL('tsan.supp', import.meta.url).pathname}:print_suppressions=0:history_size=7`,
  SLUICE_INSECURE: 'true',
  SLUICE_LONG_POLL_TIMEOUT: '2s',
  SLUICE_ALLOW_DELETE: 'true',
  SLUICE_DRAIN_TIMEOUT: '5s',
}

/** What of our own environment a service may see: nothing that configures one. */
const inherited = () =>
  Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(SLUICE_|ELECTRIC_|DATABASE_URL$|PG)/.test(k)))

export class Stack {
  /** `programs`: a directory to take them from instead of build/. */
  constructor({ database, url, env = {}, routers = 1, edges = 1, dataDir, programs, name = 'stack' } = {}) {
    this.dir = dataDir ?? mkdtempSync('/tmp/sluice-it-')
    this.ownsDir = !dataDir
    this.log = logPath('stack')
    this.databaseUrl = url ?? database?.url
    this.routers = routers
    this.edges = edges
    this.streamId = `it_${randomBytes(5).toString('hex')}`
    this.env = env
    this.programs = programs
    this.tolerates = []
    addParty(name, this.log)
  }

  /** Starts one and waits until it is active. */
  static async start(options) {
    const stack = new Stack(options)
    await stack.launch()
    await stack.ready()
    return stack
  }

  get slot() {
    return `electric_slot_${this.streamId}`
  }

  get url() {
    return this.edgeUrl(0)
  }

  edgeUrl(i) {
    return `http://127.0.0.1:${this.port + i}`
  }

  async choosePorts() {
    this.port ??= await freePorts(this.edges)
    this.adminPort ??= await freePorts(1 + this.routers + this.edges)
  }

  async launch(env = {}) {
    await this.choosePorts()
    const all = {
      ...inherited(),
      ...DEFAULTS,
      DATABASE_URL: this.databaseUrl,
      SLUICE_HTTP_PORT: String(this.port),
      SLUICE_DATA_DIR: this.dir,
      SLUICE_STREAM_ID: this.streamId,
      SLUICE_ROUTERS: String(this.routers),
      SLUICE_EDGES: String(this.edges),
      SLUICE_ADMIN_PORT: String(this.adminPort),
      ...this.env,
      ...env,
    }
    this.supervisor = start(this.programs ? join(this.programs, 'sluice-supervisor') : binary('supervisor'), [], { log: this.log, env: all, cwd: REPOSITORY })
  }

  get running() {
    return this.supervisor.running()
  }

  /** Waits for /v1/health 200 on every edge; an early end of the supervisor is the error. */
  async ready(within = 30000) {
    try {
      for (let i = 0; i < this.edges; i++) {
        await until(
          async () => {
            if (!this.running) throw new Error('the supervisor has ended')
            return (await this.health(i)) === 200
          },
          { within, what: async () => `/v1/health of edge ${i} is 200, it is ${await this.health(i)}` },
        )
      }
    } catch (error) {
      const dir = collectLogs(`start-of-${this.streamId}`)
      throw new Error(`${error.message}\nlog (whole: ${dir}):\n${this.logTail()}`)
    }
  }

  /** The status of /v1/health; 0 when nobody answers. */
  async health(i = 0) {
    try {
      return (await request(this.edgeUrl(i), { path: '/v1/health' }, 2000)).status
    } catch {
      return 0
    }
  }

  // ------------------------------------------------------------------ logs

  logText() {
    return existsSync(this.log) ? readFileSync(this.log, 'utf8') : ''
  }

  logTail(lines = 40) {
    return this.logText().trimEnd().split('\n').slice(-lines).join('\n')
  }

  logLines(pattern) {
    return this.logText().split('\n').filter((line) => pattern.test(line))
  }

  /** Waits for a line; returns it. */
  async says(pattern, within = 15000) {
    return until(() => this.logLines(pattern)[0], { within, what: () => `a log line like ${pattern}\nlog:\n${this.logTail()}` })
  }

  /** No service may have crashed, whatever the test did to it. Signals that the test itself sent do not count. */
  assertSound() {
    const bad = this.logLines(DISASTER).filter((line) => !this.tolerates.some((p) => p.test(line)))
    if (bad.length) {
      const dir = collectLogs(`crash-${this.streamId}`)
      throw new Error(`a service crashed (logs: ${dir}):\n${bad.slice(0, 20).join('\n')}`)
    }
  }

  // ------------------------------------------------------------------ processes

  /** @param service 'ingest', 'router-0', 'edge-1' … */
  pid(service) {
    try {
      return Number(readFileSync(join(this.dir, 'run', `${service}.pid`), 'utf8')) || 0
    } catch {
      return 0
    }
  }

  services() {
    const several = (name, n) => Array.from({ length: n }, (_, i) => `${name}-${i}`)
    return ['ingest', ...several('router', this.routers), ...several('edge', this.edges)]
  }

  signal(service, signal) {
    const pid = this.pid(service)
    if (!pid) throw new Error(`${service} has no pid file`)
    process.kill(pid, signal)
    return pid
  }

  /** kill -9; returns when the supervisor has started another one. */
  async kill(service) {
    const old = this.signal(service, 'SIGKILL')
    await until(() => this.pid(service) !== old && alive(this.pid(service)), { what: `the supervisor restarts ${service}` })
  }

  async stop(signal = 'SIGTERM') {
    if (this.supervisor?.running()) await end(this.supervisor, signal, 20000, 'the supervisor')
    this.assertSound()
  }

  /** Everything at once, as when the machine dies. */
  async crash() {
    const pids = this.services().map((s) => this.pid(s))
    this.supervisor.child.kill('SIGKILL')
    for (const pid of pids) if (pid && alive(pid)) process.kill(pid, 'SIGKILL')
    await this.supervisor.exited
    await until(() => !pids.some((pid) => pid && alive(pid)), { what: 'all services are dead' })
  }

  /** Stops, checks that nobody crashed, and frees slot and files. */
  async destroy(database) {
    try {
      await this.stop()
    } finally {
      if (database) {
        await until(async () => {
          const rows = await database.sql('select active from pg_replication_slots where slot_name = $1', [this.slot])
          return !rows.some((r) => r.active)
        }, { what: 'the slot is free' })
        await database.sql('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [this.slot])
        await database.close()
      }
      if (this.ownsDir) rmSync(this.dir, { recursive: true, force: true })
    }
  }

  // ------------------------------------------------------------------ looking inside

  /** Paths below the data directory (and extra roots) for which `test` holds. */
  files(test, root = this.dir) {
    if (!existsSync(root)) return []
    return readdirSync(root, { recursive: true })
      .map((f) => join(root, f))
      .filter((f) => existsSync(f) && test(f, statSync(f)))
  }

  /** The ipc sockets of the bus. */
  sockets() {
    return this.files((_, stat) => stat.isSocket())
  }

  databasesOnDisk() {
    return this.files((path, stat) => stat.isFile() && /\.mdb$/.test(path) && !/lock/.test(path))
  }

  /** A service's metric, by its name without the service's prefix; the sum over its labels. */
  async metric(service, name) {
    const answer = await request(`http://127.0.0.1:${this.adminPort + this.services().indexOf(service)}`, { path: '/metrics' })
    const lines = answer.text.split('\n').filter((line) => !line.startsWith('#') && line.split(/[{ ]/)[0].endsWith(name))
    if (!lines.length) throw new Error(`${service} has no metric ${name}`)
    return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
  }

  openFiles(service) {
    return readdirSync(`/proc/${this.pid(service)}/fd`).length
  }

  async shape(params, spec = {}) {
    return request(spec.base ?? this.url, { query: params, ...spec }, deadlineMs(spec.timeout ?? 15000))
  }
}
