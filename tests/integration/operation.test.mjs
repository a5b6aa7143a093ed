// A running stack and the one who runs it: takeovers without a gap, a Postgres that is always answered, lag and readiness that tell what is
// stopped, connections in every way that a URL can ask for.
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeAll, afterAll, describe, expect, inject, test } from 'vitest'
import { Authority } from './lib/certificates.mjs'
import { syncClient } from './lib/client.mjs'
import { useStack } from './lib/fixture.mjs'
import { request } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { addParty, logPath } from './lib/parties.mjs'
import { PgBouncer } from './lib/pgbouncer.mjs'
import { freePorts } from './lib/ports.mjs'
import { Postgres } from './lib/postgres.mjs'
import { end, start } from './lib/process.mjs'
import { Stack, binary } from './lib/stack.mjs'
import { deadlineMs, holdsFor, until } from './lib/wait.mjs'

const closing = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})
const admin = async (port, path = '/metrics') => request(`http://127.0.0.1:${port}`, { path }, 3000)

describe('lag and readiness', () => {
  const ctx = useStack({ ownPostgres: { wal_sender_timeout: '3s' }, env: { SLUICE_WINDOW_BYTES: '65536', SLUICE_BATCH_BYTES: '16384' } })
  const sql = (text, values) => ctx.db.sql(text, values)
  const slot = async () => (await sql('select active_pid, (pg_current_wal_lsn() - confirmed_flush_lsn)::int8::text behind from pg_replication_slots where slot_name = $1', [ctx.stack.slot]))[0]
  const readyz = async (service) => admin(ctx.stack.adminPort + ctx.stack.services().indexOf(service), '/readyz').catch(() => ({}))
  const ingest = (name) => ctx.stack.metric('ingest', name)

  test('#240 the router stands still: Postgres is answered all the time, lag shows on every stage, and all of it recovers', async () => {
    await sql('create table slow (id int primary key, v text)')
    const client = ctx.client({ table: 'slow' })
    await client.upToDate()
    await until(async () => (await ingest('applied_lag_bytes')) === 0 && (await ingest('synced_lag_ms')) === 0, { what: 'no lag when idle' })
    const { active_pid: walsender } = await slot()
    ctx.stack.signal('router-0', 'SIGSTOP')
    const stopped = Date.now()
    try {
      for (let i = 0; i < 40; i++) await sql(`insert into slow select ${i} * 100 + g, repeat('x', 1000) from generate_series(1, 100) g`)
      await until(async () => (await ingest('paused')) === 1, { what: 'the window is full' })
      // three times as long as Postgres waits for an answer
      await holdsFor(9500, async () => (await slot()).active_pid === walsender, 'the walsender lives')
      for (const stage of ['published', 'applied', 'synced']) {
        expect(await ingest(`${stage}_lag_bytes`), stage).toBeGreaterThan(1000000)
        expect(await ingest(`${stage}_lag_ms`), stage).toBeGreaterThan(3000)
        expect(await ingest(`${stage}_lag_ms`), stage).toBeLessThan(Date.now() - stopped + 4000)
      }
      expect(await ingest('slot_retained_bytes')).toBeGreaterThan(1000000)
      expect(await ingest('slot_lag_bytes')).toBeGreaterThan(1000000)
      expect(await ingest('window_bytes')).toBeGreaterThan(16384)
      expect(await ctx.stack.metric('edge-0', 'router_silence_ms')).toBeGreaterThan(3000)
      expect(ctx.stack.logLines(/event=stage_late .*a router with applying it/)).toHaveLength(1)
      expect(ctx.stack.logLines(/level=warning svc=edge event=router_state .*router 0 is starting/).length).toBeGreaterThan(0)
      expect(Number((await slot()).behind), 'nothing is acknowledged that is not on disk').toBeGreaterThan(1000000)
    } finally {
      ctx.stack.signal('router-0', 'SIGCONT')
    }
    await client.converges(ctx.db, 'slow', { within: 30000 })
    expect(client.handles).toHaveLength(1)
    await until(async () => (await ingest('synced_lag_bytes')) === 0 && (await ingest('synced_lag_ms')) === 0 && (await ingest('paused')) === 0, { what: 'the lag is gone' })
    expect((await slot()).active_pid).toBe(walsender)
    await ctx.stack.says(/event=stage_in_time .*a router with applying it/)
    await until(async () => (await ctx.stack.metric('edge-0', 'router_silence_ms')) < 2000, { what: 'the edge hears the router' })
    const [seen, applied] = [await ctx.stack.metric('edge-0', 'seen_lsn_bytes'), await ctx.stack.metric('router-0', 'applied_lsn_bytes')]
    expect(Math.abs(seen - applied)).toBeLessThan(1 << 20)
  }, deadlineMs(90000))

  test('a client does not take its answer: the last stage shows it, in bytes and in time', async () => {
    const unsent = async () => [await ctx.stack.metric('edge-0', 'unsent_bytes'), await ctx.stack.metric('edge-0', 'unsent_lag_ms')]
    await sql("create table untaken (id int primary key, v text); insert into untaken values (1, repeat('x', 30000000))")
    await ctx.stack.shape({ table: 'untaken', offset: '-1' })
    await until(async () => (await unsent()).every((n) => n === 0), { what: 'everybody has taken everything' })
    const socket = net.connect(ctx.stack.port, '127.0.0.1').on('error', () => {})
    try {
      const began = Date.now()
      socket.write('GET /v1/shape?table=untaken&offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n')
      await new Promise((resolve) => socket.once('data', () => resolve(socket.pause())))
      await until(async () => (await unsent())[1] > 2000, { what: async () => `it is late, the edge shows ${await unsent()}` })
      const [bytes, ms] = await unsent()
      expect(bytes).toBeGreaterThan(1000000)
      expect(bytes).toBeLessThan(40000000)
      expect(ms).toBeLessThanOrEqual(Date.now() - began + 1000)
      socket.resume()
      await until(async () => (await unsent()).every((n) => n === 0), { what: async () => `it has taken it, the edge shows ${await unsent()}` })
    } finally {
      socket.destroy()
    }
  })

  test('rotations of shapes are counted by their cause, and each has its line', async () => {
    const causes = ['deleted', 'truncated', 'changed', 'no_old_row', 'failed', 'surplus', 'unpublished', 'hidden', 'purged', 'too_large']
    const counts = async () => Object.fromEntries(await Promise.all(causes.map(async (c) => [c, await ctx.stack.metric('router-0', `gone_${c}_total`)])))
    const rotates = async (cause, reason, rotate, where) => {
      const table = `rotated_${cause}`
      await sql(`create table ${table} (id int primary key, v text); insert into ${table} values (1, 'x')`)
      const before = await counts()
      const first = await ctx.stack.shape({ table, offset: '-1', where })
      expect(first.status).toBe(where ? 500 : 200)
      await rotate(table)
      await until(async () => (await counts())[cause] > before[cause], { what: async () => `a shape is counted as ${cause}, ${JSON.stringify(await counts())}` })
      expect(await counts()).toEqual({ ...before, [cause]: before[cause] + 1 })
      await ctx.stack.says(new RegExp(`event=shape_gone .*public\\.${table} is removed: ${reason}`))
    }
    await rotates('deleted', 'deleted', (table) => ctx.stack.shape({ table }, { method: 'DELETE' }))
    await rotates('truncated', 'its table was truncated', (table) => sql(`truncate ${table}`))
    await rotates('changed', 'its table changed', (table) => sql(`alter table ${table} alter v type varchar(9)`))
    await rotates('no_old_row', 'a change came without its old row', (table) => sql(`alter table ${table} replica identity default; update ${table} set v = 'y'`))
    await rotates('failed', 'its snapshot failed', () => {}, '10 / (id - 1) = 3')
  })

  test('ingest stands still: the router is not ready, says why, and is again', async () => {
    expect((await readyz('router-0')).status).toBe(200)
    ctx.stack.signal('ingest', 'SIGSTOP')
    try {
      const answer = await until(async () => {
        const a = await readyz('router-0')
        return a.status === 503 && a
      }, { what: 'the router is not ready' })
      expect(answer.text).toMatch(/leader does not answer|waiting for ingest/)
      await until(async () => (await ctx.stack.health()) === 202, { what: 'health says so' })
    } finally {
      ctx.stack.signal('ingest', 'SIGCONT')
    }
    await until(async () => (await readyz('router-0')).status === 200, { what: 'the router is ready' })
    await ctx.stack.ready()
  })

  test('a first request for a table while the stream is lost waits for the next one', async () => {
    for (let i = 0; i < 5; i++) {
      await sql(`create table at_once_${i} (id int primary key)`)
      await sql('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [ctx.stack.slot])
      const answer = await ctx.stack.shape({ table: `at_once_${i}`, offset: '-1' })
      expect([i, answer.status, answer.text]).toEqual([i, 200, expect.anything()])
    }
    await ctx.stack.kill('ingest')
    await sql('create table at_once_after_kill (id int primary key)')
    expect((await ctx.stack.shape({ table: 'at_once_after_kill', offset: '-1' })).status).toBe(200)
  })

  test('#245 others write, nobody of ours: the slot moves on', async () => {
    await sql('create table unrelated (v text)')
    const client = ctx.client({ table: 'slow' })
    await client.upToDate()
    for (let i = 0; i < 20; i++) await sql("insert into unrelated select repeat('x', 500) from generate_series(1, 1000)")
    await until(async () => Number((await slot()).behind) < 1 << 20, { what: async () => `the slot follows, it is ${(await slot()).behind} behind` })
  })

  test('#244 /metrics elsewhere is 404', async () => {
    for (const service of ctx.stack.services()) {
      const port = ctx.stack.adminPort + ctx.stack.services().indexOf(service)
      expect([(await admin(port)).status, (await admin(port, '/metricsx')).status, (await admin(port, '/')).status]).toEqual([200, 404, 404])
    }
    expect((await request(ctx.stack.url, { path: '/metrics' })).status).toBe(404)
  })
})

describe('two ingests, one router', () => {
  let postgres, db, dir, router, edge, http, env, controlPorts
  const ingests = []
  const sql = (text, values) => db.sql(text, values)
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([k]) => !/^(SLUICE_|ELECTRIC_|DATABASE_URL$|PG)/.test(k)))

  const launchIngest = (i) => {
    const log = logPath(`ingest-${i}`)
    addParty(`ingest-${i}`, log)
    ingests[i] = start(binary('ingest'), [], { log, env: { ...env, SLUICE_INGEST_CHANGES_URL: `tcp://127.0.0.1:${controlPorts + 2 * i}`, SLUICE_INGEST_CONTROL_URL: `tcp://127.0.0.1:${controlPorts + 2 * i + 1}`, SLUICE_INGEST_ADMIN_PORT: String(controlPorts + 4 + i) } })
  }
  const ready = async (i) => (await admin(controlPorts + 4 + i, '/readyz').catch(() => ({}))).status === 200
  const leader = async () => until(async () => ((await ready(0)) ? '0' : (await ready(1)) ? '1' : undefined), { what: 'somebody leads' }).then(Number)

  beforeAll(async () => {
    postgres = await Postgres.start({ name: 'own-postgres' })
    db = await postgres.database()
    dir = mkdtempSync('/tmp/sluice-it-')
    controlPorts = await freePorts(8)
    http = await freePorts()
    env = {
      ...inherited, DATABASE_URL: db.url, SLUICE_STREAM_ID: 'two', SLUICE_ROUTERS: '1', SLUICE_INSECURE: 'true', SLUICE_LONG_POLL_TIMEOUT: '2s', SLUICE_HTTP_PORT: String(http), SLUICE_HTTP_HOST: '127.0.0.1',
      SLUICE_ROUTER_DIR: join(dir, 'router'), SLUICE_ROUTER_ADMIN_PORT: String(controlPorts + 6), SLUICE_ROUTER_NOTICES_URL: `ipc://${dir}/n`, SLUICE_ROUTER_FETCH_URL: `ipc://${dir}/f`, SLUICE_ROUTER_NOTICES_URLS: `ipc://${dir}/n`, SLUICE_ROUTER_FETCH_URLS: `ipc://${dir}/f`,
      SLUICE_INGEST_CHANGES_URLS: [0, 1].map((i) => `tcp://127.0.0.1:${controlPorts + 2 * i}`).join(','), SLUICE_INGEST_CONTROL_URLS: [0, 1].map((i) => `tcp://127.0.0.1:${controlPorts + 2 * i + 1}`).join(','),
    }
    for (const [name, set] of [['router', (p) => (router = p)], ['edge', (p) => (edge = p)]]) {
      const log = logPath(name)
      addParty(name, log)
      set(start(binary(name), [], { log, env }))
    }
    launchIngest(0)
    launchIngest(1)
    await until(async () => (await request(`http://127.0.0.1:${http}`, { path: '/v1/health' }, 2000).catch(() => ({}))).status === 200, { what: 'it is active' })
  })
  afterAll(async () => {
    for (const p of [edge, router, ...ingests]) if (p) await end(p, 'SIGTERM', 20000, 'a service')
    rmSync(dir, { recursive: true, force: true })
    await db.close()
    await postgres.destroy()
  })

  for (const [how, signal] of [['drains', 'SIGTERM'], ['is killed', 'SIGKILL']]) {
    test(`#233 the leader ${how} in the middle of writes: the other takes over, nothing is missing or doubled`, async () => {
      const table = `taken_over_${signal.toLowerCase()}`
      await sql(`create table ${table} (id int primary key, v text); insert into ${table} select n, 'v' from generate_series(1, 100) n`)
      const client = syncClient(`http://127.0.0.1:${http}`, { table })
      closing.push(() => client.close())
      await client.upToDate()
      let go = true
      let n = 0
      const session = await db.session()
      const writes = (async () => {
        while (go) await session.query(`insert into ${table} values (${1000 + ++n}, 'n'); update ${table} set v = 'u${n}' where id = ${1 + (n % 100)}`)
      })()
      for (let round = 0; round < 3; round++) {
        const i = await leader()
        const from = n
        await until(() => n > from + 20, { what: 'writes are made' })
        await end(ingests[i], signal, 20000, 'the leader')
        await until(() => ready(1 - i), { what: 'the other one leads' })
        launchIngest(i)
        await sql(`create table new_${signal.toLowerCase()}_${round} (id int primary key)`)
        const first = await request(`http://127.0.0.1:${http}`, { query: { table: `new_${signal.toLowerCase()}_${round}`, offset: '-1' } })
        expect([first.status, first.status === 200 ? '' : first.text]).toEqual([200, ''])
      }
      go = false
      await writes
      await client.converges(db, table, { within: 30000 })
      expect([client.refetches, client.handles.length]).toEqual([0, 1])
    }, deadlineMs(60000))
  }

  test('#233 a table is first asked for in the moment between two leaders: its snapshot waits for the next one', async () => {
    const i = await leader()
    const reason = async () => (await admin(controlPorts + 6, '/readyz').catch(() => ({ text: '' }))).text
    await sql('create table between (id int primary key); insert into between values (1)')
    // somebody who stands first in the queue for the lock: the standby only tries now and then
    const session = await db.session()
    const locked = session.query("select pg_advisory_lock(hashtext('electric_slot_two'))")
    await until(async () => (await sql("select 1 from pg_locks where locktype = 'advisory' and not granted")).length, { what: 'it stands in the queue' })
    ingests[i].child.kill('SIGKILL')
    await locked
    try {
      await until(async () => /lock/.test(await reason()), { what: async () => `the standby leads nobody, and the router knows it: ${await reason()}`, every: 5 })
      let answered
      const first = request(`http://127.0.0.1:${http}`, { query: { table: 'between', offset: '-1' } }, 20000).then((a) => (answered = a))
      await holdsFor(700, () => !answered, () => `it is not answered yet, it was: ${answered.status} ${answered.text}`)
      await session.query("select pg_advisory_unlock(hashtext('electric_slot_two'))")
      const answer = await first
      expect([answer.status, answer.changes.length]).toEqual([200, 1])
    } finally {
      await session.end()
      launchIngest(i)
    }
  })
})

describe('how Postgres is reached', () => {
  let postgres, dir
  beforeAll(async () => {
    dir = mkdtempSync('/tmp/sluice-ca-')
    const ca = new Authority(dir, 'ca')
    new Authority(dir, 'other')
    const { cert, key } = ca.issue('localhost')
    postgres = await startTls(cert, key)
  })
  afterAll(async () => {
    await postgres?.destroy()
    rmSync(dir, { recursive: true, force: true })
  })
  async function startTls(cert, key) {
    const self = await Postgres.start({ name: 'tls' })
    for (const [from, to] of [[cert, 'server.crt'], [key, 'server.key']]) {
      copyFileSync(from, join(self.data, to))
      chmodSync(join(self.data, to), 0o600)
      if (process.getuid() === 0) execFileSync('chown', ['postgres:postgres', join(self.data, to)])
    }
    self.configure({ ssl: 'on' })
    await self.restart()
    return self
  }
  const url = (database, mode, host = 'localhost') => `${postgres.url(database).replace('127.0.0.1', host)}${mode ? `?sslmode=${mode}` : ''}`
  const over = async (db, stack) =>
    (await db.sql("select bool_and(ssl) encrypted from pg_stat_ssl join pg_stat_activity using (pid) where application_name like 'sluice-%' and datname = $1", [db.name]))[0].encrypted

  async function works({ mode, ca, host }, encrypted) {
    const db = await postgres.database()
    await db.sql('create table t (id int primary key); insert into t values (1)')
    const stack = new Stack({ url: url(db.name, mode, host), env: ca ? { ELECTRIC_DATABASE_CA_CERTIFICATE_FILE: join(dir, `${ca}.pem`) } : {} })
    try {
      await stack.launch()
      await stack.ready()
      const client = syncClient(stack, { table: 't' })
      closing.push(() => client.close())
      await client.converges(db, 't')
      expect(await over(db, stack)).toBe(encrypted)
    } finally {
      await stack.destroy(db)
    }
  }
  async function fails({ mode, ca, host, to }, line) {
    const stack = new Stack({ url: to ?? url('postgres', mode, host), env: ca ? { SLUICE_CA_FILE: join(dir, `${ca}.pem`) } : {} })
    try {
      await stack.launch()
      expect(await stack.says(line)).not.toContain('wavelet')
      expect(await stack.health()).not.toBe(200)
    } finally {
      await stack.destroy()
    }
  }

  for (const [mode, encrypted] of [[undefined, true], ['disable', false], ['allow', false], ['prefer', true], ['require', true]])
    test(`#237 sslmode ${mode ?? 'not given'}: ${encrypted ? 'encrypted' : 'plain'}`, () => works({ mode }, encrypted))
  for (const mode of [undefined, 'require', 'verify-ca', 'verify-full']) test(`#237 a private CA, sslmode ${mode ?? 'not given'}`, () => works({ mode, ca: 'ca' }, true))
  test('#237 another CA', () => fails({ ca: 'other' }, /certificate verify failed/))
  test('#237 another host name', () => fails({ ca: 'ca', host: '127.0.0.1' }, /does not match host name/))
  test('#237 verification without a CA', () => fails({ mode: 'verify-full' }, /SLUICE_CA_FILE/))
  test('#237 a CA, and no encryption', () => fails({ mode: 'disable', ca: 'ca' }, /contradicts SLUICE_CA_FILE/))
  test('#237 a CA file that is not there', () => fails({ ca: 'no-such' }, /cannot read .*no-such/))
  test('#237 encryption is required and not offered', async () => {
    const plain = Postgres.attach(inject('postgres'))
    await fails({ to: `${plain.url()}?sslmode=require` }, /does not support SSL, but SSL was required/)
  })

  test('#236 the first address is IPv6 and nobody listens there: the second one is used', () => works({ host: '[::1],127.0.0.1' }, true))
})

describe('a pooler', () => {
  test.skipIf(!PgBouncer.available)('#238 snapshots and subsets go through it, and look as without it', async () => {
    const postgres = Postgres.attach(inject('postgres'))
    const pooler = await PgBouncer.start(postgres)
    closing.push(() => pooler.destroy())
    const db = await postgres.database()
    await db.sql("create table pooled (id int primary key, b bytea, d timestamptz, i interval, f float8); insert into pooled select n, 'x', '2024-02-03 04:05:06+00', '1 day 2 hours', 1.1 from generate_series(1, 100) n")
    const stack = await Stack.start({ database: db, env: { ELECTRIC_POOLED_DATABASE_URL: db.url.replace(`:${postgres.port}/`, `:${pooler.port}/`) } })
    try {
      const client = syncClient(stack, { table: 'pooled' })
      closing.push(() => client.close())
      await client.converges(db, 'pooled')
      const others = [3, 5, 7, 9].map((k) => syncClient(stack, { table: 'pooled', where: `id > ${k}` }))
      for (const c of others) closing.push(() => c.close())
      for (const [n, c] of others.entries()) await c.converges(db, 'pooled', { where: `id > ${3 + 2 * n}` })
      const answer = await stack.shape({ table: 'pooled', offset: '-1' })
      expect(answer.changes[0].value).toMatchObject({ b: '\\x78', d: '2024-02-03 04:05:06+00', i: 'P1DT2H', f: '1.1' })
      const at = await endOf(stack, { table: 'pooled' })
      const subset = await stack.shape({ ...at, subset__where: 'id < 3', subset__order_by: 'id', subset__limit: '5' })
      expect([subset.status, subset.json.data.length, subset.json.data[0].value.i]).toEqual([200, 2, 'P1DT2H'])
      expect(pooler.logins()).toBeGreaterThanOrEqual(2)
      await db.sql("update pooled set f = 2.5 where id = 4; insert into pooled (id) values (1000)")
      await client.converges(db, 'pooled')
    } finally {
      await stack.destroy(db)
    }
  })
})

describe('#239 the secret', () => {
  const run = (env) => {
    try {
      execFileSync(binary('edge'), [], { env: { ...process.env, SLUICE_ROUTER_NOTICES_URLS: 'ipc:///tmp/x', SLUICE_ROUTER_FETCH_URLS: 'ipc:///tmp/y', ...env }, stdio: 'pipe', timeout: 10000 })
      return { status: 0 }
    } catch (error) {
      return { status: error.status, text: String(error.stderr) }
    }
  }
  test('#239 neither a secret nor insecure, and both: the edge says so and ends', () => {
    const neither = run({ SLUICE_SECRET: '', SLUICE_INSECURE: '' })
    expect(neither.status).toBeGreaterThan(0)
    expect(neither.text).toMatch(/You must set SLUICE_SECRET \(ELECTRIC_SECRET\) unless SLUICE_INSECURE/)
    const both = run({ SLUICE_SECRET: 'a secret', SLUICE_INSECURE: 'true' })
    expect(both.status).toBeGreaterThan(0)
    expect(both.text).toMatch(/You cannot set both/)
    expect(both.text).not.toContain('a secret')
  })
})

describe('SLUICE_MAX_SHAPES', () => {
  const ctx = useStack({ env: { SLUICE_MAX_SHAPES: '3', SLUICE_EDGE_CACHE_BYTES: '0' } })

  test('#243 one too many: the one that nobody has asked for the longest goes, its clients get 409; others are not disturbed', async () => {
    const tables = ['one', 'two', 'three', 'four']
    for (const t of tables) await ctx.db.sql(`create table ${t} (id int primary key); insert into ${t} values (1)`)
    const ends = {}
    for (const t of tables.slice(0, 3)) ends[t] = await endOf(ctx.stack, { table: t })
    const waiting = ctx.client({ table: 'three' })
    await waiting.upToDate()
    expect((await request(ctx.stack.url, { query: ends.one })).status).toBe(200)
    await holdsFor(6000, async () => (await ctx.stack.metric('router-0', 'shapes')) === 3, 'as many as allowed stay') // an edge tells every five seconds what was asked for
    expect((await request(ctx.stack.url, { query: ends.one })).status).toBe(200)
    ends.four = await endOf(ctx.stack, { table: 'four' })
    await until(async () => (await ctx.stack.metric('router-0', 'gone_surplus_total')) === 1, { what: 'one goes' })
    const status = {}
    for (const t of ['one', 'three', 'four']) status[t] = (await request(ctx.stack.url, { query: ends[t] })).status
    expect(status).toEqual({ one: 200, three: 200, four: 200 })
    const gone = await request(ctx.stack.url, { query: ends.two })
    expect(gone.status).toBe(409)
    expect(gone.handle).not.toBe(ends.two.handle)
    expect(waiting.refetches).toBe(0)
  })
})
