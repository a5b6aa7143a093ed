// Two routers and three edges: a shape lives on one router, any edge answers for it, and Postgres is told no more than what both routers have on disk.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { readShape, request } from './lib/http.mjs'
import { holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ routers: 2, edges: 3 })
const sql = (text, values) => ctx.db.sql(text, values)

/** Which router made a handle: `<counter * 256 + router>-<time>`. */
const routerOf = (handle) => Number(BigInt(handle.split('-')[0]) % 256n)
const tables = Array.from({ length: 12 }, (_, i) => `spread_${i}`)

beforeAll(async () => {
  for (const t of tables) await sql(`create table ${t} (id int primary key, v text); insert into ${t} select n, 'v' || n from generate_series(1, 50) n`)
})

const confirmed = async () => BigInt((await sql("select (confirmed_flush_lsn - '0/0')::text lsn from pg_replication_slots where slot_name = $1", [ctx.stack.slot]))[0].lsn)
const written = async () => BigInt((await sql("select (pg_current_wal_lsn() - '0/0')::text lsn"))[0].lsn)

/** A table of either router. */
async function oneOfEach() {
  const found = []
  for (const t of tables) {
    const { handle } = await ctx.stack.shape({ table: t, offset: '-1' })
    found[routerOf(handle)] ??= t
  }
  return found
}

describe('shapes and shards', () => {
  test('shapes are spread over the routers', async () => {
    const found = await oneOfEach()
    expect(found.filter(Boolean)).toHaveLength(2)
  })

  test('every edge answers for every shape, and all alike', async () => {
    for (const t of tables) {
      const answers = []
      for (let edge = 0; edge < 3; edge++) answers.push(await readShape(ctx.stack.edgeUrl(edge), { table: t }))
      const essence = (list) => list.map((a) => [a.handle, a.offset, a.etag, JSON.stringify(a.changes)])
      expect(essence(answers[1])).toEqual(essence(answers[0]))
      expect(essence(answers[2])).toEqual(essence(answers[0]))
    }
  })

  test('the same new shape asked of all edges at once is one shape', async () => {
    await sql('create table raced (id int primary key)')
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => request(ctx.stack.edgeUrl(i % 3), { query: { table: 'raced', offset: '-1' } })))
    expect(new Set(answers.map((a) => a.handle)).size).toBe(1)
  })

  test('clients of all shapes at all edges follow', async () => {
    const clients = tables.flatMap((t) => [0, 1, 2].map((edge) => [t, ctx.client({ table: t }, { base: ctx.stack.edgeUrl(edge) })]))
    await Promise.all(clients.map(([, c]) => c.upToDate()))
    for (let n = 0; n < 20; n++) await sql(tables.map((t) => `insert into ${t} values (${100 + n}, 'n'); update ${t} set v = 'u${n}' where id = ${n + 1}`).join(';'))
    for (const [t, client] of clients) await client.converges(ctx.db, t)
  })

  test('an edge dies: its clients go to another and miss nothing', async () => {
    const t = tables[3]
    const here = ctx.client({ table: t }, { base: ctx.stack.edgeUrl(1) })
    await here.upToDate()
    const { shapeHandle: handle, lastOffset: offset } = here.stream
    const pid = ctx.stack.signal('edge-1', 'SIGKILL')
    await sql(`insert into ${t} values (900, 'while edge 1 is gone')`)
    const there = await request(ctx.stack.edgeUrl(2), { query: { table: t, handle, offset, live: 'true' } })
    expect(there.changes.map((c) => c.value.id)).toEqual(['900'])
    await here.converges(ctx.db, t)
    await until(() => ctx.stack.pid('edge-1') !== pid)
  })

  test('DELETE at one edge is known at the others', async () => {
    const t = tables[5]
    const before = await Promise.all([0, 1, 2].map((i) => request(ctx.stack.edgeUrl(i), { query: { table: t, offset: '-1' } })))
    expect((await request(ctx.stack.edgeUrl(0), { method: 'DELETE', query: { table: t } })).status).toBe(202)
    for (const i of [1, 2]) {
      const now = await until(async () => {
        const answer = await request(ctx.stack.edgeUrl(i), { query: { table: t, offset: '-1' } })
        return answer.handle !== before[0].handle && answer
      }, { what: `edge ${i} has forgotten the deleted shape` })
      expect(now.status).toBe(200)
    }
  })
})

describe('I3: what Postgres is told', () => {
  test('no more than both routers have synced', async () => {
    const found = await oneOfEach()
    const client = ctx.client({ table: found[0] })
    await client.upToDate()
    const stopped = ctx.stack.signal('router-1', 'SIGSTOP')
    try {
      // What router 1 had in hand when it stopped may still be acknowledged: the first write after it may not.
      const limit = await written()
      await sql(`insert into ${found[0]} values (5000, 'one router sees this'); insert into ${found[1]} values (5000, 'the other does not')`)
      await client.until((c) => c.rows.has(`"public"."${found[0]}"/"5000"`), { what: 'the running router goes on' })
      const after = await written()
      await holdsFor(2500, async () => (await confirmed()) < after, 'confirmed_flush_lsn stays behind a router that is stopped')
      expect(await confirmed()).toBeLessThanOrEqual(limit)
    } finally {
      process.kill(stopped, 'SIGCONT')
    }
    const target = await written()
    await until(async () => (await confirmed()) >= target, { what: 'confirmed_flush_lsn goes on when the router does' })
    const other = ctx.client({ table: found[1] })
    await other.converges(ctx.db, found[1])
  })

  test('#245 it advances when nothing is written to any shape', async () => {
    await sql('create table unrelated (id int)')
    await sql('insert into unrelated select generate_series(1, 1000)')
    const target = await written()
    await until(async () => (await confirmed()) >= target, { what: 'confirmed_flush_lsn of an idle stack' })
  })

  test('one router dies in the middle of writes', async () => {
    const found = await oneOfEach()
    const clients = [0, 1].map((i) => ctx.client({ table: found[i] }, { base: ctx.stack.edgeUrl(i) }))
    for (const client of clients) await client.upToDate()
    for (let n = 0; n < 60; n++) {
      if (n === 20) await ctx.stack.kill('router-1')
      if (n === 40) await ctx.stack.kill('router-0')
      await sql(found.map((t) => `insert into ${t} values (${6000 + n}, 'n'); update ${t} set v = 'n${n}' where id < 5`).join(';'))
    }
    for (const [i, client] of clients.entries()) await client.converges(ctx.db, found[i], { within: 40000 })
    for (const client of clients) expect([client.refetches, client.handles.length]).toEqual([0, 1])
  })
})
