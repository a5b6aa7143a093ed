// A private Postgres: its own directory, port and superuser with a password.
import { execFileSync, execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { mkdtempSync, mkdirSync, rmSync, writeFileSync, appendFileSync, chmodSync, readdirSync, existsSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { start, end } from './process.mjs'
import { freePorts } from './ports.mjs'
import { addParty } from './parties.mjs'
import { until } from './wait.mjs'

const ROOT = process.getuid() === 0
const USER = ROOT ? 'postgres' : undefined
const PASSWORD = 'wavelet'
const run = promisify(execFile)

/** The newest installed server's directory of programs. */
export function postgresBin() {
  const base = '/usr/lib/postgresql'
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => b - a) : []
  const found = versions.map((v) => join(base, v, 'bin')).find((d) => existsSync(join(d, 'initdb')))
  if (found) return found
  return execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim()
}

export function asPostgres(program, args) {
  const path = join(postgresBin(), program)
  const [command, argv] = ROOT
    ? ['setpriv', ['--reuid=postgres', '--regid=postgres', '--init-groups', '--', path, ...args]]
    : [path, args]
  return run(command, argv, { cwd: '/', env: { ...process.env, PGPASSWORD: PASSWORD } })
}

const SETTINGS = {
  wal_level: 'logical',
  max_connections: 200,
  max_wal_senders: 40,
  max_replication_slots: 40,
  shared_buffers: '64MB',
  fsync: 'off', // no test cuts the power
  timezone: 'America/St_Johns', // so that a missing display setting shows
  datestyle: 'SQL, MDY',
  log_min_messages: 'warning',
  log_line_prefix: '%m [%p] %q%a@%d ',
  unix_socket_directories: '',
  listen_addresses: '127.0.0.1',
}

export class Postgres {
  /** `settings` go over the usual ones. */
  static async start({ name = 'postgres', settings = {} } = {}) {
    const self = await Postgres.make(name)
    await asPostgres('initdb', [
      '-D', self.data, '-U', 'postgres', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync', '--no-instructions',
      '--auth=scram-sha-256', `--pwfile=${join(self.dir, 'pw')}`,
    ])
    self.configure({ ...SETTINGS, ...settings, port: self.port })
    appendFileSync(join(self.data, 'pg_hba.conf'), 'host replication all 127.0.0.1/32 scram-sha-256\n')
    await self.launch()
    return self
  }

  static async make(name) {
    const self = new Postgres()
    self.dir = mkdtempSync('/tmp/sluice-pg-')
    self.data = join(self.dir, 'data')
    self.log = join(self.dir, 'log')
    self.port = await freePorts()
    self.databases = 0
    mkdirSync(self.data)
    chmodSync(self.data, 0o700)
    writeFileSync(join(self.dir, 'pw'), PASSWORD)
    if (ROOT) execFileSync('chown', ['-R', 'postgres:postgres', self.dir])
    addParty(name, self.log)
    return self
  }

  /** A streaming standby of `primary`. */
  static async standbyOf(primary) {
    const self = await Postgres.make('standby')
    rmSync(self.data, { recursive: true })
    await asPostgres('pg_basebackup', ['-D', self.data, '-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres', '-R', '-c', 'fast', '-X', 'stream'])
    self.configure({ port: self.port })
    await self.launch()
    return self
  }

  configure(settings) {
    const text = Object.entries(settings).map(([k, v]) => `${k} = '${v}'\n`).join('')
    appendFileSync(join(this.data, 'postgresql.conf'), text)
  }

  async launch() {
    this.process = start(join(postgresBin(), 'postgres'), ['-D', this.data], { log: this.log, user: USER, cwd: '/', deathSignal: 'INT' })
    await until(
      async () => {
        if (!this.process.running()) throw new Error(`Postgres did not start, see ${this.log}`)
        return this.query('select 1').catch(() => null)
      },
      { what: 'Postgres accepts connections' },
    )
  }

  /** The same files at the next launch, as a standby that nobody sends anything: until promote(). */
  becomeStandby() {
    const signal = join(this.data, 'standby.signal')
    writeFileSync(signal, '')
    if (ROOT) execFileSync('chown', ['postgres:postgres', signal])
  }

  /** To a new timeline. */
  async promote() {
    await this.query('select pg_promote()')
    await until(async () => !(await this.query('select pg_is_in_recovery() r'))[0].r, { what: 'Postgres is promoted' })
  }

  /** @param mode 'INT' fast, 'QUIT' immediate (as after a crash) */
  async stop(mode = 'INT') {
    await this.pool?.end().catch(() => {})
    this.pool = undefined
    await end(this.process, `SIG${mode}`, 30000, 'Postgres')
  }

  async restart(mode = 'INT') {
    await this.stop(mode)
    await this.launch()
  }

  async destroy() {
    await this.stop('QUIT')
    rmSync(this.dir, { recursive: true, force: true })
  }

  url(database = 'postgres', { user = 'postgres', password = PASSWORD } = {}) {
    return `postgresql://${user}:${password}@127.0.0.1:${this.port}/${database}`
  }

  /** On the database `postgres`. */
  async query(text) {
    const client = new pg.Client({ connectionString: this.url() })
    client.on('error', () => {})
    await client.connect()
    try {
      return (await client.query(text)).rows
    } finally {
      await client.end()
    }
  }

  /** A fresh database. */
  async database(prefix = 'it') {
    const name = `${prefix}_${process.pid}_${++this.databases}_${Date.now().toString(36)}`
    await this.query(`create database ${name}`)
    return new Database(name, this.url(name))
  }

  /** What a worker needs to use a server that another process started. */
  handle() {
    return { port: this.port, log: this.log }
  }

  static attach({ port, log }) {
    const self = new Postgres()
    Object.assign(self, { port, log, databases: 0 })
    addParty('postgres', log)
    return self
  }
}

/** Values as text, whatever their type: what the wire says, unparsed. */
export const AS_TEXT = { getTypeParser: () => (value) => value }

/** One database and the sessions that a test has on it. */
export class Database {
  constructor(name, url) {
    this.name = name
    this.url = url
    this.sessions = []
  }

  /** A connection of its own, for transactions that stay open. */
  async session(options = {}) {
    const client = new pg.Client({ connectionString: this.url, application_name: 'test', ...options })
    client.on('error', () => {})
    await client.connect()
    await client.query('set client_min_messages = warning')
    this.sessions.push(client)
    return client
  }

  /** Runs SQL on the main session; several statements in one string are one transaction. */
  async sql(text, values) {
    if (!this.main || !this.main._connected) this.main = await this.session()
    return (await this.main.query(text, values)).rows
  }

  /** The main session is gone after a restart of the server: the next sql() opens another. */
  forget() {
    this.main?.end().catch(() => {})
    this.main = undefined
  }

  async close() {
    await Promise.allSettled(this.sessions.map((s) => s.end()))
    this.sessions = []
    this.main = undefined
  }
}
