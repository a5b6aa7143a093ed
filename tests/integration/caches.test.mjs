// Behind nginx and Varnish as deploy/cache has them: what is kept, revalidated, collapsed, and what is not; clients that sync through them.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startNginx, startVarnish } from './lib/cache.mjs'
import { CODINGS, decoded } from './lib/coding.mjs'
import { useStack } from './lib/fixture.mjs'
import { begin, request } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_CHUNK_BYTES: '30000', SLUICE_CACHE_MAX_AGE: '1', SLUICE_CACHE_STALE_AGE: '0', SLUICE_LONG_POLL_TIMEOUT: '5s' } })
const sql = (text) => ctx.db.sql(text)
const metric = (name) => ctx.stack.metric('edge-0', name)
const answers = (status) => metric(`requests_${status}xx_total`)

/** What it adds to one of the edge's counters. */
async function added(count, action) {
  const before = await count()
  await action()
  return (await count()) - before
}

describe.each([['nginx', startNginx], ['varnish', startVarnish]])('%s', (name, startCache) => {
  let cache
  const table = (what) => `${what}_${name}`
  const ask = (query, spec) => request(cache.url, { query, ...spec })

  beforeAll(async () => {
    cache = await startCache([ctx.stack.url])
    for (const what of ['kept', 'coded', 'old', 'awaited', 'rotated', 'moved', 'deleted', 'streamed'])
      await sql(`create table ${table(what)} (id int primary key, v text); insert into ${table(what)} select n, 'row ' || n || repeat(' again', 10) from generate_series(1, 1000) n`)
  })
  afterAll(() => cache?.stop())

  test('a closed chunk is kept', async () => {
    const query = { table: table('kept'), offset: '-1' }
    const first = await ask(query)
    expect(first.status).toBe(200)
    expect(await added(() => answers(2), async () => {
      for (let i = 0; i < 5; i++) {
        const again = await ask(query)
        expect([again.status, again.headers['x-cache-status'], again.text, again.etag, again.handle, again.offset]).toEqual([200, 'HIT', first.text, first.etag, first.handle, first.offset])
      }
    })).toBe(0)
  })

  test('the cache answers 304 itself', async () => {
    const query = { table: table('kept'), offset: '-1' }
    const { etag } = await ask(query)
    expect(await added(async () => (await answers(2)) + (await answers(3)), async () => {
      const again = await ask(query, { headers: { 'if-none-match': etag } })
      expect([again.status, again.bytes, again.etag]).toEqual([304, 0, etag])
    })).toBe(0)
  })

  test('codings are not mixed up', async () => {
    const query = { table: table('coded'), offset: '-1' }
    const wanted = [undefined, ...CODINGS]
    const get = (coding) => ask(query, { headers: coding ? { 'accept-encoding': coding } : {} })
    const plain = (await ctx.stack.shape(query)).text
    for (const round of ['MISS', 'HIT'])
      for (const coding of wanted) {
        const answer = await get(coding)
        expect([coding, answer.status, answer.headers['content-encoding'], answer.headers['x-cache-status']]).toEqual([coding, 200, coding, round])
        expect(decoded(answer)).toBe(plain)
      }
    for (const [header, coding] of [['gzip, deflate, br, zstd', 'zstd'], ['deflate, gzip', 'gzip'], ['zstd;q=0, br', 'br'], ['gzip;q=0', undefined], ['gzip;q=0.5', 'gzip'], ['xgzip', undefined]]) {
      const answer = await get(header)
      expect([header, answer.headers['content-encoding'], answer.headers['x-cache-status']]).toEqual([header, coding, 'HIT'])
      expect(decoded(answer)).toBe(plain)
    }
  })

  test('what is no longer fresh is revalidated with 304', async () => {
    const first = await ask({ table: table('old'), offset: '-1' })
    const query = { table: table('old'), offset: first.offset, handle: first.handle }
    const chunk = await ask(query)
    expect(chunk.headers['cache-control']).toBe('public, max-age=1, stale-while-revalidate=0')
    const before = await answers(3)
    await until(async () => {
      const again = await ask(query)
      expect([again.status, again.text, again.etag]).toEqual([200, chunk.text, chunk.etag])
      return (await answers(3)) > before
    }, { what: 'the edge answers 304', every: 100 })
  })

  test('no origin is told another one', async () => {
    for (const origin of ['https://a.example', 'https://b.example'])
      expect((await ask({ table: table('kept'), offset: '-1' }, { headers: { origin } })).headers['access-control-allow-origin']).toBe('*')
  })

  test('#154 of many who wait for a change one reaches the edge', async () => {
    const at = await endOf(ctx.stack, { table: table('awaited') })
    const query = { ...at, live: 'true', cursor: '12345' }
    const parked = () => metric('parked_requests')
    const before = await parked()
    const polls = await Promise.all(Array.from({ length: 40 }, async () => {
      const poll = begin(cache.url, { query })
      await poll.sent
      return poll
    }))
    await until(async () => (await parked()) === before + 1, { what: 'one is parked' })
    expect(await added(() => answers(2), async () => {
      await holdsFor(300, async () => (await parked()) === before + 1, 'one is parked')
      await sql(`insert into ${table('awaited')} values (0, 'new')`)
      const all = await Promise.all(polls.map((p) => p.answer))
      for (const answer of all) expect([answer.status, answer.changes.length, answer.upToDate]).toEqual([200, 1, true])
      expect(new Set(all.map((a) => a.headers['electric-cursor'])).size).toBe(1)
    })).toBe(1)
  })

  test('409 is kept, 400 is not, POST is not', async () => {
    await ask({ table: table('moved'), offset: '-1' })
    const wrong = { table: table('moved'), offset: '0_0', handle: '1-1' }
    expect(await added(() => answers(4), async () => {
      for (let i = 0; i < 3; i++) expect((await ask(wrong)).status).toBe(409)
    })).toBe(1)
    expect(await added(() => answers(4), async () => {
      for (let i = 0; i < 3; i++) expect((await ask({ table: 'no_such_table', offset: '-1' })).status).toBe(400)
    })).toBe(3)
    expect(await added(() => answers(2), async () => {
      for (let i = 0; i < 3; i++) {
        const answer = await ask({ table: table('moved'), offset: '-1' }, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ limit: 2, order_by: 'id' }) })
        expect([answer.status, answer.json.data.length]).toEqual([200, 2])
      }
    })).toBe(3)
  })

  test('503 is not kept', async () => {
    await sql(`create table ${table('late')} (id int primary key)`)
    const query = { table: table('late'), offset: '-1' }
    ctx.stack.signal('router-0', 'SIGSTOP')
    try {
      const answer = await ask(query)
      expect([answer.status, answer.headers['cache-control']]).toEqual([503, 'no-store'])
    } finally {
      ctx.stack.signal('router-0', 'SIGCONT')
    }
    await until(async () => (await ask(query)).status === 200, { what: 'the same request is answered' })
  })

  test('a client follows, also when the table is truncated', async () => {
    const client = ctx.client({ table: table('rotated') }, { base: cache.url })
    await client.upToDate()
    for (let n = 0; n < 5; n++) {
      await sql(`insert into ${table('rotated')} values (${2000 + n}, 'n'); update ${table('rotated')} set v = 'u${n}' where id = ${n + 1}; delete from ${table('rotated')} where id = ${100 + n}`)
      await client.until((c) => [...c.rows.values()].some((r) => r.id === String(2000 + n)), { what: `row ${2000 + n}` })
    }
    await client.converges(ctx.db, table('rotated'))
    await sql(`truncate ${table('rotated')}; insert into ${table('rotated')} values (1, 'after')`)
    await client.converges(ctx.db, table('rotated'), { within: 40000 })
    expect(client.refetches).toBeGreaterThan(0)
    const other = ctx.client({ table: table('rotated') }, { base: cache.url })
    await other.converges(ctx.db, table('rotated'), { within: 40000 })
  })

  test('a client follows when the shape is deleted', async () => {
    const client = ctx.client({ table: table('deleted') }, { base: cache.url })
    await client.converges(ctx.db, table('deleted'))
    await ctx.stack.shape({ table: table('deleted') }, { method: 'DELETE' })
    await sql(`insert into ${table('deleted')} values (0, 'after')`)
    await client.converges(ctx.db, table('deleted'), { within: 40000 })
    expect(client.refetches).toBeGreaterThan(0)
  })

  test('an event stream passes at once', async () => {
    const client = ctx.client({ table: table('streamed') }, { base: cache.url, liveSse: true })
    await client.converges(ctx.db, table('streamed'))
    await until(async () => (await metric('sse_streams')) > 0, { what: 'the stream is open' })
    for (let n = 0; n < 3; n++) {
      await sql(`insert into ${table('streamed')} values (${2000 + n}, 'n')`)
      await client.until((c) => [...c.rows.values()].some((r) => r.id === String(2000 + n)), { what: `row ${2000 + n}` })
    }
    await client.converges(ctx.db, table('streamed'))
    expect(client.errors).toEqual([])
  })
})
