// Whatever dies in the middle of writes, clients end with what SELECT says, under the handle they began with.
import { afterEach, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { Stack } from './lib/stack.mjs'
import { readShape, request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'
import { everything, writer } from './lib/writer.mjs'

const ctx = useStack({ ownPostgres: {}, env: { SLUICE_CHUNK_BYTES: '10000' } })
const sql = (text) => ctx.db.sql(text)

/** A test that failed half-way leaves no ruin to the next. */
afterEach(async () => {
  if (!ctx.stack.running) await ctx.stack.launch()
  await ctx.stack.ready()
})

async function table(name) {
  await sql(`create table ${name} (id int primary key, v text); insert into ${name} select n, 'v' || n from generate_series(0, 199) n`)
  return name
}

async function survives(name, disturb) {
  await table(name)
  const clients = [ctx.client({ table: name }), ctx.client({ table: name, replica: 'full' })]
  for (const client of clients) await client.upToDate()
  const work = writer(everything(await ctx.db.session(), name))
  await work.written(50)
  await disturb(work)
  await work.moreWritten(50)
  await work.stop()
  await ctx.stack.ready()
  for (const client of clients) await client.converges(ctx.db, name, { within: 40000 })
  for (const client of clients) expect([client.refetches, client.handles.length]).toEqual([0, 1])
}

describe('kill -9 in the middle of writes', () => {
  for (const service of ['ingest', 'router-0', 'edge-0']) {
    test(service, () => survives(`kill_${service.replace('-', '_')}`, () => ctx.stack.kill(service)))
  }

  test('each of them, again and again', () =>
    survives('kill_all_around', async (work) => {
      for (const service of ['router-0', 'ingest', 'edge-0', 'ingest', 'router-0']) {
        await ctx.stack.kill(service)
        await work.moreWritten(30)
      }
    }))

  test('everything at once', () =>
    survives('kill_everything', async (work) => {
      await ctx.stack.crash()
      await work.moreWritten(100)
      await ctx.stack.launch()
      await ctx.stack.ready()
    }))

  test('the router, while it makes a snapshot', async () => {
    await sql("create table half (id int primary key, v text); insert into half select n, repeat('x', 200) from generate_series(1, 60000) n")
    const client = ctx.client({ table: 'half' })
    await client.until((c) => c.rows.size > 0, { what: 'the first chunk is here' })
    await ctx.stack.kill('router-0')
    await sql("update half set v = 'y' where id % 100 = 0")
    await client.converges(ctx.db, 'half', { within: 40000 })
  })

  test('SIGTERM to a service drains it; the supervisor starts another', () =>
    survives('drained', async () => {
      for (const service of ['edge-0', 'router-0', 'ingest']) {
        const pid = ctx.stack.signal(service, 'SIGTERM')
        await until(() => ctx.stack.pid(service) && ctx.stack.pid(service) !== pid, { what: `another ${service}` })
        await ctx.stack.ready()
      }
    }))
})

describe('the whole stack', () => {
  /** All that must be as before; the last answer's up-to-date message tells the time and may differ. */
  const portrait = (answers) => answers.map((a) => [a.requested, a.offset, a.etag, a.handle, a.headers['electric-schema'], JSON.stringify(a.messages.filter((m) => m.headers.control !== 'up-to-date'))])

  async function keepsEverything(name, restart) {
    await table(name)
    await readShape(ctx.stack.url, { table: name })
    const client = ctx.client({ table: name })
    await client.upToDate()
    for (let i = 0; i < 5; i++) await sql(`update ${name} set v = repeat('${i}', 200) where id % 2 = 0`)
    await client.converges(ctx.db, name)
    const others = [{ table: name, replica: 'full' }, { table: name, columns: 'id' }]
    for (const other of others) await readShape(ctx.stack.url, other)
    const before = await Promise.all([{ table: name }, ...others].map((params) => readShape(ctx.stack.url, params)))
    expect(before[0].length).toBeGreaterThan(8)
    await restart()
    const after = await Promise.all([{ table: name }, ...others].map((params) => readShape(ctx.stack.url, params)))
    expect(after.map(portrait)).toEqual(before.map(portrait))
    await sql(`insert into ${name} values (5000, 'after')`)
    await client.converges(ctx.db, name)
    expect(client.handles).toHaveLength(1)
    const grown = await readShape(ctx.stack.url, { table: name })
    expect(portrait(grown).slice(0, before[0].length - 1)).toEqual(portrait(before[0]).slice(0, -1))
  }

  test('#226 stopped and started: handles, offsets, etags, chunks are the same', () =>
    keepsEverything('kept', async () => {
      await ctx.stack.stop()
      await ctx.stack.launch()
      await ctx.stack.ready()
    }))

  test('#226 killed and started: the same', () =>
    keepsEverything('kept_after_kill', async () => {
      await ctx.stack.crash()
      await ctx.stack.launch()
      await ctx.stack.ready()
    }))

  test('writes while it is down are there when it is up', async () => {
    await table('away')
    const client = ctx.client({ table: 'away' })
    await client.upToDate()
    await ctx.stack.stop()
    await sql("update away set v = 'while away'; insert into away values (777, 'new'); delete from away where id < 10")
    await ctx.stack.launch()
    await client.converges(ctx.db, 'away')
    expect(client.handles).toHaveLength(1)
  })

  test('a deleted shape does not come back', async () => {
    await table('buried')
    const { handle } = await ctx.stack.shape({ table: 'buried', offset: '-1' })
    expect((await ctx.stack.shape({ table: 'buried' }, { method: 'DELETE' })).status).toBe(202)
    await ctx.stack.crash()
    await ctx.stack.launch()
    await ctx.stack.ready()
    expect((await ctx.stack.shape({ table: 'buried', offset: '-1' })).handle).not.toBe(handle)
  })
})

describe('Postgres', () => {
  for (const [how, mode] of [['#232 stops and starts', 'INT'], ['crashes and recovers', 'QUIT']]) {
    test(how, async () => {
      const name = await table(`pg_${mode.toLowerCase()}`)
      const client = ctx.client({ table: name })
      await client.upToDate()
      for (let round = 0; round < 3; round++) {
        const work = writer(everything(await ctx.db.session(), name, round * 10000))
        await work.written(30)
        ctx.db.forget()
        await ctx.postgres.stop(mode)
        await work.stop().catch(() => {})
        await ctx.postgres.launch()
      }
      await sql(`insert into ${name} values (-99999999, 'after')`)
      await client.converges(ctx.db, name, { within: 40000 })
      expect([client.refetches, client.handles.length]).toEqual([0, 1])
    })
  }

  test('while it is down: what is on disk is served, what is new waits for it', async () => {
    const name = await table('served_without')
    const before = await readShape(ctx.stack.url, { table: name })
    await sql('create table not_yet (id int primary key); insert into not_yet values (1)')
    ctx.db.forget()
    await ctx.postgres.stop()
    try {
      const { handle } = before[0]
      for (const offset of ['-1', '0_0']) {
        const answer = await ctx.stack.shape({ table: name, offset, handle })
        expect([offset, answer.status, answer.handle]).toEqual([offset, 200, handle])
      }
      const refused = await ctx.stack.shape({ table: 'not_yet', offset: '-1' })
      expect(refused.status).toBe(503)
      expect(refused.headers['cache-control']).toBe('no-store')
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
      expect(refused.json.message).toBeTypeOf('string')
    } finally {
      await ctx.postgres.launch()
    }
    const client = ctx.client({ table: 'not_yet' })
    await client.converges(ctx.db, 'not_yet')
  })

  test('health says that it is gone, and that it is back; a request meanwhile waits for it', async () => {
    await sql('create table patient (id int primary key)')
    ctx.db.forget()
    await ctx.postgres.stop()
    let answer
    try {
      await until(async () => (await ctx.stack.health()) === 202, { what: 'health says so' })
      answer = ctx.stack.shape({ table: 'patient', offset: '-1' })
    } finally {
      await ctx.postgres.launch()
    }
    expect((await answer).status).toBe(200)
    await ctx.stack.ready()
  })
})

describe('a second stack on the same stream', () => {
  test('#28 #233 waits for the lock, and takes over', async () => {
    const name = await table('handed_over')
    const first = ctx.client({ table: name })
    await first.upToDate()
    const heir = new Stack({ database: ctx.db, name: 'heir' })
    heir.streamId = ctx.stack.streamId
    try {
      await heir.launch()
      let waiting
      await until(async () => {
        waiting = await request(heir.url, { path: '/v1/health' }).catch(() => undefined)
        return waiting?.json?.status === 'waiting'
      }, { what: () => `the second one waits, it says ${waiting?.text}` })
      expect(waiting.status).toBe(202)
      await ctx.stack.stop()
      await heir.ready()
      await sql(`insert into ${name} values (9000, 'under the heir')`)
      const second = ctx.client({ table: name }, { base: heir.url })
      await second.converges(ctx.db, name)
    } finally {
      await heir.destroy()
    }
    // What the first one missed is gone from the slot: its shapes begin again rather than lose it.
    await ctx.stack.launch()
    await ctx.stack.ready()
    await sql(`insert into ${name} values (9001, 'after')`)
    await first.converges(ctx.db, name)
  })
})
