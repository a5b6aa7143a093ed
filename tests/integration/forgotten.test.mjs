// A server that forgets: with synchronous_commit=off a transaction is visible before its WAL is on disk, and a crash undoes it. The stream only brings
// what is on disk; a snapshot sees more, and must not keep a row that the database has forgotten (I2).
import { readFileSync } from 'node:fs'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { syncClient } from './lib/client.mjs'
import { expectedRows, fingerprint } from './lib/oracle.mjs'
import { Postgres } from './lib/postgres.mjs'
import { alive } from './lib/process.mjs'
import { Stack } from './lib/stack.mjs'
import { until } from './lib/wait.mjs'

let postgres, db, stack, table, stopped
let tables = 0
const sql = (text, values) => db.sql(text, values)
const one = async (text) => Object.values((await sql(text))[0])[0]

beforeAll(async () => {
  postgres = await Postgres.start({ name: 'own-postgres', settings: { synchronous_commit: 'off', autovacuum: 'off' } })
  db = await postgres.database()
  stack = await Stack.start({ database: db })
})
afterAll(async () => {
  await stack.destroy(db)
  await postgres.destroy()
})

beforeEach(async () => {
  table = `t${++tables}`
  await sql(`create table ${table} (id int primary key, v text); insert into ${table} values (1, 'kept')`)
  await stack.shape({ table, offset: '-1' }) // it is published from now on
  stopped = await idleFlushers()
})
afterEach(() => {
  for (const pid of stopped) if (alive(pid)) process.kill(pid, 'SIGCONT')
})

/** Stops the processes that would write the WAL of others out some time. */
async function idleFlushers() {
  const rows = await sql("select pid from pg_stat_activity where backend_type in ('walwriter', 'background writer', 'checkpointer')")
  expect(rows).toHaveLength(3)
  for (const { pid } of rows) process.kill(pid, 'SIGSTOP')
  return rows.map((r) => r.pid)
}

const AT_RISK = 30
/** Writes rows, each in a transaction of its own, whose WAL is not on disk. */
async function writeUnflushed() {
  for (let i = 0; i < AT_RISK; i++) await sql(`insert into ${table} values (${100 + i}, repeat('at risk', 250))`)
  expect(await one('select pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()'), 'it is not on disk').toBe(true)
}

/** All processes of the server at once, as when the machine dies; and a new start. */
async function crash() {
  const postmaster = postgres.process.pid
  const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8').trim().split(' ').map(Number)
  for (const pid of [postmaster, ...children]) process.kill(pid, 'SIGKILL')
  await postgres.process.exited
  await until(() => !children.some(alive), { what: 'all of them are dead' })
  db.forget()
  await postgres.launch()
}

describe('the server crashes before the WAL of what was seen is on disk', () => {
  test('without a reader the rows are forgotten: the crash does what it should', async () => {
    await writeUnflushed()
    await crash()
    expect(await sql(`select * from ${table}`)).toEqual([{ id: 1, v: 'kept' }])
  })

  test('a shape that is complete has nothing that the database forgot', async () => {
    await writeUnflushed()
    const client = syncClient(stack, { table, where: 'id > 0' })
    try {
      await client.upToDate()
      expect(client.rows.size).toBe(1 + AT_RISK)
      await crash()
      await sql(`insert into ${table} values (3, 'after')`)
      await client.converges(db, table, { within: 30000 })
    } finally {
      client.close()
    }
  })

  test('nor has a shape of changes only: who writes after the crash may get an xid that the snapshot saw', async () => {
    await writeUnflushed()
    const query = { table, log: 'changes_only', where: 'id > 0' }
    const first = await stack.shape({ ...query, offset: '-1' })
    const { handle, offset } = await stack.shape({ ...query, offset: first.offset, handle: first.handle })
    await crash()
    const wanted = async () => (await stack.shape({ ...query, offset, handle, live: 'true' })).changes ?? []
    await sql(`insert into ${table} values (3, 'after')`)
    await stack.ready()
    await until(async () => (await wanted()).some((m) => m.value.id === '3'), { what: 'the change arrives' })
  })

  test('nor has a subset', async () => {
    const { handle } = await stack.shape({ table, offset: '-1' })
    await writeUnflushed()
    const answer = await stack.shape({ table, offset: '0_0', handle, subset__where: 'id > 0' })
    expect([answer.status, answer.json?.data?.length]).toEqual([200, 1 + AT_RISK])
    await crash()
    const rows = await expectedRows(db, table)
    expect(fingerprint(answer.json.data.map((m) => m.value)).sort()).toEqual(fingerprint(rows).sort())
  })
})
