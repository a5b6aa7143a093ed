// A stack as it would be deployed: with a secret, no DELETE, and few requests admitted at once.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin, request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'

const SECRET = 'a secret'
const ctx = useStack({
  env: {
    SLUICE_INSECURE: 'false', SLUICE_SECRET: SECRET, SLUICE_ALLOW_DELETE: 'false', SLUICE_LONG_POLL_TIMEOUT: '20s',
    SLUICE_MAX_CONCURRENT_REQUESTS: JSON.stringify({ initial: 1, existing: 3 }),
  },
})
const shape = (query, spec) => ctx.stack.shape(query, spec)

beforeAll(() => ctx.db.sql('create table items (id int primary key, v text); insert into items values (1, null)'))

describe('the secret', () => {
  test('without it, or with another: 401 without CORS', async () => {
    for (const [method, path, secret] of [['GET', '/v1/shape'], ['GET', '/v1/%73hape'], ['GET', '/v1//shape/'], ['DELETE', '/v1/shape'], ['POST', '/v1/shape'], ['GET', '/v1/shape', 'wrong'], ['GET', '/v1/shape', `${SECRET}x`]]) {
      const answer = await request(ctx.stack.url, { method, path, query: { table: 'items', offset: '-1', secret } })
      expect([method, path, answer.status]).toEqual([method, path, 401])
      expect(answer.json).toEqual({ message: 'Unauthorized - Invalid API secret' })
      expect(Object.keys(answer.headers).filter((h) => h.startsWith('access-control'))).toEqual([])
      expect(answer.headers['cache-control']).toBe('max-age=0, private, must-revalidate')
    }
  })

  test('with it, under both names: 200; health, / and OPTIONS need none', async () => {
    expect((await shape({ table: 'items', offset: '-1', secret: SECRET })).status).toBe(200)
    expect((await shape({ table: 'items', offset: '-1', api_secret: SECRET })).status).toBe(200)
    expect((await request(ctx.stack.url, { path: '/v1/health' })).status).toBe(200)
    expect((await request(ctx.stack.url, { path: '/' })).status).toBe(200)
    expect((await request(ctx.stack.url, { path: '/nowhere' })).status).toBe(404)
    expect((await request(ctx.stack.url, { method: 'OPTIONS' })).status).toBe(204)
  })

  test('it is in no log', () => expect(ctx.stack.logText()).not.toContain(SECRET))
})

test('DELETE is not allowed', async () => {
  const answer = await shape({ table: 'items', secret: SECRET }, { method: 'DELETE' })
  expect([answer.status, answer.json]).toEqual([405, { message: 'DELETE not allowed' }])
})

describe('admission', () => {
  function assertRefused(answer, kind, limit) {
    expect(answer.status).toBe(503)
    expect(answer.json).toEqual({
      code: 'concurrent_request_limit_exceeded', message: `Concurrent ${kind} request limit exceeded (limit: ${limit}), please retry`,
    })
    expect(answer.headers).toMatchObject({ 'electric-internal-known-error': 'true', 'cache-control': 'no-store', 'surrogate-control': 'no-store', 'access-control-allow-origin': '*' })
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(6)
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(10)
  }

  test('too many waiting clients', async () => {
    let answer = await shape({ table: 'items', offset: '-1', secret: SECRET })
    answer = await shape({ table: 'items', offset: answer.offset, handle: answer.handle, secret: SECRET })
    const at = { table: 'items', offset: answer.offset, handle: answer.handle, secret: SECRET, live: 'true' }
    const polls = Array.from({ length: 4 }, () => begin(ctx.stack.url, { query: at }))
    assertRefused(await Promise.race(polls.map((p) => p.answer)), 'existing', 3)
    for (const poll of polls) poll.abort()
    await until(async () => (await shape({ ...at, live: undefined })).status === 200, { what: 'slots of clients that left come back' })
  })

  test('too many that begin', async () => {
    await ctx.db.sql('create table locked (id int primary key); create table other (id int primary key)')
    const session = await ctx.db.session()
    await session.query('begin; lock table locked in access exclusive mode')
    const first = begin(ctx.stack.url, { query: { table: 'locked', offset: '-1', secret: SECRET } })
    first.answer.then((early) => (first.early = early), () => {})
    await until(async () => (await ctx.db.sql("select 1 from pg_locks where relation = 'locked'::regclass and not granted")).length, { what: 'the first request waits for the table' })
    const refused = await until(async () => {
      if (first.early) throw new Error(`the request that was to be held is answered: ${first.early.status} ${first.early.text}`)
      const answer = await shape({ table: 'other', offset: '-1', secret: SECRET })
      return answer.status === 503 && answer
    }, { what: 'a second request is refused' })
    assertRefused(refused, 'initial', 1)
    await session.query('commit')
    first.abort()
    await until(async () => (await shape({ table: 'other', offset: '-1', secret: SECRET })).status === 200, { what: 'the next one is served' })
  })
})
