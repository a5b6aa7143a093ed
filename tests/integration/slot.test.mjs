// The replication slot is lost, taken, stale, or the database is another one (protocol §7.2, §7.7): what cannot be continued for certain begins
// again, clients end with what SELECT says, and nobody is stuck.
import { execFileSync, spawn } from 'node:child_process'
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { syncClient } from './lib/client.mjs'
import { readShape, request } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { Postgres, postgresBin } from './lib/postgres.mjs'
import { Stack } from './lib/stack.mjs'
import { deadlineMs, until } from './lib/wait.mjs'

let postgres, db, stack, table
let tables = 0
const closing = []
const sql = (text, values) => db.sql(text, values)

beforeAll(async () => {
  postgres = await Postgres.start({ name: 'own-postgres' })
  db = await postgres.database()
})
afterAll(() => postgres.destroy())

/** A stack with a shape of a table of its own, and a client that follows it. */
async function launched(env) {
  table = `t${++tables}`
  await sql(`create table ${table} (id int primary key, v text); insert into ${table} select n, 'v' || n from generate_series(1, 300) n`)
  stack = await Stack.start({ database: db, env: { SLUICE_CHUNK_BYTES: '5000', ...env } })
  return follow()
}

async function follow() {
  const client = syncClient(stack, { table })
  closing.push(() => client.close())
  await client.converges(db, table)
  return client
}

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
  await stack?.destroy(db)
  db = await postgres.database()
  stack = undefined
})

const slotOf = async (s = stack) => (await sql('select * from pg_replication_slots where slot_name = $1', [s.slot]))[0]
const dropSlot = async () => {
  await until(async () => !(await slotOf()).active, { what: 'nobody uses the slot' })
  await sql('select pg_drop_replication_slot($1)', [stack.slot])
}
let rows = 1000
const write = () => sql(`insert into ${table} values (${++rows}, 'new'); update ${table} set v = 'changed ${rows}' where id % 7 = 0; delete from ${table} where id = ${rows - 1000}`)

/** The shape at `before` cannot be continued: 409 with another handle, and the client ends right. */
async function rotated(before, client, log = /event=router_purge/) {
  await stack.ready()
  const answer = await until(async () => {
    const a = await request(stack.url, { query: before })
    expect([200, 400, 409, 503]).toContain(a.status)
    return a.status === 409 && a.handle && a
  }, { what: () => `409 with a new handle\n${stack.logTail()}` })
  expect(answer.handle).not.toBe(before.handle)
  await write()
  await client.converges(db, table, { within: 30000 })
  expect(client.handles).toHaveLength(2)
  // a publication that is gone is noticed by who looks first
  const gone = await Promise.all(['purged', 'unpublished'].map((cause) => stack.metric('router-0', `gone_${cause}_total`)))
  expect(gone[0] + gone[1]).toBeGreaterThan(0)
  if (gone[0]) expect(stack.logLines(log).length).toBeGreaterThan(0)
}

describe('the slot is lost', () => {
  test('#227 dropped while the stack is down', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    await stack.stop()
    await dropSlot()
    await write()
    await stack.launch()
    await rotated(before, client)
    expect(stack.logLines(/event=slot_created/)).toHaveLength(2)
  })

  test('dropped, and nothing was written', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    await stack.stop()
    await dropSlot()
    await stack.launch()
    await rotated(before, client)
  })

  test('dropped while the stack runs', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    stack.signal('ingest', 'SIGSTOP')
    await sql('select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = $1', [stack.slot])
    await dropSlot()
    await write()
    stack.signal('ingest', 'SIGCONT')
    await stack.says(/event=stream_lost/)
    await rotated(before, client)
  })

  test('recreated by somebody at a later position', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    await stack.stop()
    await dropSlot()
    await write()
    await sql("select pg_create_logical_replication_slot($1, 'pgoutput')", [stack.slot])
    await write()
    await stack.launch()
    await rotated(before, client)
  })

  test('moved on by somebody', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    await stack.stop()
    await write()
    await sql('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [stack.slot])
    await stack.launch()
    await rotated(before, client)
  })

  /** Postgres removes WAL that the slot needs. */
  async function invalidate() {
    await sql("alter system set max_slot_wal_keep_size = '1MB'")
    await sql('select pg_reload_conf()')
    await until(async () => {
      await sql('select pg_switch_wal()')
      await write()
      await sql('checkpoint')
      return (await slotOf()).wal_status === 'lost'
    }, { what: 'the slot is invalidated' })
  }
  const valid = async () => {
    await sql('alter system reset max_slot_wal_keep_size')
    await sql('select pg_reload_conf()')
  }

  test('#228 invalidated while the stack is down', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    await stack.stop()
    await invalidate()
    await stack.launch()
    await stack.says(/event=slot_dropped.*removed WAL/)
    await valid()
    await rotated(before, client)
  })

  test('#228 invalidated while it runs: the router is stopped, so that nothing is acknowledged', async () => {
    const client = await launched({ SLUICE_WINDOW_BYTES: '65536', SLUICE_BATCH_BYTES: '16384' })
    const before = await endOf(stack, { table })
    stack.signal('router-0', 'SIGSTOP')
    await invalidate()
    await stack.says(/event=slot_dropped/)
    await valid()
    stack.signal('router-0', 'SIGCONT')
    await rotated(before, client)
  })

  test('the publication is dropped while the stack is down, and while it runs', async () => {
    const client = await launched()
    let before = await endOf(stack, { table })
    await stack.stop()
    await sql(`drop publication electric_publication_${stack.streamId}`)
    await write()
    await stack.launch()
    await rotated(before, client)
    before = await endOf(stack, { table })
    await sql(`drop publication electric_publication_${stack.streamId}`)
    await write()
    await stack.says(/event=stream_lost/)
    await until(async () => (await request(stack.url, { query: before })).status === 409, { within: 20000, what: () => `the shape is gone\n${stack.logTail()}` })
    await client.converges(db, table, { within: 30000 })
  })
})

test('CLEANUP_REPLICATION_SLOTS_ON_SHUTDOWN: a leader that ends takes its slot along, a kill -9 does not', async () => {
  const client = await launched({ CLEANUP_REPLICATION_SLOTS_ON_SHUTDOWN: 'true' })
  const before = await endOf(stack, { table })
  await stack.crash()
  expect(await slotOf()).toBeDefined()
  await stack.launch()
  await stack.ready()
  expect((await request(stack.url, { query: before })).status).toBe(200)
  await stack.stop()
  expect(await slotOf()).toBeUndefined()
  await stack.launch()
  await rotated(before, client)
})

describe('the slot is in use', () => {
  const pgRecvlogical = (name) => {
    const child = spawn(join(postgresBin(), 'pg_recvlogical'), [
      '-d', db.url, '-S', stack.slot, '--start', '-f', '/dev/null', '-o', 'proto_version=1', '-o', `publication_names=electric_publication_${stack.streamId}`,
    ], { env: { ...process.env, PGAPPNAME: name }, stdio: 'ignore' })
    closing.push(() => child.kill('SIGKILL'))
    return child
  }

  test('by another program: a line that names it, and the stack goes on when it ends', async () => {
    const client = await launched()
    await stack.stop()
    const other = pgRecvlogical('somebody else')
    await until(async () => (await slotOf()).active, { what: 'the other one has it' })
    await stack.launch()
    const { active_pid: pid } = await slotOf()
    const line = await stack.says(/in use by another connection/)
    expect(line).toContain(`process ${pid}`)
    expect(line).toContain("'somebody else'")
    expect(await stack.health()).toBe(202)
    expect((await slotOf()).active_pid).toBe(pid)
    other.kill('SIGKILL')
    await stack.ready()
    await write()
    await client.converges(db, table, { within: 30000 })
  })

  test('#234 by a connection of an ingest that is gone', async () => {
    const client = await launched()
    await stack.stop()
    pgRecvlogical('sluice-ingest')
    await until(async () => (await slotOf()).active, { what: 'the stale one has it' })
    await stack.launch()
    await stack.says(/event=stale_connection_ended/)
    await stack.ready()
    await write()
    await client.converges(db, table, { within: 30000 })
  })

  test('the lock is held by a connection that does nothing, of an ingest that is gone', async () => {
    const client = await launched()
    await stack.stop()
    const holder = await db.session({ application_name: 'sluice-ingest' })
    await holder.query(`select pg_advisory_lock(hashtext('${stack.slot}'))`)
    await stack.launch()
    await stack.says(/event=standby/)
    await stack.says(/event=stale_connection_ended/, 30000)
    await stack.ready()
    await write()
    await client.converges(db, table, { within: 30000 })
    expect(client.handles).toHaveLength(1)
  }, deadlineMs(60000))

  test('the lock is held by somebody else’s session: it is left alone', async () => {
    await launched()
    await stack.stop()
    const holder = await db.session({ application_name: 'psql' })
    await holder.query(`select pg_advisory_lock(hashtext('${stack.slot}'))`)
    await stack.launch()
    await stack.says(/event=standby/)
    await until(async () => (await request(stack.url, { path: '/v1/health' }).catch(() => undefined))?.json?.status === 'waiting', { what: 'health says waiting' })
    expect((await request(stack.url, { query: { table, offset: '-1' } })).status).toBe(200)
    await holder.query('select pg_advisory_unlock_all()')
    await stack.ready()
    expect(stack.logLines(/stale_connection_ended/)).toHaveLength(0)
  })
})

describe('the database is another one', () => {
  const cut = (url) => url.replace(/^.*@/, '')

  test('another system: shapes of the old one are no shapes of the new one', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    await stack.stop()
    const other = await Postgres.start({ name: 'another-system' })
    closing.push(async () => {
      await stack.stop()
      stack.databaseUrl = db.url
      await other.destroy()
    })
    await other.query(`create table ${table} (id int primary key, v text)`)
    await other.query(`insert into ${table} values (1, 'of the other')`)
    stack.databaseUrl = other.url()
    await stack.launch()
    await stack.ready()
    const answer = await until(async () => {
      const a = await request(stack.url, { query: before })
      return a.status === 409 && a
    }, { what: () => `409\n${stack.logTail()}` })
    const [first] = await readShape(stack.url, { table })
    expect([first.handle, first.changes.map((m) => m.value)]).toEqual([answer.handle, [{ id: '1', v: 'of the other' }]])
    expect(cut(stack.databaseUrl)).not.toBe(cut(db.url))
    client.close()
  })

  test('a standby that was promoted: another timeline', async () => {
    await launched()
    const standby = await Postgres.standbyOf(postgres)
    closing.push(async () => {
      await stack.stop()
      stack.databaseUrl = db.url
      await standby.destroy()
    })
    const before = await endOf(stack, { table })
    await stack.stop()
    await until(async () => {
      const [{ behind }] = await sql('select coalesce(min(pg_current_wal_lsn() - replay_lsn), 1)::int8 behind from pg_stat_replication')
      return Number(behind) === 0
    }, { what: 'the standby has it all' })
    await standby.query('select pg_promote()')
    stack.databaseUrl = db.url.replace(`:${postgres.port}/`, `:${standby.port}/`)
    await stack.launch()
    await stack.ready()
    await until(async () => (await request(stack.url, { query: before })).status === 409, { what: () => `409\n${stack.logTail()}` })
    expect((await readShape(stack.url, { table })).flatMap((a) => a.changes)).toHaveLength(300)
  })

  test('a standby for a while, then promoted, under the running stack: ingest waits for it', async () => {
    const client = await launched()
    const before = await endOf(stack, { table })
    const ingest = stack.pid('ingest')
    db.forget()
    await db.close()
    await postgres.stop()
    postgres.becomeStandby()
    await postgres.launch()
    await stack.says(/event=setup_failed.*is a standby/)
    await postgres.promote()
    await rotated(before, client)
    expect(stack.pid('ingest')).toBe(ingest)
  }, deadlineMs(90000))

  /** A copy of the server's files, put back later: the database has gone back, with its slots. */
  async function backup() {
    db.forget()
    await db.close()
    await postgres.stop()
    const copy = join(postgres.dir, 'copy')
    rmSync(copy, { recursive: true, force: true })
    execFileSync('cp', ['-a', postgres.data, copy])
    await postgres.launch()
    return async () => {
      db.forget()
      await db.close()
      await postgres.stop()
      rmSync(postgres.data, { recursive: true })
      execFileSync('cp', ['-a', copy, postgres.data])
      await postgres.launch()
    }
  }

  test('a backup is put back while the stack is down', async () => {
    const client = await launched()
    await stack.stop()
    const restore = await backup()
    await stack.launch()
    await stack.ready()
    for (let i = 0; i < 20; i++) await write()
    await client.converges(db, table)
    const before = await endOf(stack, { table })
    await stack.stop()
    await restore()
    await stack.launch()
    await rotated(before, client)
  }, deadlineMs(90000))

  test('a backup is put back and has grown past what it was, in WAL and in transactions', async () => {
    const client = await launched()
    await stack.stop()
    const restore = await backup()
    await stack.launch()
    await stack.ready()
    for (let i = 0; i < 5; i++) await write()
    await client.converges(db, table)
    const before = await endOf(stack, { table })
    await stack.stop()
    await restore()
    await sql('create table elsewhere (id int)')
    for (let i = 0; i < 50; i++) await sql('insert into elsewhere select generate_series(1, 100)')
    await sql(`insert into ${table} values (-1, 'of another history')`)
    await sql('select pg_switch_wal()')
    await stack.launch()
    await rotated(before, client, /event=history_differs/)
  }, deadlineMs(90000))

  test('a backup is put back under the running stack', async () => {
    const client = await launched()
    const restore = await backup()
    await stack.ready()
    for (let i = 0; i < 20; i++) await write()
    await client.converges(db, table)
    const before = await endOf(stack, { table })
    await restore()
    await rotated(before, client)
  }, deadlineMs(90000))
})
