// What is answered while the database cannot do its part (protocol §4.6, §4.7, §7.9, §9.1): which status, which words, when to come
// back. A server of its own: transactions stay open here, and it is stopped.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { request } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { Stack } from './lib/stack.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {} })
const sql = (text) => ctx.db.sql(text)
const first = (stack, table, query) => stack.shape({ table, offset: '-1', ...query })

const LOCK = 'Timeout waiting for Postgres lock acquisition'
const PENDING = "Timeout waiting for replication client to be ready. Check that you don't have pending transactions in the database. Electric has to wait for all pending transactions to commit or rollback before it can create the replication slot."

/** A 503 that says `message`, and nothing of the inside. `known`: a snapshot failed, which clients may tell apart. */
function assertUnready(answer, message, retryAfter, { known = false } = {}) {
  expect([answer.status, answer.json]).toEqual([503, { message }])
  expect(answer.headers).toMatchObject({
    'retry-after': String(retryAfter), 'cache-control': 'no-store', 'surrogate-control': 'no-store', 'access-control-allow-origin': '*',
    'content-type': 'application/json; charset=utf-8',
  })
  expect(answer.headers['electric-internal-known-error']).toBe(known ? 'true' : undefined)
  for (const absent of ['electric-handle', 'electric-offset', 'electric-schema', 'electric-cursor', 'electric-has-data', 'etag']) expect(answer.headers).not.toHaveProperty(absent)
}

async function assertHealth(stack, status, state) {
  let answer
  await until(async () => {
    answer = await request(stack.url, { path: '/v1/health' }).catch(() => undefined)
    return answer?.json?.status === state
  }, { what: () => `health says ${state}, it says ${answer?.text}` })
  expect([answer.status, answer.text]).toEqual([status, `{"status":"${state}"}`])
  expect(answer.headers['cache-control']).toBe('no-cache, no-store, must-revalidate')
}

/** A stack that is launched but not waited for. */
async function launched(options, use) {
  const stack = new Stack(options)
  try {
    await stack.launch()
    await use(stack)
  } finally {
    await stack.destroy()
  }
}

describe.concurrent('before it is ready', () => {
  test('#29 #186 no database: health says starting, a request waits 5 s', () =>
    launched({ url: 'postgresql://postgres:x@127.0.0.1:1/postgres' }, async (stack) => {
      await assertHealth(stack, 202, 'starting')
      const began = Date.now()
      const answer = await first(stack, 'anything')
      expect(Date.now() - began).toBeGreaterThan(4500)
      assertUnready(answer, LOCK, 5)
      const wrong = await stack.shape({ table: 'anything' })
      expect([wrong.status, wrong.json.errors.offset], 'what needs no database is told at once').toEqual([400, ["can't be blank"]])
    }))

  test('#187 a transaction that is open when the slot is to be created', async () => {
    const db = await ctx.postgres.database()
    await db.sql('create table items (id int primary key); insert into items values (1)')
    const session = await db.session()
    await session.query('begin; insert into items values (2)')
    const stack = new Stack({ database: db })
    try {
      await stack.launch()
      await assertHealth(stack, 202, 'starting')
      await until(async () => (await db.sql("select 1 from pg_stat_activity where query like '%CREATE_REPLICATION_SLOT%' and pid <> pg_backend_pid()")).length, { what: 'the slot is being created' })
      assertUnready(await first(stack, 'items'), PENDING, 5)
      const waiting = first(stack, 'items')
      await session.query('commit')
      const answer = await waiting
      expect([answer.status, answer.changes.length]).toEqual([200, 2])
    } finally {
      await stack.destroy(db)
    }
  })
})

describe('while another one has the lock', () => {
  let at, clause, holder, stack
  beforeAll(async () => {
    stack = ctx.stack
    await sql('create table known (id int primary key); insert into known values (1); create table unknown (id int primary key)')
    at = await endOf(stack, { table: 'known' })
    clause = await endOf(stack, { table: 'known', where: 'id > 0' })
    await stack.stop()
    holder = await ctx.db.session()
    await holder.query(`select pg_advisory_lock(hashtext('${stack.slot}'))`)
    await stack.launch()
  })
  afterAll(async () => {
    await holder.query('select pg_advisory_unlock_all()')
    await stack.ready()
  })

  test('#28 #188 health says waiting; shapes that are there are served, new ones are not', async () => {
    await assertHealth(stack, 202, 'waiting')
    const known = await first(stack, 'known')
    expect([known.status, known.handle, known.changes.length]).toEqual([200, at.handle, 1])
    const [refused, poll, lost, wrong] = await Promise.all([
      first(stack, 'unknown'), stack.shape({ ...at, live: 'true' }), stack.shape({ table: 'unknown', offset: '0_0', handle: '1-1' }), stack.shape({ table: 'known', offset: 'x' }),
    ])
    assertUnready(refused, LOCK, 5)
    assertUnready(lost, LOCK, 5)
    expect([poll.status, poll.control, poll.headers['electric-has-data']]).toEqual([200, ['up-to-date'], 'false'])
    expect(wrong.status).toBe(400)
    expect((await stack.shape({ table: 'known', offset: '0_0', handle: '1-1' })).handle).toBe(at.handle)
    const began = Date.now()
    for (const [query, field] of [[{ table: 'nope' }, 'table'], [{ table: 'known', columns: 'nope' }, 'columns'], [{ table: 'unknown', where: 'nope' }, 'where']])
      expect(Object.keys((await first(stack, query.table, query)).json.errors), 'what is wrong is told at once').toEqual([field])
    const spelt = await first(stack, 'known', { where: ' ' })
    expect([spelt.status, spelt.handle]).toEqual([200, at.handle])
    const aliased = await first(stack, 'known', { where: '(id>0)' })
    expect([aliased.status, aliased.handle], 'another spelling of a shape').toEqual([200, clause.handle])
    expect(Date.now() - began).toBeLessThan(4500)
  })
})

describe('the database goes', () => {
  test('#164 a long poll whose time is up meanwhile', async () => {
    await sql('create table left_alone (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'left_alone' })
    ctx.db.forget()
    await ctx.postgres.stop()
    try {
      await assertHealth(ctx.stack, 202, 'starting')
      assertUnready(await ctx.stack.shape({ ...at, live: 'true' }), LOCK, 10)
      expect((await first(ctx.stack, 'left_alone')).handle).toBe(at.handle)
    } finally {
      await ctx.postgres.launch()
      await ctx.stack.ready()
    }
    expect((await ctx.stack.shape({ ...at, live: 'true' })).status).toBe(200)
  })

  test('#67 it takes no new connections: what cannot be verified', async () => {
    await sql('create table unverified (id int primary key)')
    const { name } = ctx.db
    await ctx.postgres.query(`alter database ${name} with allow_connections false`)
    try {
      await ctx.postgres.query(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}' and application_name = 'sluice-catalog'`)
      const answer = await first(ctx.stack, 'unverified')
      assertUnready(answer, 'Cannot connect to the database to verify the shape. Please try again later.', 1)
      expect((await first(ctx.stack, 'left_alone')).status, 'what is known needs no verifying').toBe(200)
    } finally {
      await ctx.postgres.query(`alter database ${name} with allow_connections true`)
    }
    await until(async () => (await first(ctx.stack, 'unverified')).status === 200, { what: 'the table is served' })
  })
})

describe('a snapshot that fails', () => {
  const failed = (answer, message) => assertUnready(answer, message, 10, { known: true })

  test('the table is locked', async () => {
    await sql('create table locked (id int primary key)')
    const session = await ctx.db.session()
    await session.query('begin; lock table locked in access exclusive mode')
    const answer = await first(ctx.stack, 'locked')
    await session.query('commit')
    failed(answer, 'Snapshot timed out while waiting for a table lock')
    expect((await first(ctx.stack, 'locked')).status).toBe(200)
  })

  test('#191 Postgres cannot evaluate the where: its own words, no traces', async () => {
    await sql('create table divided (id int primary key, n int); insert into divided values (1, 0)')
    const answer = await first(ctx.stack, 'divided', { where: '1 / n = 1' })
    expect([answer.status, answer.json]).toEqual([500, { message: 'Unexpected error while creating snapshot: division by zero' }])
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-store', 'surrogate-control': 'no-store', 'content-type': 'application/json; charset=utf-8' })
  })

  test('#189 a table that belongs to somebody else', async () => {
    const db = await ctx.postgres.database()
    const user = `low_${process.pid}`
    await db.sql(`create role ${user} login replication password 'low'; grant all on database ${db.name} to ${user}; create table items (id int primary key); grant select on items to ${user}`)
    const stack = await Stack.start({ url: ctx.postgres.url(db.name, { user, password: 'low' }) })
    try {
      failed(await first(stack, 'items'), 'Unable to create initial snapshot: must be owner of table items')
      await db.sql(`alter table items owner to ${user}`)
      expect((await first(stack, 'items')).status, 'the next request tries again').toBe(200)
    } finally {
      await stack.destroy()
      await db.sql(`select pg_drop_replication_slot('${stack.slot}')`)
      await db.sql(`reassign owned by ${user} to postgres; drop owned by ${user}; drop role ${user}`)
      await db.close()
    }
  })

  test('#190 #231 manual publishing, and a table that is not published', async () => {
    const db = await ctx.postgres.database()
    const user = `manual_${process.pid}`
    await db.sql(`create role ${user} login replication password 'low'; create table items (id int primary key); create table others (id int primary key); grant select on items, others to ${user}`)
    const stack = new Stack({ url: ctx.postgres.url(db.name, { user, password: 'low' }), env: { ELECTRIC_MANUAL_TABLE_PUBLISHING: 'true' } })
    await db.sql(`create publication electric_publication_${stack.streamId} for table items; alter table items replica identity full`)
    try {
      await stack.launch()
      await stack.ready()
      expect((await first(stack, 'items')).status).toBe(200)
      const missing = `Database table "public.others" is missing from the publication "electric_publication_${stack.streamId}" and the ELECTRIC_MANUAL_TABLE_PUBLISHING setting prevents Electric from adding it`
      for (let i = 0; i < 2; i++) failed(await first(stack, 'others'), missing)
      failed(await stack.shape({ table: 'others', offset: 'now' }), missing)
      await db.sql(`alter publication electric_publication_${stack.streamId} add table others`)
      failed(await first(stack, 'others'), 'Database table "public.others" does not have its replica identity set to FULL')
      await db.sql('alter table others replica identity full')
      expect((await first(stack, 'others')).status).toBe(200)
    } finally {
      await stack.destroy()
      await db.sql(`select pg_drop_replication_slot('${stack.slot}')`)
      await db.sql(`drop owned by ${user}; drop role ${user}`)
      await db.close()
    }
  })
})
