// Clients that wait: how they are woken, sent away, and forgotten.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { expectedRows } from './lib/oracle.mjs'
import { holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_LONG_POLL_TIMEOUT: '3s' } })
const sql = (text) => ctx.db.sql(text)

const parked = () => ctx.stack.metric('edge-0', 'parked_requests')

/** Long polls that the edge has parked. */
async function park(at, count) {
  const before = await parked()
  const polls = Array.from({ length: count }, () => begin(ctx.stack.url, { query: { ...at, live: 'true' } }))
  await until(async () => (await parked()) >= before + count, { what: async () => `${count} polls are parked, ${before} were, ${await parked()} are` })
  return polls
}

describe('long polls', () => {
  test('#147 #148 a change wakes, at once, with cursor and live headers', async () => {
    await sql('create table waked (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'waked' })
    const [poll] = await park(at, 1)
    await sql('insert into waked values (1)')
    const answer = await poll.answer
    expect(answer.status).toBe(200)
    expect(answer.changes.map((c) => c.value)).toEqual([{ id: '1' }])
    expect(answer.messages.at(-1)).toEqual({ headers: { control: 'up-to-date', global_last_seen_lsn: answer.changes[0].headers.lsn } })
    expect(answer.headers).toMatchObject({
      'cache-control': 'public, max-age=5, stale-while-revalidate=5', 'electric-has-data': 'true', 'electric-handle': at.handle,
    })
    expect(answer.headers['electric-cursor']).toMatch(/^\d+$/)
    expect(answer.headers).not.toHaveProperty('electric-schema')
    expect(answer.offset).toBe(`${answer.changes[0].headers.lsn}_0`)
    expect(answer.etag).toBe(`"${at.handle}:${at.offset}:${answer.offset}"`)
  })

  test('#146 #151 no change: up-to-date after the timeout, with an etag of its own', async () => {
    await sql('create table quiet (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'quiet' })
    const answers = await Promise.all([1, 2].map((cursor) => ctx.stack.shape({ ...at, live: 'true', cursor })))
    for (const answer of answers) {
      expect(answer.status).toBe(200)
      expect(answer.changes).toEqual([])
      expect(answer.control).toEqual(['up-to-date'])
      expect(answer.headers['electric-has-data']).toBe('false')
      expect(answer.offset).toBe(at.offset)
      expect(answer.upToDate).toBe(true)
      expect(answer.messages[0].headers.global_last_seen_lsn).toMatch(/^\d+$/)
      expect(answer.headers).toMatchObject({ 'cache-control': 'public, max-age=5, stale-while-revalidate=5', 'electric-up-to-date': '', 'electric-handle': at.handle })
      expect(answer.headers).not.toHaveProperty('electric-schema')
    }
    expect(answers[0].etag).not.toBe(answers[1].etag)
    expect(answers[0].etag.startsWith(`"${at.handle}:${at.offset}:${at.offset}:`)).toBe(true)
  })

  test('#149 a cursor is never answered with itself', async () => {
    const at = await endOf(ctx.stack, { table: 'quiet' })
    const first = await ctx.stack.shape({ ...at, live: 'true' })
    const cursor = Number(first.headers['electric-cursor'])
    expect(cursor % 3, 'intervals of the long poll').toBe(0)
    expect(Math.abs(cursor - (Date.now() / 1000 - Date.UTC(2024, 9, 9) / 1000))).toBeLessThan(10)
    const next = async (given) => {
      const text = (await ctx.stack.shape({ ...at, live: 'true', cursor: given })).headers['electric-cursor']
      expect(text).toMatch(/^\d+$/)
      return Number(text)
    }
    const soon = [3, 6, 9].map((s) => cursor + s) // what would be said next is among them
    const [same, ahead, behind, none, ...others] = await Promise.all([next(cursor + 30), next(cursor + 100000), next(3), next('nonsense'), ...soon.map(next)])
    others.forEach((answer, i) => expect(answer).not.toBe(soon[i]))
    expect(same).toBeGreaterThan(cursor + 30)
    expect(same).toBeLessThanOrEqual(cursor + 30 + 3600)
    expect(ahead).toBeGreaterThan(cursor + 100000)
    expect(behind).toBeLessThan(cursor + 30)
    expect(none).toBe(0)
  })

  test('an etag without suffix is revalidated at once, the one of a timeout is not', async () => {
    const at = await endOf(ctx.stack, { table: 'quiet' })
    const plain = `"${at.handle}:${at.offset}:${at.offset}"`
    const unchanged = await ctx.stack.shape({ ...at, live: 'true' }, { headers: { 'if-none-match': plain } })
    expect([unchanged.status, unchanged.text, unchanged.etag]).toEqual([304, '', plain])
    expect(unchanged.headers).toMatchObject({ 'electric-has-data': 'true', 'electric-offset': at.offset, 'electric-cursor': expect.stringMatching(/^\d+$/) })
    const { etag } = await ctx.stack.shape({ ...at, live: 'true' })
    const waited = await ctx.stack.shape({ ...at, live: 'true' }, { headers: { 'if-none-match': etag } })
    expect([waited.status, waited.headers['electric-has-data']]).toEqual([200, 'false'])
  })

  test('#150 data that is there already is answered at once', async () => {
    await sql('create table ready (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'ready' })
    await sql('insert into ready values (1)')
    const woken = await ctx.stack.shape({ ...at, live: 'true' })
    const began = Date.now()
    const again = await ctx.stack.shape({ ...at, live: 'true' })
    expect(Date.now() - began).toBeLessThan(1500)
    expect(again.changes).toEqual(woken.changes)
    expect(again.etag).toBe(woken.etag)
  })

  test('#150 at the end of the snapshot, before the log: at once', async () => {
    await sql('create table at_first (id int primary key); insert into at_first values (1)')
    const { handle } = await ctx.stack.shape({ table: 'at_first', offset: '-1' })
    const began = Date.now()
    const answer = await ctx.stack.shape({ table: 'at_first', handle, offset: '0_0', live: 'true' })
    expect(Date.now() - began).toBeLessThan(1500)
    expect([answer.status, answer.changes, answer.offset, answer.upToDate, answer.headers['electric-has-data']]).toEqual([200, [], '0_inf', true, 'true'])
    expect(answer.etag).toBe(`"${handle}:0_0:0_inf"`)
  })

  test('#153 changes of another table, or of rows that are not the shape’s, wake nobody', async () => {
    await sql('create table mine (id int primary key, n int); create table theirs (id int primary key); insert into mine values (1, 1)')
    const at = await endOf(ctx.stack, { table: 'mine', where: 'n = 1', columns: 'id' })
    const theirs = ctx.client({ table: 'theirs' })
    await theirs.upToDate()
    const [poll] = await park(at, 1)
    let woken = false
    poll.answer.then(() => (woken = true))
    await sql('insert into theirs select generate_series(1, 100); insert into mine values (2, 2); update mine set n = 1 where id = 1')
    await theirs.converges(ctx.db, 'theirs')
    await holdsFor(300, () => !woken, 'the poll stays parked')
    expect((await poll.answer).headers['electric-has-data']).toBe('false')
  })

  test('#152 the shape is deleted: waiting clients get 409', async () => {
    await sql('create table doomed (id int primary key); insert into doomed values (1)')
    const at = await endOf(ctx.stack, { table: 'doomed' })
    const client = ctx.client({ table: 'doomed' })
    await client.converges(ctx.db, 'doomed')
    const polls = await park(at, 5)
    const deleted = await ctx.stack.shape({ table: 'doomed' }, { method: 'DELETE' })
    expect(deleted.status).toBe(202)
    for (const answer of await Promise.all(polls.map((p) => p.answer))) {
      expect(answer.status).toBe(409)
      expect(answer.messages).toEqual([{ headers: { control: 'must-refetch' } }])
    }
    await client.until((c) => c.refetches === 1, { what: 'the official client begins again' })
    await sql('insert into doomed values (2)')
    await client.converges(ctx.db, 'doomed')
    expect(client.handles).toHaveLength(2)
    expect(client.handles[1]).not.toBe(at.handle)
  })
})

describe('out of bounds', () => {
  test('#155 an offset beyond the end: 400 after half the timeout', async () => {
    await sql('create table bounds (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'bounds' })
    const began = Date.now()
    const [live, plain] = await Promise.all([{ live: 'true' }, {}].map((extra) => ctx.stack.shape({ ...at, offset: '999999999999_0', ...extra })))
    expect(Date.now() - began).toBeGreaterThan(1400)
    expect(Date.now() - began).toBeLessThan(2900)
    for (const answer of [live, plain]) {
      expect(answer.status).toBe(400)
      expect(answer.json).toEqual({ message: 'Invalid request', errors: { offset: ['out of bounds for this shape'] } })
      expect(answer.headers['cache-control']).toBe('no-store')
    }
  })

  test('#156 an offset that comes into being while we wait: 200', async () => {
    await sql('create table soon (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'soon' })
    const [{ lsn }] = await sql("select (pg_current_wal_insert_lsn() - '0/0')::text lsn")
    const beyond = { ...at, offset: `${lsn}_0` }
    const [live] = await park(beyond, 1)
    const before = await parked()
    const plain = begin(ctx.stack.url, { query: beyond })
    await until(async () => (await parked()) > before, { what: 'the other one waits too' })
    await sql('insert into soon values (1)')
    for (const answer of await Promise.all([live.answer, plain.answer])) {
      expect(answer.status).toBe(200)
      expect(answer.changes).toHaveLength(1)
      expect(answer.control).toEqual(['up-to-date'])
    }
  })
})

describe('many', () => {
  test('200 clients of one shape see every change once', async () => {
    await sql('create table popular (id int primary key, v int); insert into popular select n, 0 from generate_series(1, 100) n')
    const clients = Array.from({ length: 200 }, () => ctx.client({ table: 'popular' }))
    await Promise.all(clients.map((c) => c.upToDate()))
    for (let i = 1; i <= 20; i++) await sql(`update popular set v = ${i} where id = ${i}; insert into popular values (${100 + i}, ${i}); delete from popular where id = ${50 + i}`)
    const expected = await expectedRows(ctx.db, 'popular')
    await Promise.all(clients.map((c) => c.converges(ctx.db, 'popular', { within: 40000, expected })))
    for (const c of clients) expect(c.log.filter((m) => m.headers.lsn)).toHaveLength(60)
  })

  test('clients that vanish while parked are forgotten', async () => {
    await sql('create table abandoned (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'abandoned' })
    await until(async () => (await parked()) === 0, { what: 'nobody is parked' })
    for (let round = 0; round < 3; round++) {
      const polls = await park(at, 100)
      const open = ctx.stack.openFiles('edge-0')
      for (const poll of polls) poll.abort()
      // A poll lasts 3 s: its end alone would free it, so look sooner.
      await until(async () => (await parked()) === 0, { within: 2000, what: async () => `nobody is parked, ${await parked()} are` })
      await until(() => ctx.stack.openFiles('edge-0') <= open - 100, { what: () => `open files fall by 100 from ${open}, they are ${ctx.stack.openFiles('edge-0')}` })
    }
    await sql('insert into abandoned values (1)')
    expect((await ctx.stack.shape({ ...at, live: 'true' })).changes).toHaveLength(1)
  })
})
