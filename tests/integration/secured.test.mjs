// A stack as it would be deployed: with a secret, no DELETE, and few requests admitted at once.
import net from 'node:net'
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin, raw, request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'

const SECRET = 'a secret'
const ctx = useStack({
  env: {
    SLUICE_INSECURE: 'false', ELECTRIC_SECRET: SECRET, SLUICE_ALLOW_DELETE: 'false', SLUICE_LONG_POLL_TIMEOUT: '20s',
    ELECTRIC_MAX_CONCURRENT_REQUESTS: JSON.stringify({ initial: 1, existing: 3 }),
  },
})
const shape = (query, spec) => ctx.stack.shape(query, spec)

beforeAll(() => ctx.db.sql('create table items (id int primary key, v text); insert into items values (1, null)'))

describe('the secret', () => {
  test('#8 #9 #12 #15 #16 without it, or with another: 401 without CORS', async () => {
    for (const [method, path, secret] of [['GET', '/v1/shape'], ['GET', '/v1/%73hape'], ['GET', '/v1//shape/'], ['DELETE', '/v1/shape'], ['POST', '/v1/shape'], ['HEAD', '/v1/shape'], ['GET', '/v1/shape', 'wrong'], ['GET', '/v1/shape', `${SECRET}x`]]) {
      const answer = await request(ctx.stack.url, { method, path, query: { table: 'items', offset: '-1', secret } })
      expect([method, path, answer.status]).toEqual([method, path, 401])
      expect(answer.text).toBe(method === 'HEAD' ? '' : '{"message":"Unauthorized - Invalid API secret"}')
      expect(answer.headers).not.toHaveProperty('content-type')
      expect(Object.keys(answer.headers).filter((h) => h.startsWith('access-control'))).toEqual([])
      expect(answer.headers['cache-control']).toBe('max-age=0, private, must-revalidate')
    }
  })

  test('#10 #11 #13 #14 with it, under both names: 200; health, / and OPTIONS need none', async () => {
    expect((await shape({ table: 'items', offset: '-1', secret: SECRET })).status).toBe(200)
    expect((await shape({ table: 'items', offset: '-1', api_secret: SECRET })).status).toBe(200)
    expect((await request(ctx.stack.url, { path: '/v1/health' })).status).toBe(200)
    expect((await request(ctx.stack.url, { path: '/' })).status).toBe(200)
    expect((await request(ctx.stack.url, { path: '/nowhere' })).status).toBe(404)
    expect((await request(ctx.stack.url, { method: 'OPTIONS' })).status).toBe(204)
  })

  test('#8 only the query counts: not a header, not a body', async () => {
    const spec = { method: 'POST', query: { table: 'items', offset: '-1' }, headers: { authorization: `Bearer ${SECRET}`, secret: SECRET }, body: JSON.stringify({ secret: SECRET }) }
    expect((await request(ctx.stack.url, spec)).status).toBe(401)
    expect((await shape({ secret: SECRET })).status, 'before anything else is looked at').toBe(400)
    expect((await shape({})).status).toBe(401)
  })

  test('odd targets are answered', async () => {
    for (const path of ['/../v1/shape', '/v1/../../shape', '/%zz', '/%', '/%00', '/v1/%2e%2e/%2e%2e/', '//', '/./../.', 'v1/shape', 'http://host/../x', '*', '/\xff\xfe/..']) {
      const target = `${path}?table=items&offset=-1&secret=${SECRET.replace(' ', '+')}`
      const { text } = await raw(ctx.stack.port, Buffer.from(`GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`, 'latin1'))
      expect([path, text.slice(0, 9)]).toEqual([path, 'HTTP/1.1 '])
    }
  })

  test('it is in no log', () => {
    expect(ctx.stack.logText()).not.toContain(SECRET)
    expect(ctx.stack.logText()).not.toContain(SECRET.replace(' ', '+'))
  })
})

test('#171 DELETE is not allowed', async () => {
  const answer = await shape({ table: 'items', secret: SECRET }, { method: 'DELETE' })
  expect([answer.status, answer.json]).toEqual([405, { message: 'DELETE not allowed' }])
  expect(answer.headers).toMatchObject({ 'cache-control': 'no-cache', 'content-type': 'application/json; charset=utf-8', 'access-control-allow-origin': '*' })
})

describe('admission', () => {
  const begin_ = (query) => begin(ctx.stack.url, { query: { offset: '-1', secret: SECRET, ...query } })
  const first = (query) => shape({ offset: '-1', secret: SECRET, ...query })
  const admitted = (kind) => ctx.stack.metric('edge-0', `admitted_${kind}_requests`)
  const idle = () => until(async () => (await admitted('initial')) + (await admitted('existing')) === 0, { what: 'nothing is in work' })

  function assertRefused(answer, kind, limit) {
    expect([answer.status, answer.json]).toEqual([503, {
      code: 'concurrent_request_limit_exceeded', message: `Concurrent ${kind} request limit exceeded (limit: ${limit}), please retry`,
    }])
    expect(answer.headers).toMatchObject({
      'electric-internal-known-error': 'true', 'cache-control': 'no-store', 'surrogate-control': 'no-store', 'access-control-allow-origin': '*',
      'content-type': 'application/json; charset=utf-8',
    })
    for (const absent of ['electric-handle', 'electric-offset', 'etag']) expect(answer.headers).not.toHaveProperty(absent)
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(6)
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(10)
  }

  /** Runs `use` while one request holds the only permit of an initial one: its snapshot waits for a lock. */
  async function whileOneBegins(table, use) {
    await idle()
    await ctx.db.sql(`create table ${table} (id int primary key)`)
    const session = await ctx.db.session()
    await session.query(`begin; lock table ${table} in access exclusive mode`)
    const held = begin_({ table })
    try {
      await until(async () => (await ctx.db.sql(`select 1 from pg_locks where relation = '${table}'::regclass and not granted`)).length, { what: 'the first request waits for the table' })
      expect([await admitted('initial'), await admitted('existing')]).toEqual([1, 0])
      await use()
    } finally {
      await session.query('commit')
    }
    expect((await held.answer).status).toBe(200)
    await idle()
  }

  test('#180 #182 #185 too many waiting clients; one that begins is another matter', async () => {
    const { handle } = await first({ table: 'items' })
    const { offset } = await shape({ table: 'items', offset: '0_0', handle, secret: SECRET })
    const at = { table: 'items', offset, handle, secret: SECRET }
    const polls = Array.from({ length: 3 }, () => begin_({ ...at, live: 'true' }))
    await until(async () => (await admitted('existing')) === 3, { what: 'three are in work' })
    assertRefused(await shape(at), 'existing', 3)
    assertRefused(await shape({ ...at, live: 'true' }), 'existing', 3)
    expect((await first({ table: 'items' })).status).toBe(200)
    polls[0].abort()
    await until(async () => (await shape(at)).status === 200, { what: 'the place of one that left is free' })
    for (const poll of polls) poll.abort()
    await idle()
  })

  test('#180 #181 #182 #183 too many that begin; what exists is another matter', async () => {
    await ctx.db.sql('create table other (id int primary key)')
    const { handle } = await first({ table: 'items' })
    const shapes = await ctx.stack.metric('router-0', 'shapes')
    await whileOneBegins('locked', async () => {
      assertRefused(await first({ table: 'other' }), 'initial', 1)
      assertRefused(await shape({ table: 'items', offset: 'nonsense', secret: SECRET }), 'initial', 1)
      const known = await shape({ table: 'items', offset: '0_0', handle, secret: SECRET })
      expect(known.status).toBe(200)
      assertRefused(await shape({ table: 'items', offset: '0_0', handle: '1-1', secret: SECRET }), 'initial', 1)
      assertRefused(await shape({ table: 'other', offset: '0_0', handle: '1-1', secret: SECRET }), 'initial', 1)
      const posted = await shape({ table: 'items', offset: '-1', secret: SECRET }, { method: 'POST', body: 'no JSON' })
      expect([posted.status, posted.json.code], 'before its body is looked at').toEqual([503, 'concurrent_request_limit_exceeded'])
      expect(posted.headers['cache-control']).toBe('no-cache')
      expect((await request(ctx.stack.url, { path: '/v1/health' })).status).toBe(200)
    })
    expect(await ctx.stack.metric('router-0', 'shapes'), 'the held one and no other').toBe(shapes + 1)
    expect(await ctx.db.sql("select 1 from pg_publication_tables where tablename = 'other'")).toEqual([])
    expect((await first({ table: 'other' })).status).toBe(200)
  })

  test('#184 who has its snapshot is no longer one that begins', async () => {
    await ctx.db.sql("create table wide (id int primary key, v text); insert into wide values (1, repeat('x', 30000000))")
    await idle()
    const socket = net.connect(ctx.stack.port, '127.0.0.1')
    try {
      socket.write(`GET /v1/shape?table=wide&offset=-1&secret=${encodeURIComponent(SECRET)} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await new Promise((resolve, reject) => socket.once('error', reject).once('data', () => resolve(socket.pause())))
      expect([await admitted('initial'), await admitted('existing')]).toEqual([0, 1])
      await ctx.db.sql('create table beside (id int primary key)')
      expect((await first({ table: 'beside' })).status).toBe(200)
    } finally {
      socket.destroy()
    }
    await idle()
  })

  test('#185 every permit comes back', async () => {
    for (let i = 0; i < 5; i++) {
      expect((await first({ table: 'items' })).status).toBe(200)
      expect((await first({ table: 'nope' })).status).toBe(400)
      expect((await shape({ table: 'items', offset: '0_0', handle: '1-1', secret: SECRET })).status).toBe(409)
      expect((await shape({ table: 'items', offset: '-1', secret: SECRET }, { method: 'POST', body: 'no JSON' })).status).toBe(400)
    }
    await idle()
  })
})
