// A run: Postgres, the stack, those who write and those who read, and whoever disturbs them.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Postgres } from '../integration/lib/postgres.mjs'
import { PgBouncer } from '../integration/lib/pgbouncer.mjs'
import { Stack } from '../integration/lib/stack.mjs'
import { deadlineMs, pause } from '../integration/lib/wait.mjs'
import { Bus } from './bus.mjs'
import { Checker } from './checker.mjs'
import { Crowd } from './crowd.mjs'
import { Excuses } from './excuses.mjs'
import { Faults } from './faults.mjs'
import { putBack } from './faults/ddl.mjs'
import { mountDisks } from './faults/disk.mjs'
import { ownClock } from './faults/clock.mjs'
import { Moody } from './moody.mjs'
import { makePrograms, addEnvironment } from './programs.mjs'
import { createTables, rowKey, TABLES } from './schema.mjs'
import { definitions, PIECE_COUNT, pieceOf } from './shapes.mjs'
import { History } from './history.mjs'
import { Replication } from './replication.mjs'
import { Rng } from './rng.mjs'
import { connectionLost, Writers } from './writers.mjs'
import { rowHash, add } from './sum.mjs'

const TICK_MS = 50
const SWEEP_MS = 1000
const FOUND_OUT_MS = deadlineMs(20_000)
const SQL_MS = deadlineMs(30_000)
const CONVERGE_MS = deadlineMs(60_000)

const POSTGRES = {
  max_prepared_transactions: 50, max_connections: 60, max_wal_senders: 10, wal_sender_timeout: '10s', log_min_messages: 'log', shared_buffers: '128MB',
  deadlock_timeout: '200ms',
}

export class World {
  constructor({ seed, seconds, shapes = 60, clients = 40, faults = [], log = console.log }) {
    Object.assign(this, { seed, kinds: faults, seconds, log, clientCount: clients })
    this.rng = new Rng(seed)
    this.dir = mkdtempSync('/tmp/sluice-torture-')
    this.faultDir = join(this.dir, 'faults')
    mkdirSync(this.faultDir)
    this.definitions = definitions(this.rng.fork('shapes'), shapes)
    this.excuses = new Excuses()
    this.events = [] // what was done to the stack, for the story
    this.quiet = 0
    this.past = [] // histories that are over
    this.failed = new Promise((resolve) => (this.fail = (error, context) => resolve(this.failure ??= { error, context })))
  }

  // ------------------------------------------------------------------ starting

  async start() {
    this.postgres = await Postgres.start({ name: 'torture-postgres', settings: POSTGRES })
    this.database = await this.postgres.database('torture')
    await createTables((text) => this.database.sql(text))
    await this.database.sql("create publication oracle for all tables with (publish_via_partition_root = true)")
    await this.database.sql("select pg_create_logical_replication_slot('oracle', 'pgoutput')")
    await this.startHistory()
    const routers = this.rng.int(1, 2)
    const edges = this.rng.int(1, 2)
    this.checker = new Checker(this)
    this.writers = new Writers(this.database, (text, values) => this.sql(text, values), this.rng.fork('writers'), { onError: (error) => this.fail(error, {}) })
    this.writers.start()
    await this.startStack(routers, edges)
    this.crowd = new Crowd(this, this.rng.fork('clients'), this.clientCount)
    this.crowd.start()
    this.faults = new Faults(this, this.rng.fork('faults'), this.kinds)
    this.faults.start()
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS)
    this.event(`${routers} routers, ${edges} edges, ${this.pooler ? 'pgbouncer for snapshots, ' : ''}${this.definitions.length} shapes, ${this.clientCount} clients`)
  }

  async startStack(routers, edges) {
    if (this.kinds.includes('connections') && PgBouncer.available && this.rng.chance(0.5)) this.pooler = await PgBouncer.start(this.postgres)
    const programs = makePrograms(join(this.dir, 'programs'))
    const pooled = this.pooler && { SLUICE_POOLED_DATABASE_URL: this.database.url.replace(`:${this.postgres.port}/`, `:${this.pooler.port}/`) }
    this.stack = new Stack({
      database: this.database, routers, edges, programs, name: 'torture-stack',
      env: { SLUICE_CHUNK_BYTES: '10000', SLUICE_LONG_POLL_TIMEOUT: '2s', SLUICE_LOG_LEVEL: 'info', SLUICE_FAULT_DIR: this.faultDir, ...pooled },
    })
    await this.stack.choosePorts()
    addEnvironment(programs, 'all', {})
    for (const service of this.stack.services()) addEnvironment(programs, this.environmentOf(service), this.kinds.includes('clock') ? ownClock(this, service) : {})
    if (this.kinds.includes('bus')) this.bus = await Bus.open(programs, routers)
    if (this.kinds.includes('disk')) this.unmount = mountDisks(this.stack)
    await this.stack.launch()
    await this.stack.ready()
  }

  /** A service's name in programs.mjs. */
  environmentOf(service) {
    return service.startsWith('edge-') ? `edge-${this.stack.port + Number(service.slice(5))}` : service
  }

  async startHistory() {
    const catalog = {}
    for (const { name, pk } of Object.values(TABLES)) catalog[name] = { pk, columns: await this.columnsOf(name) }
    this.moody = TABLES.moody.now = new Moody(catalog.moody.columns, TABLES.moody.ddl)
    this.history = new History(catalog, join(this.dir, 'history'))
    for (const d of this.definitions) {
      this.history.watch(d)
      for (let i = 0; i < PIECE_COUNT; i++) this.history.watch(pieceOf(d, i).definition)
    }
    const connect = () => this.database.session({ replication: 'database', options: Replication.display })
    this.replication = new Replication(connect, 'oracle')
    this.replication.on('transaction', (t) => this.history.take(t))
    this.replication.on('tick', (text, lsn) => this.history.tick(Number(text), lsn))
    this.replication.on('error', (error) => this.fail(error, {}))
    await this.replication.start()
    this.ticking = this.tick()
  }

  async columnsOf(table) {
    const rows = await this.database.sql('select attname from pg_attribute where attrelid = $1::regclass and attnum > 0 order by attnum', [table])
    return rows.map((r) => r.attname)
  }

  /** Marks the present in the WAL, again and again: whoever waits for history learns from it that nothing is missing. */
  async tick() {
    let session
    for (this.going = true; this.going; await pause(TICK_MS)) {
      try {
        session ??= await this.database.session({ application_name: 'tick', connectionTimeoutMillis: 2000 })
        this.history.ticks++
        await session.query("select pg_logical_emit_message(false, 'oracle', $1)", [String(this.history.ticks)])
      } catch {
        session?.end().catch(() => {})
        session = undefined
      }
    }
    await session?.end()
  }

  // ------------------------------------------------------------------ going back in time

  /** Nothing is committed meanwhile. */
  save() {
    return { history: this.history.save(), replication: this.replication.save(), moody: this.moody.save() }
  }

  /**
   * The database is what it was at `point`. Till Sluice can have found out, both histories are right; returns what has to be called
   * when it has a chance to.
   */
  goBack(point) {
    const old = this.history
    old.until = Infinity
    this.past.push(old)
    this.history = old.goBack(point.history, join(this.dir, `history-${this.past.length}`))
    this.replication.goBack(point.replication)
    this.moody.goBack(point.moody)
    return () => (old.until = Date.now() + FOUND_OUT_MS)
  }

  /** The histories that an answer of that time may be of, the newest first. */
  histories(time) {
    return [this.history, ...this.past.filter(({ until }) => until >= time)]
  }

  // ------------------------------------------------------------------ for everybody

  edge(rng) {
    return this.stack.edgeUrl(rng.int(0, this.stack.edges - 1))
  }

  /** Runs a statement on the main session, on another one when that was lost: only what may be done twice. */
  async sql(text, values) {
    for (const end = Date.now() + SQL_MS; ; await pause(100)) {
      try {
        return await this.database.sql(text, values)
      } catch (error) {
        if (!connectionLost(error) || Date.now() > end) throw error
        this.database.forget()
      }
    }
  }

  event(text) {
    this.events.push({ at: Date.now(), text })
    this.log(`${new Date().toISOString().slice(11, 23)} ${text}`)
  }

  /** Nobody need be served before this moment and a while. */
  disturb(until = Date.now()) {
    this.quiet = Math.max(this.quiet, until)
  }

  disturbedUntil() {
    return this.quiet
  }

  sweep() {
    try {
      this.stack.assertSound()
      this.checker.sweep(this.crowd.clients)
    } catch (error) {
      if (!error.violation) this.fail(error, {})
    }
  }

  // ------------------------------------------------------------------ the end

  /** Nobody writes any more: all clients come to what SELECT says. */
  async converge() {
    await this.faults.stop()
    await putBack(this)
    await this.writers.stop()
    await this.history.afterNow()
    const { lsn } = this.history
    await this.compareWithSelect()
    this.crowd.settle()
    const behind = () => [...this.crowd.clients].filter((c) => c.view.relation && !this.converged(c, lsn))
    const end = Date.now() + CONVERGE_MS
    while (behind().length && !this.failure) {
      if (Date.now() > end) {
        const [client] = behind()
        const snapshot = this.history.snapshots.get(client.handle)
        return this.fail(new Error(`${behind().length} clients do not come to what SELECT says`), { client, lsn, snapshot })
      }
      await pause(50)
    }
    await this.checker.settled()
  }

  converged(client, lsn) {
    const snapshot = this.history.snapshots.get(client.handle)
    return client.upToDate && snapshot && !client.view.endedSince(snapshot, lsn) && this.checker.matches({ ...client, history: this.history, snapshot, lsn })
  }

  /** The oracle's own sums and its predicates against SELECT. */
  async compareWithSelect() {
    for (const view of this.history.byName.values()) {
      if (!view.relation) continue
      const { where, table } = view.definition
      const text = view.relation.columns.map((c) => `${c}::text`).join()
      const values = where.params ?? []
      const query = where.sql?.replace(/\$(\d+)/g, (_, i) => `'${values[i - 1]}'`) ?? 'true'
      const session = await this.oracleSession()
      const { rows } = await session.query(`select ${text} from ${table} where ${query}`)
      const sum = rows.reduce((total, row) => add(total, rowHash(rowKey(view.relation, row), view.columns, row)), 0)
      const known = view.sums(view.lsn.length).state
      if (known !== sum) return this.fail(new Error(`the oracle is wrong about ${view.definition.name}`), { view })
    }
    return undefined
  }

  async oracleSession() {
    this.select ??= await this.database.session({ options: Replication.display })
    return this.select
  }

  async stop() {
    clearInterval(this.sweeper)
    await this.faults?.stop()
    await this.crowd?.stop()
    if (this.writers?.going) await this.writers.stop().catch(() => {})
    this.going = false
    await this.ticking
    await this.replication?.stop()
    await Promise.all([...this.past, this.history].map((history) => history?.close()))
    await this.database?.close()
    await this.stack?.stop().catch((error) => this.fail(error, {}))
    this.bus?.close()
    this.unmount?.()
    if (this.stack) rmSync(this.stack.dir, { recursive: true, force: true })
    await this.pooler?.destroy()
    await this.postgres?.destroy()
    rmSync(this.dir, { recursive: true, force: true })
  }

  summary() {
    const { counts } = this.checker
    const parts = Object.entries(counts).map(([k, v]) => `${v} ${k}`)
    return `${this.history.transactions} transactions, ${this.history.changes} changes, ${this.checker.handles.size} handles, ${this.faults?.count ?? 0} faults, ${parts.join(', ')}`
  }
}
