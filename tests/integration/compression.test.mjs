// Closed chunks in the codings a client accepts: the same bytes, the same etag, made once; everything else as it is.
import { beforeAll, describe, expect, test } from 'vitest'
import { CODINGS, decoded } from './lib/coding.mjs'
import { useStack } from './lib/fixture.mjs'
import { begin, request } from './lib/http.mjs'
import { Stack } from './lib/stack.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_CHUNK_BYTES: '100000' } })
const ask = (query, encoding, spec = {}) =>
  ctx.stack.shape(query, { ...spec, headers: { ...(encoding === undefined ? {} : { 'accept-encoding': encoding }), ...spec.headers } })
const made = () => ctx.stack.metric('edge-0', 'compressed_total')

/** A table whose snapshot has several chunks; the offset of the first closed one behind -1. */
async function table(name, rows = 2000) {
  await ctx.db.sql(`create table ${name} (id int primary key, v text); insert into ${name} select n, 'row ' || n || repeat(' again', 20) from generate_series(1, ${rows}) n`)
  return { table: name, offset: '-1' }
}

describe('a closed chunk', () => {
  let query
  beforeAll(async () => (query = await table('closed')))

  test('has the same bytes and the same etag in every coding', async () => {
    const plain = await ask(query)
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(plain.headers.vary).toBe('accept-encoding')
    for (const coding of CODINGS) {
      const answer = await ask(query, coding)
      expect([coding, answer.status, answer.headers['content-encoding']]).toEqual([coding, 200, coding])
      expect(Number(answer.headers['content-length'])).toBe(answer.bytes)
      expect(answer.bytes).toBeLessThan(plain.bytes / 3)
      expect(decoded(answer)).toBe(plain.text)
      for (const name of ['etag', 'vary', 'cache-control', 'content-type', 'electric-handle', 'electric-offset', 'electric-schema']) expect([name, answer.headers[name]]).toEqual([name, plain.headers[name]])
    }
  })

  test('is sent in the coding that is wanted most', async () => {
    for (const [header, coding] of [
      ['gzip, deflate, br, zstd', 'zstd'], ['gzip, deflate, br', 'br'], ['gzip, deflate', 'gzip'], ['br;q=0.1, gzip;q=0.9', 'gzip'], ['*', 'gzip'], ['GZIP', 'gzip'],
      ['deflate', undefined], ['gzip;q=0', undefined], ['identity', undefined], ['identity, gzip;q=0.5', undefined], ['', undefined], ['gzip;q=nonsense', undefined], ['identity;q=0', undefined],
    ]) expect([header, (await ask(query, header)).headers['content-encoding']]).toEqual([header, coding])
  })

  test('its etag gives 304 whatever the coding', async () => {
    const { etag } = await ask(query, 'gzip')
    for (const coding of [undefined, ...CODINGS]) {
      const answer = await ask(query, coding, { headers: { 'if-none-match': etag } })
      expect([coding, answer.status, answer.bytes, answer.etag, answer.headers.vary]).toEqual([coding, 304, 0, etag, 'accept-encoding'])
      expect(answer.headers['content-encoding']).toBeUndefined()
    }
  })

  test('HEAD says what GET would', async () => {
    const get = await ask(query, 'br')
    const head = await ask(query, 'br', { method: 'HEAD' })
    expect(head.bytes).toBe(0)
    for (const name of ['content-length', 'content-encoding', 'etag']) expect([name, head.headers[name]]).toEqual([name, get.headers[name]])
  })

  test('is compressed once, whoever asks and however many', async () => {
    const other = await table('once')
    const before = await made()
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => ask(other, CODINGS[i % 3])))
    expect(answers.map((a) => a.headers['content-encoding'])).toEqual(Array.from({ length: 60 }, (_, i) => CODINGS[i % 3]))
    expect(new Set(answers.map(decoded)).size).toBe(1)
    await ask(other, 'gzip')
    expect(await made()).toBe(before + 3)
  })

  test('every chunk of a shape, and the official client on it', async () => {
    await table('whole', 5000)
    const client = ctx.client({ table: 'whole' }, { headers: { 'accept-encoding': 'gzip' } })
    await client.converges(ctx.db, 'whole')
    expect(await made()).toBeGreaterThan(5)
    await ctx.db.sql("insert into whole values (0, 'later')")
    await client.converges(ctx.db, 'whole')
  })
})

describe('what stays as it is', () => {
  test('small bodies, the open chunk, errors, health', async () => {
    const small = await table('small', 1)
    const first = await ask(small, 'gzip')
    const open = await ask({ table: 'small', offset: first.offset, handle: first.handle }, 'gzip')
    expect(open.upToDate).toBe(true)
    const wrong = await ask({ table: 'small', offset: '0_0', handle: 'nobody' }, 'gzip')
    expect(wrong.status).toBe(409)
    const bad = await ask({ table: 'small' }, 'gzip')
    expect(bad.status).toBe(400)
    const health = await request(ctx.stack.url, { path: '/v1/health', headers: { 'accept-encoding': 'gzip' } })
    for (const answer of [first, open, wrong, bad, health]) {
      expect(answer.headers['content-encoding']).toBeUndefined()
      expect(answer.headers.vary).toBe('accept-encoding')
      expect(answer.json).toBeDefined()
    }
  })

  test('a large open chunk', async () => {
    await ctx.db.sql('create table growing (id int primary key, v text)')
    let at = await ask({ table: 'growing', offset: '-1' })
    at = await ask({ table: 'growing', offset: at.offset, handle: at.handle })
    await ctx.db.sql("insert into growing select n, repeat('x', 40) from generate_series(1, 300) n")
    const answer = await until(async () => {
      const a = await ask({ table: 'growing', offset: at.offset, handle: at.handle }, 'gzip')
      return a.changes.length === 300 && a
    }, { what: 'the rows are in the log' })
    expect([answer.upToDate, answer.headers['content-encoding']]).toEqual([true, undefined])
  })

  test('live answers and event streams', async () => {
    await table('lively', 3)
    let at = await ask({ table: 'lively', offset: '-1' })
    at = await ask({ table: 'lively', offset: at.offset, handle: at.handle })
    const query = { table: 'lively', offset: at.offset, handle: at.handle, live: 'true' }
    const headers = { 'accept-encoding': 'gzip, br, zstd' }
    const parked = begin(ctx.stack.url, { query, headers })
    const stream = begin(ctx.stack.url, { query: { ...query, live_sse: 'true' }, headers })
    await until(async () => (await ctx.stack.metric('edge-0', 'parked_requests')) >= 2, { what: 'both wait' })
    await ctx.db.sql("insert into lively select n, repeat('y', 300) from generate_series(10, 3000) n")
    const answer = await parked.answer
    expect([answer.status, answer.headers['content-encoding']]).toEqual([200, undefined])
    expect(answer.changes.length).toBeGreaterThan(0)
    // What is closed by now is still not held up for a live client.
    const late = await ask(query, 'gzip')
    expect([late.status, late.headers['content-encoding']]).toEqual([200, undefined])
    stream.abort()
  })
})

test('a compressed request body is refused', async () => {
  await table('asked', 1)
  for (const coding of ['gzip', 'br', 'deflate']) {
    const answer = await request(ctx.stack.url, { method: 'POST', query: { table: 'asked', offset: '-1' }, headers: { 'content-type': 'application/json', 'content-encoding': coding }, body: '{}' })
    expect([coding, answer.status, answer.json]).toEqual([coding, 415, { error: 'A request body must not be encoded' }])
    expect(answer.headers.connection).toBe('close')
  }
})

describe('with another configuration', () => {
  async function withStack(env, body) {
    const database = await ctx.postgres.database()
    const stack = await Stack.start({ database, env: { SLUICE_CHUNK_BYTES: '100000', ...env }, name: 'other-stack' })
    try {
      await database.sql("create table items (id int primary key, v text); insert into items select n, repeat('again ', 20) from generate_series(1, 2000) n")
      await body((encoding) => stack.shape({ table: 'items', offset: '-1' }, { headers: { 'accept-encoding': encoding } }), stack)
    } finally {
      await stack.destroy(database)
    }
  }

  test('no threads to compress: plain', () =>
    withStack({ SLUICE_EDGE_COMPRESS_THREADS: '0' }, async (get) => {
      expect((await get('gzip')).headers['content-encoding']).toBeUndefined()
    }))

  test('a chunk that is not kept is not compressed either, nor waited for', () =>
    withStack({ SLUICE_EDGE_CACHE_BYTES: '100k' }, async (get) => {
      for (let i = 0; i < 3; i++) {
        const answer = await get('gzip')
        expect([answer.status, answer.headers['content-encoding']]).toEqual([200, undefined])
        expect(answer.changes.length).toBeGreaterThan(300)
      }
    }))

  test('several loops share what one has made', () =>
    withStack({ SLUICE_EDGE_THREADS: '3' }, async (get, stack) => {
      const answers = []
      for (let i = 0; i < 30; i++) answers.push(await get('gzip'))
      expect(new Set(answers.map((a) => a.buffer.toString('hex'))).size).toBe(1)
      expect(await stack.metric('edge-0', 'compressed_total')).toBe(1)
    }))
})
