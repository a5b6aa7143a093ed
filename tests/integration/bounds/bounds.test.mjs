// Bounded (I7): under the worst loads every service stays below its configured memory, a client of another shape notices nothing,
// and afterwards everybody has everything. Against the release build, for memory is what is measured.
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { useStack } from '../lib/fixture.mjs'
import { encodeQuery, readShape, request } from '../lib/http.mjs'
import { pause, until } from '../lib/wait.mjs'
import { CEILING_BYTES, Memory } from './lib/memory.mjs'
import { Neighbour, noticedNothing, quantile } from './lib/neighbour.mjs'
import { size } from './lib/size.mjs'
import { SlowReaders, openMany } from './lib/slow.mjs'
import { Tail } from './lib/tail.mjs'

const QUIET_MS = 3000
const LONG_MS = size(300000, 3600000)

/** A stack, a neighbour on its first edge, and what both need. */
function useBounds(options) {
  const ctx = useStack(options)
  ctx.sql = (text, values) => ctx.db.sql(text, values)
  beforeEach(async () => {
    ctx.neighbour = await Neighbour.start(ctx.db, ctx.stack.url, `neighbour_${Date.now()}`)
    await pause(200)
    ctx.quiet = (await ctx.neighbour.during(() => pause(QUIET_MS))).delays
    ctx.memory = new Memory(ctx.stack)
  })
  afterEach(async ({ task }) => {
    await ctx.neighbour.stop()
    ctx.memory.stayedBelow(CEILING_BYTES, task.name)
  })
  /** Everything that the load has written is on every router's disk. */
  ctx.caughtUp = async (within = 60000) => {
    const [{ lsn }] = await ctx.sql('select pg_current_wal_lsn() lsn')
    await until(async () => {
      const [{ ok }] = await ctx.sql('select bool_and(confirmed_flush_lsn >= $1) ok from pg_replication_slots where slot_name = $2', [lsn, ctx.stack.slot])
      return ok
    }, { within, what: 'everything is acknowledged', every: 100 })
  }
  return ctx
}

/** Which router made a handle. */
const routerOf = (handle) => Number(BigInt(handle.split('-')[0]) % 256n)

describe('one large transaction', () => {
  const ctx = useBounds({})
  const rows = size(500000, 10000000)

  test(`${rows} rows`, { timeout: LONG_MS }, async () => {
    await ctx.sql('create table big (id int primary key, name text, payload text)')
    const tail = await Tail.start(ctx.stack.url, { table: 'big' })
    ctx.cleanup(() => tail.stop())
    const writer = await ctx.db.session()
    // Postgres reads the WAL of all transactions for each reader in order, and sends one after the other: who commits beside or after a
    // large one waits for it, whatever we do. That is told; what it costs in memory is asserted.
    const { delays } = await ctx.neighbour.during(async () => {
      await writer.query(`insert into big select n, 'name ' || n, repeat('0123456789abcdef', 9) from generate_series(1, ${rows}) n`)
      await tail.has(rows, LONG_MS / 2)
    }, LONG_MS / 2)
    console.log(`meanwhile half of a neighbour's rows were seen within ${Math.round(quantile(delays, 0.5))} ms, all within ${Math.round(delays.at(-1))} ms`)
    await ctx.caughtUp()
  })
})

describe('many shapes', () => {
  const ctx = useBounds({ env: { SLUICE_MAX_CONCURRENT_REQUESTS: '{"initial":1000,"existing":10000}' } })
  const first = 500, shapes = size(3000, 100000)

  test(`${shapes} shapes`, { timeout: LONG_MS }, async () => {
    await ctx.sql('create table filtered (id int primary key, grp int)')
    let next = 0
    const make = async (count) => {
      for (let i = next++; i < count; i = next++) {
        const answer = await request(ctx.stack.url, { query: { table: 'filtered', where: `grp = ${i}`, offset: '-1' } })
        if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
      }
      next = count
    }
    const makeUpTo = (count) => Promise.all(Array.from({ length: 32 }, () => make(count)))
    await makeUpTo(first) // what is there but once is not the question
    const before = ctx.memory.now('router-0'), began = Date.now()
    await makeUpTo(shapes)
    console.log(`${Math.round(((shapes - first) / (Date.now() - began)) * 1000)} shapes made a second`)
    const each = (ctx.memory.now('router-0') - before) / (shapes - first)
    console.log(`${Math.round(each)} bytes of the router's memory for each shape`)
    expect(each).toBeLessThan(size(2048, 1024)) // of a few thousand, tables that have just grown are a large part
    const { delays } = await ctx.neighbour.during(() => ctx.sql(`insert into filtered select n, n % ${shapes} from generate_series(1, 20000) n`).then(() => pause(QUIET_MS)))
    noticedNothing(ctx.quiet, delays, `${shapes} shapes`)
    const old = ctx.stack.pid('router-0'), killed = Date.now()
    await ctx.stack.kill('router-0')
    expect(ctx.stack.pid('router-0')).not.toBe(old)
    const again = await request(ctx.stack.url, { query: { table: 'filtered', where: 'grp = 7', offset: '-1' } })
    expect(again.status).toBe(200)
    console.log(`served again ${Date.now() - killed} ms after kill -9 of the router`)
    for (const grp of [0, 1, Math.floor(shapes / 2), shapes - 1]) {
      const rows = (await readShape(ctx.stack.url, { table: 'filtered', where: `grp = ${grp}` })).flatMap((a) => a.changes)
      const [{ n }] = await ctx.sql('select count(*)::int n from filtered where grp = $1', [grp])
      expect(rows).toHaveLength(n)
    }
    await ctx.caughtUp()
  })
})

/** Waits until a counter grows by less than a thousandth in a second. */
async function atRest(counter) {
  for (let last = 0, now = await counter(); now - last > now / 1000; now = await counter()) {
    last = now
    await pause(1000)
  }
}

describe('clients that read 1 KB/s', () => {
  const ctx = useBounds({ env: { SLUICE_LONG_POLL_TIMEOUT: '20s' } })
  const clients = size(500, 2000), readMs = size(5000, 60000)

  test(`${clients} clients, each at a place of its own in the log`, { timeout: LONG_MS }, async () => {
    await ctx.sql('create table slow (id int primary key, payload text)')
    const [{ handle, offset }] = await readShape(ctx.stack.url, { table: 'slow' })
    // What has not filled a chunk yet is not shared: each of these answers is another one, of several megabytes.
    for (let i = 0; i < clients; i++) await ctx.sql(`insert into slow values (${i}, repeat('0123456789abcdef', ${Math.floor(8e6 / clients / 16)}))`)
    await ctx.caughtUp()
    const all = (await readShape(ctx.stack.url, { table: 'slow' }, { handle, offset })).flatMap((a) => a.changes)
    expect(all).toHaveLength(clients)
    const sockets = await openMany(ctx.stack.port, clients)
    const place = (i) => all[Math.floor(i / 2)].headers // the first half: megabytes follow
    const target = (i) => `/v1/shape${encodeQuery({ table: 'slow', handle, offset: `${place(i).lsn}_${place(i).op_position}` })}`
    const slow = new SlowReaders(sockets, target, 1024)
    await ctx.neighbour.during(() => slow.allServed()) // every connection's buffers are filled first, as fast as it goes
    await atRest(() => ctx.stack.metric('router-0', 'fetch_bytes_total'))
    const { delays } = await ctx.neighbour.during(() => pause(readMs))
    noticedNothing(ctx.quiet, delays, `${clients} clients that read 1 KB/s`)
    const again = (await readShape(ctx.stack.url, { table: 'slow' }, { handle, offset })).flatMap((a) => a.changes)
    expect(again).toHaveLength(clients)
    slow.stop()
  })
})

describe('half-open connections', () => {
  const ctx = useBounds({ env: { SLUICE_TCP_READ_TIMEOUT: '5s' } })
  const connections = size(3000, 10000)

  test(`${connections} connections that never send a whole request`, { timeout: LONG_MS }, async () => {
    const pieces = ['', 'GET', 'GET /v1/shape?table=neighbour HTTP/1.1\r\nhost: x\r\n', 'POST /v1/shape HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{']
    const sockets = await openMany(ctx.stack.port, connections)
    const { delays } = await ctx.neighbour.during(async () => {
      sockets.forEach((s, i) => pieces[i % 4] && s.write(pieces[i % 4]))
      await pause(QUIET_MS)
    })
    noticedNothing(ctx.quiet, delays, `${connections} half-open connections`)
    sockets.forEach((s) => s.resume())
    await until(() => sockets.every((s) => s.destroyed), { within: 30000, what: () => `${sockets.filter((s) => !s.destroyed).length} connections are still open` })
  })
})

const LOAD_TX_PER_SECOND = 50

/** Writes to `table`, 50 transactions a second at most, until told to stop; that resolves with the number of rows. */
function load(ctx, table, rowsPerTx) {
  const state = { rows: 0, going: true }
  const write = async () => {
    const session = await ctx.db.session()
    while (state.going) {
      const next = pause(1000 / LOAD_TX_PER_SECOND)
      await session.query(`insert into ${table} select n, repeat('0123456789abcdef', 16) from generate_series(${state.rows + 1}, ${state.rows + rowsPerTx}) n`)
      state.rows += rowsPerTx
      await next
    }
    return state.rows
  }
  const done = write()
  state.stop = () => {
    state.going = false
    return done
  }
  ctx.cleanup(state.stop)
  return state
}

describe('a router that is stopped', () => {
  const ctx = useBounds({ routers: 2 })
  const ms = size(15000, 180000)

  test(`for ${ms / 1000} s, while its table is written`, { timeout: LONG_MS }, async () => {
    let table
    const [{ handle: near }] = await readShape(ctx.stack.url, { table: ctx.neighbour.table })
    for (let i = 0; !table; i++) {
      await ctx.sql(`create table far_${i} (id int primary key, payload text)`)
      const [{ handle }] = await readShape(ctx.stack.url, { table: `far_${i}` })
      if (routerOf(handle) !== routerOf(near)) table = `far_${i}`
    }
    const tail = await Tail.start(ctx.stack.url, { table })
    const pid = ctx.stack.signal(`router-${1 - routerOf(near)}`, 'SIGSTOP')
    const writes = load(ctx, table, 200)
    try {
      const { delays } = await ctx.neighbour.during(() => pause(ms))
      noticedNothing(ctx.quiet, delays, 'another router stopped')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    const rows = await writes.stop()
    console.log(`${rows} rows were written meanwhile`)
    await tail.has(rows, LONG_MS / 2)
    await ctx.caughtUp()
    tail.stop()
  })
})

describe('an edge that cannot keep up', () => {
  const ctx = useBounds({ edges: 2 })
  const ms = size(15000, 180000)

  test(`stopped for ${ms / 1000} s, while its clients' table is written`, { timeout: LONG_MS }, async () => {
    await ctx.sql('create table far (id int primary key, payload text)')
    await readShape(ctx.stack.url, { table: 'far' })
    const tails = await Promise.all(Array.from({ length: 20 }, () => Tail.start(ctx.stack.edgeUrl(1), { table: 'far' })))
    const pid = ctx.stack.signal('edge-1', 'SIGSTOP')
    const writes = load(ctx, 'far', 100) // small enough to travel with the notices
    try {
      const { delays } = await ctx.neighbour.during(() => pause(ms))
      noticedNothing(ctx.quiet, delays, 'another edge stopped')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    const rows = await writes.stop()
    console.log(`${rows} rows were written meanwhile`)
    for (const tail of tails) await tail.has(rows, LONG_MS / 2)
    for (const tail of tails) tail.stop()
  })
})
