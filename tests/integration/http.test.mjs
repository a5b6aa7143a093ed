// The letter of HTTP (protocol §1): routes, methods, CORS, the headers of every answer, connections. What a shape answers is in
// validation, catchup and handles.
import net from 'node:net'
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { freePorts } from './lib/ports.mjs'
import { Stack } from './lib/stack.mjs'
import { begin, raw, readShape, request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ env: { ELECTRIC_TCP_READ_TIMEOUT: '1500', ELECTRIC_TCP_SEND_TIMEOUT: '1500ms' } })
const sql = (text) => ctx.db.sql(text)
const shape = (query, spec) => ctx.stack.shape(query, spec)
const get = (path, spec) => request(ctx.stack.url, { path, ...spec })
const options = (headers, path = '/v1/shape') => get(path, { method: 'OPTIONS', headers })

const EXPOSED = 'electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,retry-after'
const FRAMEWORK_CACHE = 'max-age=0, private, must-revalidate'
const SHAPE_METHODS = 'GET, POST, HEAD, DELETE, OPTIONS'

beforeAll(async () => {
  await sql('create table items (id uuid primary key, value text)')
  await sql("insert into items values ('00000000-0000-0000-0000-000000000001', 'one')")
})

describe('routes', () => {
  test('#1 #2 GET and HEAD / are empty 200s', async () => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await get('/', { method })
      expect([answer.status, answer.text]).toEqual([200, ''])
      expect(answer.headers['cache-control']).toBe(FRAMEWORK_CACHE)
      expect(answer.headers).not.toHaveProperty('content-type')
    }
  })

  test('#3 #4 #26 unknown paths and methods: 404, plain text', async () => {
    for (const [method, path] of [
      ['GET', '/nonexistent'], ['PUT', '/v1/shape'], ['GET', '/v1'], ['GET', '/v1/shape/more'], ['PATCH', '/v1/shape'], ['GET', '/v2/shape'],
      ['GET', '/V1/shape'], ['GET', '/v1%2Fshape'], ['POST', '/'], ['DELETE', '/v1/health'], ['OPTIONS', '/'], ['OPTIONS', '/v1/health'], ['GET', '/metrics'],
    ]) {
      const answer = await get(path, { method })
      expect([method, path, answer.status, answer.text]).toEqual([method, path, 404, 'Not found'])
      expect(answer.headers['access-control-allow-methods'], `${method} ${path}`).toBe('GET, HEAD')
      expect(answer.headers['cache-control']).toBe(FRAMEWORK_CACHE)
      expect(answer.headers).not.toHaveProperty('content-type')
    }
  })

  test('#5 other spellings of the path', async () => {
    const plain = await shape({ table: 'items', offset: '-1' })
    for (const path of ['/v1/shape/', '/v1//shape', '//v1/shape', '/v1/%73hape', '/%76%31/shape']) {
      const answer = await get(path, { query: { table: 'items', offset: '-1' } })
      expect([path, answer.status, answer.etag, answer.text]).toEqual([path, 200, plain.etag, plain.text])
      expect(answer.headers['access-control-allow-methods'], path).toBe(SHAPE_METHODS)
    }
  })

  test('#27 health', async () => {
    const answer = await get('/v1/health')
    expect([answer.status, answer.text]).toEqual([200, '{"status":"active"}'])
    expect(answer.headers['cache-control']).toBe('no-cache, no-store, must-revalidate')
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    const head = await get('/v1/health', { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
  })

  test('#31 HEAD has the headers of GET and no body', async () => {
    const volatile = ['date', 'x-request-id', 'transfer-encoding', 'content-length', 'connection', 'keep-alive']
    const lasting = ({ headers }) => Object.fromEntries(Object.entries(headers).filter(([name]) => !volatile.includes(name)))
    for (const [query, status] of [[{ table: 'items', offset: '-1' }, 200], [{ table: 'items' }, 400], [{ table: 'items', offset: '0_0', handle: '1-1' }, 409]]) {
      const full = await shape(query)
      const head = await shape(query, { method: 'HEAD' })
      expect([full.status, head.status, head.text]).toEqual([status, status, ''])
      expect(lasting(head)).toEqual(lasting(full))
    }
  })
})

describe('headers of every answer', () => {
  const every = [['/', 200], ['/nonexistent', 404], ['/v1/health', 200], ['/v1/shape', 400], ['/v1/shape?table=items&offset=-1', 200],
    ['/v1/shape?table=items&offset=0_0&handle=1-1', 409], ['/v1/shape?table=items&offset=now', 200]]

  test('#6 #7 #23 #25 server, request id, CORS', async () => {
    for (const [path, status] of every) {
      const answer = await get(path)
      expect([path, answer.status]).toEqual([path, status])
      expect(answer.headers['electric-server'], path).toMatch(/^ElectricSQL\/\d/)
      expect(answer.headers['x-request-id'].length, path).toBeGreaterThanOrEqual(20)
      expect(answer.headers['access-control-allow-origin'], path).toBe('*')
      expect(answer.headers['access-control-expose-headers'], path).toBe(EXPOSED)
      expect(answer.headers['access-control-allow-methods'], path).toBe(path.startsWith('/v1/shape') ? SHAPE_METHODS : 'GET, HEAD')
      expect(answer.headers.vary, path).toBe('accept-encoding')
      expect(answer.headers, path).not.toHaveProperty('access-control-allow-credentials')
    }
  })

  test('#6 #7 what is refused before it is a whole request has them too', async () => {
    const done = (text) => text.includes('\r\n\r\n')
    for (const [request_, status] of [
      [`GET /${'x'.repeat(10000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 414],
      [`GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(10000)}\r\n\r\n`, 431],
      ['POST /v1/shape HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}', 400],
    ]) {
      const { text } = await raw(ctx.stack.port, request_, { done })
      expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
      expect(text.toLowerCase()).toMatch(/\r\nelectric-server: electricsql\/\d/)
      expect(text.toLowerCase()).toMatch(/\r\nx-request-id: \w{20,}\r\n/)
      expect(text.toLowerCase()).toContain('\r\naccess-control-allow-origin: *\r\n')
    }
  })

  test('#7 a request id of 20 to 200 characters is echoed, another is replaced', async () => {
    const echoed = async (id) => (await get('/v1/shape', { headers: { 'x-request-id': id } })).headers['x-request-id'] === id
    expect(await echoed('x'.repeat(19))).toBe(false)
    expect(await echoed('x'.repeat(20))).toBe(true)
    expect(await echoed('y'.repeat(200))).toBe(true)
    expect(await echoed('y'.repeat(201))).toBe(false)
    const ids = [await get('/'), await get('/')].map((answer) => answer.headers['x-request-id'])
    expect(ids[0]).not.toBe(ids[1])
  })

  test('#24 an Origin is echoed, two are not', async () => {
    const origin = async (value) => (await get('/v1/shape', { headers: { origin: value } })).headers['access-control-allow-origin']
    expect(await origin('https://a.b')).toBe('https://a.b')
    expect(await origin('null')).toBe('null')
    expect(await origin(['https://a.b', 'https://c.d'])).toBe('*')
  })
})

describe('OPTIONS', () => {
  test('#13 #18 #21 an empty 204 that says which methods there are', async () => {
    const answer = await options()
    expect([answer.status, answer.text]).toEqual([204, ''])
    expect(answer.headers).toMatchObject({ 'access-control-allow-methods': SHAPE_METHODS, 'access-control-max-age': '86400', 'access-control-allow-origin': '*' })
    for (const absent of ['cache-control', 'access-control-allow-headers', 'vary']) expect(answer.headers).not.toHaveProperty(absent)
    const open = await raw(ctx.stack.port, 'OPTIONS /v1/shape HTTP/1.1\r\nHost: x\r\n\r\n', { done: (text) => text.includes('\r\n\r\n') })
    expect(open.text.toLowerCase()).toContain('\r\nconnection: keep-alive\r\n')
  })

  test('#19 a header that may be sent is echoed as it was written', async () => {
    for (const name of ['If-None-Match', 'if-none-match', 'Traceparent']) {
      const answer = await options({ 'access-control-request-headers': name })
      expect(answer.headers['access-control-allow-headers']).toBe(name)
    }
  })

  test('#20 another one, and a list, are not', async () => {
    for (const name of ['content-type', 'content-type, if-none-match', 'x-if-none-match']) {
      const answer = await options({ 'access-control-request-headers': name })
      expect(answer.status).toBe(204)
      expect(answer.headers).not.toHaveProperty('access-control-allow-headers')
    }
  })

  test('#22 on another spelling of the path: the methods of shapes', async () => {
    const answer = await options({}, '/v1/%73hape')
    expect([answer.status, answer.headers['access-control-allow-methods']]).toEqual([204, SHAPE_METHODS])
  })
})

test('connections are kept, requests one after another on one socket', async () => {
  const one = 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n'
  const answer = await raw(ctx.stack.port, [one + one + one], { done: (t) => t.split('"active"').length === 4 })
  expect(answer.text.split('HTTP/1.1 200').length).toBe(4)
})

test('a stack that is set up by the variables of the reference alone', async () => {
  const names = {
    DATA_DIR: 'STORAGE_DIR', STREAM_ID: 'REPLICATION_STREAM_ID', HTTP_PORT: 'PORT', INSECURE: 'INSECURE', ALLOW_DELETE: 'ENABLE_INTEGRATION_TESTING',
    LONG_POLL_TIMEOUT: 'LONG_POLL_TIMEOUT', LOG_LEVEL: 'LOG_LEVEL',
  }
  const db = await ctx.postgres.database()
  await db.sql('create table items (id int primary key)')
  const stack = new Stack({ database: db })
  stack.port = await freePorts(1)
  const values = { DATA_DIR: stack.dir, STREAM_ID: stack.streamId, HTTP_PORT: String(stack.port), INSECURE: 'true', ALLOW_DELETE: 'true', LONG_POLL_TIMEOUT: '300', LOG_LEVEL: 'warning' }
  for (const [ours, theirs] of Object.entries(names)) Object.assign(stack.env, { [`SLUICE_${ours}`]: '', [`ELECTRIC_${theirs}`]: values[ours] })
  try {
    await stack.launch()
    await stack.ready()
    expect(await db.sql('select 1 from pg_replication_slots where slot_name = $1', [stack.slot])).toHaveLength(1)
    expect(stack.pid('edge-0')).toBeGreaterThan(0)
    const at = (await readShape(stack.url, { table: 'items' })).at(-1)
    const began = Date.now()
    const poll = await stack.shape({ table: 'items', handle: at.handle, offset: at.offset, live: 'true' })
    expect([poll.status, poll.headers['electric-cursor']]).toEqual([200, '0'])
    expect(Date.now() - began).toBeLessThan(1800)
    expect((await stack.shape({ table: 'items' }, { method: 'DELETE' })).status).toBe(202)
    expect(stack.logLines(/level=info/)).toEqual([])
  } finally {
    await stack.destroy(db)
  }
})

describe('slow clients', () => {
  const connections = () => ctx.stack.metric('edge-0', 'connections')

  test('a connection that is idle, or does not finish its request, is closed', async () => {
    for (const bytes of ['GET /v1/hea', 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n']) {
      const began = Date.now()
      const answer = await raw(ctx.stack.port, bytes, { ms: 10000 })
      expect(answer.closed).toBe(true)
      expect(Date.now() - began).toBeGreaterThan(1400)
    }
  })

  test('a client that waits for a change is not idle', async () => {
    await sql('create table patient (id int primary key)')
    const at = (await readShape(ctx.stack.url, { table: 'patient' })).at(-1)
    const answer = await shape({ table: 'patient', handle: at.handle, offset: at.offset, live: 'true' })
    expect([answer.status, answer.headers['electric-has-data']]).toEqual([200, 'false']) // after 2 s
  })

  test('one that does not take its answer is cut', async () => {
    await sql("create table untaken (id int primary key, v text); insert into untaken values (1, repeat('x', 50000000))")
    await shape({ table: 'untaken', offset: '-1' })
    await until(async () => (await connections()) === 0, { what: 'nobody is connected' })
    const socket = net.connect(ctx.stack.port, '127.0.0.1').on('error', () => {})
    try {
      socket.write('GET /v1/shape?table=untaken&offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n')
      await new Promise((resolve) => socket.once('data', () => resolve(socket.pause())))
      await until(async () => (await connections()) === 1, { what: 'its connection is counted' })
      await until(async () => (await connections()) === 0, { what: 'it is cut' })
    } finally {
      socket.destroy()
    }
  })
})

test('a live poll whose client hangs up costs the next one nothing', async () => {
  await sql('create table hung (id int primary key)')
  const at = (await readShape(ctx.stack.url, { table: 'hung' })).at(-1)
  const poll = begin(ctx.stack.url, { query: { table: 'hung', handle: at.handle, offset: at.offset, live: 'true' } })
  await poll.sent
  poll.abort()
  await sql('insert into hung values (1)')
  expect((await shape({ table: 'hung', handle: at.handle, offset: at.offset, live: 'true' })).changes).toHaveLength(1)
})
