// The letter of the protocol: status, headers and bodies, as they are on the wire.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin, readShape, request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_CHUNK_BYTES: '10000' } })
const sql = (text) => ctx.db.sql(text)
const shape = (query, spec) => ctx.stack.shape(query, spec)
const get = (path, spec) => request(ctx.stack.url, { path, ...spec })

const EXPOSED = 'electric-cursor,electric-handle,electric-has-data,electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,retry-after'
const FRAMEWORK_CACHE = 'max-age=0, private, must-revalidate'

beforeAll(async () => {
  await sql('create table items (id uuid primary key, value text)')
  await sql("insert into items values ('00000000-0000-0000-0000-000000000001', 'one')")
})

describe('routes', () => {
  test('GET and HEAD / are empty 200s', async () => {
    for (const method of ['GET', 'HEAD']) {
      const answer = await get('/', { method })
      expect(answer.status).toBe(200)
      expect(answer.text).toBe('')
    }
  })

  test('unknown paths and methods: 404, plain text', async () => {
    for (const [method, path] of [['GET', '/nonexistent'], ['PUT', '/v1/shape'], ['GET', '/v1'], ['GET', '/v1/shape/more'], ['PATCH', '/v1/shape'], ['GET', '/v2/shape']]) {
      const answer = await get(path, { method })
      expect([method, path, answer.status, answer.text]).toEqual([method, path, 404, 'Not found'])
      if (path !== '/v1/shape') expect(answer.headers['access-control-allow-methods']).toBe('GET, HEAD')
      expect(answer.headers['cache-control']).toBe(FRAMEWORK_CACHE)
    }
  })

  test('other spellings of the path', async () => {
    for (const path of ['/v1/shape/', '/v1//shape', '/v1/%73hape']) {
      const answer = await get(path, { query: { table: 'items', offset: '-1' } })
      expect([path, answer.status, answer.changes.length]).toEqual([path, 200, 1])
    }
  })

  test('health', async () => {
    const answer = await get('/v1/health')
    expect(answer.status).toBe(200)
    expect(answer.json).toEqual({ status: 'active' })
    expect(answer.headers['cache-control']).toBe('no-cache, no-store, must-revalidate')
    expect((await get('/v1/health', { method: 'HEAD' })).text).toBe('')
  })

  test('every answer: server, request id, CORS', async () => {
    for (const path of ['/', '/nonexistent', '/v1/health', '/v1/shape', '/v1/shape?table=items&offset=-1']) {
      const answer = await get(path, { headers: { 'x-request-id': 'a-request-id-of-thirty-chars-x' } })
      expect(answer.headers['electric-server'], path).toMatch(/^ElectricSQL\/\d/)
      expect(answer.headers['x-request-id'], path).toBe('a-request-id-of-thirty-chars-x')
      expect(answer.headers['access-control-allow-origin'], path).toBe('*')
      expect(answer.headers['access-control-expose-headers'], path).toBe(EXPOSED)
      expect(answer.headers['access-control-allow-methods'], path).toBe(path.startsWith('/v1/shape') ? 'GET, POST, HEAD, DELETE, OPTIONS' : 'GET, HEAD')
    }
    const short = await get('/', { headers: { 'x-request-id': 'short' } })
    expect(short.headers['x-request-id']).not.toBe('short')
    expect(short.headers['x-request-id'].length).toBeGreaterThanOrEqual(20)
    expect((await get('/', { headers: { origin: 'https://a.b' } })).headers['access-control-allow-origin']).toBe('https://a.b')
  })

  test('OPTIONS', async () => {
    const answer = await get('/v1/shape', { method: 'OPTIONS', headers: { connection: 'keep-alive' } })
    expect(answer.status).toBe(204)
    expect(answer.text).toBe('')
    expect(answer.headers).toMatchObject({ 'access-control-allow-methods': 'GET, POST, HEAD, DELETE, OPTIONS', 'access-control-max-age': '86400', connection: 'keep-alive' })
    expect(answer.headers).not.toHaveProperty('cache-control')
    expect(answer.headers).not.toHaveProperty('access-control-allow-headers')
    const asked = await get('/v1/%73hape', { method: 'OPTIONS', headers: { 'access-control-request-headers': 'If-None-Match' } })
    expect(asked.headers['access-control-allow-headers']).toBe('If-None-Match')
  })

  test('HEAD has the headers of GET and no body', async () => {
    const query = { table: 'items', offset: '-1' }
    const full = await shape(query)
    const head = await shape(query, { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.text).toBe('')
    const without = ({ headers }) => Object.fromEntries(Object.entries(headers).filter(([k]) => !['date', 'x-request-id', 'transfer-encoding', 'content-length', 'connection', 'keep-alive'].includes(k)))
    expect(without(head)).toEqual(without(full))
  })
})

describe('initial and catch-up', () => {
  test('offset=-1: body and headers', async () => {
    const answer = await shape({ table: 'items', offset: '-1' })
    expect(answer.status).toBe(200)
    expect(answer.changes).toEqual([{
      key: '"public"."items"/"00000000-0000-0000-0000-000000000001"',
      value: { id: '00000000-0000-0000-0000-000000000001', value: 'one' },
      headers: { operation: 'insert', relation: ['public', 'items'] },
    }])
    const end = answer.messages.at(-1).headers
    expect(Object.keys(end).sort()).toEqual(['control', 'xip_list', 'xmax', 'xmin'])
    expect(end.control).toBe('snapshot-end')
    expect(end.xmin).toMatch(/^\d+$/)
    expect(end.xmax).toMatch(/^\d+$/)
    expect(answer.handle).toMatch(/^\d+-\d+$/)
    expect(answer.offset).toBe('0_0')
    expect(answer.upToDate).toBe(false)
    expect(answer.etag).toBe(`"${answer.handle}:-1:0_0"`)
    expect(answer.headers['cache-control']).toBe('public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746')
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(answer.headers['electric-has-data']).toBe('true')
    expect(answer.headers).not.toHaveProperty('electric-cursor')
    expect(JSON.parse(answer.headers['electric-schema'])).toEqual({ id: { type: 'uuid', pk_index: 0, not_null: true }, value: { type: 'text' } })
  })

  test('the columns of a value are in alphabetical order', async () => {
    await sql("create table zyx (z int primary key, b text, a text); insert into zyx values (1, 'b', 'a')")
    expect((await shape({ table: 'zyx', offset: '-1' })).text).toContain('"value":{"a":"a","b":"b","z":"1"}')
  })

  test('electric-schema of many declarations', async () => {
    await sql(`create table declared (k2 int, k1 int, v varchar(20), c char(3), n numeric(5,2), ts timestamptz(3), iv interval minute to second(4),
      a int[][], b bit(4), t text not null, primary key (k1, k2))`)
    const answer = await shape({ table: 'declared', offset: '-1' })
    expect(JSON.parse(answer.headers['electric-schema'])).toEqual({
      k1: { type: 'int4', pk_index: 0, not_null: true }, k2: { type: 'int4', pk_index: 1, not_null: true },
      v: { type: 'varchar', max_length: 20 }, c: { type: 'bpchar', length: 3 }, n: { type: 'numeric', precision: 5, scale: 2 },
      ts: { type: 'timestamptz', precision: 3 }, iv: { type: 'interval', precision: 4, fields: 'MINUTE TO SECOND' },
      a: { type: 'int4', dims: 2 }, b: { type: 'bit', length: 4 }, t: { type: 'text', not_null: true },
    })
  })

  test('an empty table: snapshot-end alone', async () => {
    await sql('create table empty_one (id int primary key)')
    const answer = await shape({ table: 'empty_one', offset: '-1' })
    expect(answer.control).toEqual(['snapshot-end'])
    expect(answer.messages).toHaveLength(1)
    expect(answer.upToDate).toBe(false)
  })

  test('catch-up without changes, then with one', async () => {
    await sql('create table growing (id int primary key)')
    const answers = await readShape(ctx.stack.url, { table: 'growing' })
    const last = answers.at(-1)
    expect(last.messages).toHaveLength(1)
    expect(last.messages[0].headers.global_last_seen_lsn).toMatch(/^\d+$/)
    expect(last.offset).toBe('0_inf')
    expect(last.headers['electric-up-to-date']).toBe('')
    expect(last.headers['cache-control']).toBe('public, max-age=60, stale-while-revalidate=300')
    expect(last.headers['electric-has-data']).toBe('true')
    expect(last.etag).toBe(`"${last.handle}:${last.requested}:0_inf"`)

    const query = { table: 'growing', handle: last.handle, offset: last.requested }
    const unchanged = await shape(query, { headers: { 'if-none-match': last.etag } })
    expect([unchanged.status, unchanged.text]).toEqual([304, ''])
    expect(unchanged.headers).toMatchObject({ etag: last.etag, 'electric-handle': last.handle, 'electric-offset': '0_inf', 'electric-has-data': 'true' })
    expect(unchanged.headers).not.toHaveProperty('electric-schema')
    expect(unchanged.upToDate).toBe(true)

    await sql('insert into growing values (1)')
    const changed = await until(async () => {
      const answer = await shape(query, { headers: { 'if-none-match': last.etag } })
      return answer.status === 200 && answer
    }, { what: 'the change is in the log' })
    expect(changed.changes).toHaveLength(1)
    expect(changed.control).toEqual(['up-to-date'])
    expect(changed.etag).not.toBe(last.etag)
    const [first] = answers
    const again = await shape({ table: 'growing', offset: '-1' })
    expect([again.text, again.etag]).toEqual([first.text, first.etag])
  })

  test('If-None-Match: lists match, weak ones do not', async () => {
    const query = { table: 'items', offset: '-1' }
    const { etag } = await shape(query)
    const ask = async (value) => (await shape(query, { headers: { 'if-none-match': value } })).status
    expect(await ask(etag)).toBe(304)
    expect(await ask(`"other", ${etag}`)).toBe(304)
    expect(await ask(`W/${etag}`)).toBe(200)
    expect(await ask('"other"')).toBe(200)
    expect(await ask('*')).toBe(200)
  })

  test('offset=now: only up-to-date, never revalidated', async () => {
    await sql('create table from_now (id int primary key); insert into from_now values (1)')
    const answer = await shape({ table: 'from_now', offset: 'now' })
    expect(answer.status).toBe(200)
    expect(answer.control).toEqual(['up-to-date'])
    expect(answer.messages).toHaveLength(1)
    expect(answer.offset).toBe('0_inf')
    expect(answer.headers['electric-has-data']).toBe('false')
    expect(answer.headers['electric-schema']).toBeDefined()
    expect(answer.upToDate).toBe(true)
    const again = await shape({ table: 'from_now', offset: 'now' }, { headers: { 'if-none-match': answer.etag } })
    expect(again.status).toBe(200)
    expect(again.etag).not.toBe(answer.etag)
  })

  test('a handle given with offset=-1 is ignored', async () => {
    expect((await shape({ table: 'items', offset: '-1', handle: 'whatever' })).status).toBe(200)
  })

  test('chunks: about the threshold, disjoint, repeatable, closed ones for ever', async () => {
    await sql('create table chunked (id int primary key, v text)')
    await sql("insert into chunked select n, repeat('x', 300) from generate_series(1, 300) n")
    const first = await readShape(ctx.stack.url, { table: 'chunked' })
    expect(first.map((a) => a.offset).slice(0, 3)).toEqual(['0_0', '0_1', '0_2'])
    const snapshot = first.filter((a) => a.changes.length)
    expect(snapshot.length).toBeGreaterThan(8)
    for (const a of snapshot.slice(0, -1)) {
      expect(a.bytes).toBeGreaterThan(8000)
      expect(a.bytes).toBeLessThan(12000)
      expect(a.upToDate).toBe(false)
    }
    expect(new Set(first.flatMap((a) => a.changes.map((c) => c.key))).size).toBe(300)

    await sql("update chunked set v = repeat('y', 300)")
    const client = ctx.client({ table: 'chunked' })
    await client.converges(ctx.db, 'chunked')
    const second = await readShape(ctx.stack.url, { table: 'chunked' })
    const log = second.filter((a) => a.changes[0]?.headers.lsn)
    expect(log.length).toBeGreaterThan(8)
    for (const a of second.slice(0, -1)) expect(a.control).not.toContain('up-to-date')
    const inside = `${log[0].changes[3].headers.lsn}_${log[0].changes[3].headers.op_position}`
    const rest = await shape({ table: 'chunked', offset: inside, handle: log[0].handle })
    expect(rest.offset).toBe(log[0].offset)
    expect(rest.changes).toEqual(log[0].changes.slice(4))
    await sql("insert into chunked values (1000, 'more')")
    await client.converges(ctx.db, 'chunked')
    const third = await readShape(ctx.stack.url, { table: 'chunked' })
    const frozen = second.slice(0, -1)
    expect(third.slice(0, frozen.length).map((a) => [a.requested, a.offset, a.etag, a.text])).toEqual(frozen.map((a) => [a.requested, a.offset, a.etag, a.text]))
  })
})

describe('400', () => {
  const cases = [
    ['nothing', {}, { offset: ["can't be blank"] }],
    ['offset that is no offset', { table: 'items', offset: 'invalid' }, { offset: ['has invalid format'] }],
    ['offset without op', { table: 'items', offset: '10' }, { offset: ['has invalid format'] }],
    ['offset of three parts', { table: 'items', offset: '1_2_3' }, { offset: ['has invalid format'] }],
    ['negative op', { table: 'items', offset: '0_-1' }, { offset: ['has invalid format'] }],
    ['offset -2', { table: 'items', offset: '-2' }, { offset: ['has invalid format'] }],
    ['no table', { offset: '-1' }, { table: ["can't be blank"] }],
    ['empty parameters count as absent', { table: '', offset: '-1' }, { table: ["can't be blank"] }],
    ['unknown table', { table: 'nonexistent', offset: '-1' },
      { table: ['Table "public"."nonexistent" does not exist. If the table name contains capitals or special characters you must quote it.'] }],
    ['zero-length table', { table: '""', offset: '-1' }, { table: ['Invalid zero-length delimited identifier'] }],
    ['zero-length schema', { table: '.x', offset: '-1' }, { table: ['Invalid zero-length delimited identifier'] }],
    ['three parts', { table: 'a.b.c', offset: '-1' }, { table: ['Invalid relation identifier, too many delimiters: a.b.c'] }],
    ['special characters', { table: 'it-ems', offset: '-1' }, { table: ['Invalid unquoted identifier contains special characters: it-ems'] }],
    ['blank before a name', { table: ' items', offset: '-1' }, { table: ['Invalid unquoted identifier contains special characters:  items'] }],
    ['inner quote', { table: '"foo"bar"', offset: '-1' }, { table: ['Invalid identifier with unescaped quote: foo"bar'] }],
    ['long name', { table: 'x'.repeat(64), offset: '-1' }, { table: ['Identifier is too long (max length is 63)'] }],
    ['offset without handle', { table: 'items', offset: '0_0' }, { handle: ["can't be blank when offset != -1"] }],
    ['live from the beginning', { table: 'items', offset: '-1', live: 'true' }, { live: ["can't be true when offset == -1"] }],
    ['live from now', { table: 'items', offset: 'now', live: 'true' }, { live: ["can't be true when offset is 'now'"] }],
    ['events without live', { table: 'items', offset: '-1', live_sse: 'true' }, { live_sse: ["can't be true unless live is also true"] }],
    ['replica', { table: 'items', offset: '-1', replica: 'banana' }, { replica: ['is invalid'] }],
    ['log', { table: 'items', offset: '-1', log: 'banana' }, { log: ['is invalid'] }],
    ['casts and a missing offset together', { table: 'items', replica: 'x' }, { offset: ["can't be blank"], replica: ['is invalid'] }],
    ['columns without the key', { table: 'items', offset: '-1', columns: 'value' }, { columns: ['The list of columns must include all primary key columns, missing: id'] }],
    ['unknown column', { table: 'items', offset: '-1', columns: 'id,nope' }, { columns: ['The following columns are not found on the table: nope'] }],
    ['column twice', { table: 'items', offset: '-1', columns: 'id,id,value' }, { columns: ['The following columns are not found on the table: id'] }],
    ['empty column', { table: 'items', offset: '-1', columns: 'id,,value' }, { columns: ['Invalid zero-length delimited identifier'] }],
  ]
  test.each(cases)('%s', async (_, query, errors) => {
    const answer = await shape(query)
    expect(answer.json).toEqual({ message: 'Invalid request', errors })
    expect(answer.status).toBe(400)
    expect(answer.headers).toMatchObject({
      'cache-control': 'no-store', 'surrogate-control': 'no-store', 'access-control-allow-origin': '*', 'content-type': 'application/json; charset=utf-8',
    })
    for (const absent of ['electric-handle', 'electric-offset', 'electric-schema', 'etag']) expect(answer.headers).not.toHaveProperty(absent)
  })

  test('views are not tables', async () => {
    await sql('create view seen as select * from items')
    expect((await shape({ table: 'seen', offset: '-1' })).status).toBe(400)
  })

  test('unknown parameters are ignored, live=false is not live', async () => {
    expect((await shape({ table: 'items', offset: '-1', live: 'false', secret: 'x', expired_handle: 'y', 'cache-buster': 'z', whatever: '1' })).status).toBe(200)
  })
})

describe('409', () => {
  test('an unknown handle: the right one, in a header', async () => {
    const { handle } = await shape({ table: 'items', offset: '-1' })
    for (const live of [undefined, 'true']) {
      const answer = await shape({ table: 'items', offset: '0_0', handle: '12345-67890', live })
      expect(answer.status).toBe(409)
      expect(answer.messages).toEqual([{ headers: { control: 'must-refetch' } }])
      expect(answer.handle).toBe(handle)
      expect(answer.headers['cache-control']).toBe('public, max-age=60, must-revalidate')
      expect(answer.etag).toBe(`"${handle}::"`)
      for (const absent of ['location', 'electric-offset', 'electric-schema', 'electric-has-data']) expect(answer.headers).not.toHaveProperty(absent)
    }
  })

  test('an unknown handle and no shape yet: one is made', async () => {
    await sql('create table unmade (id int primary key)')
    const answer = await shape({ table: 'unmade', offset: '0_0', handle: 'nonsense' })
    expect(answer.status).toBe(409)
    expect((await shape({ table: 'unmade', offset: '-1' })).handle).toBe(answer.handle)
  })

  test('the handle of another definition', async () => {
    await sql('create table foreign_ (id int primary key)')
    const mine = await shape({ table: 'foreign_', offset: '-1' })
    const { handle } = await shape({ table: 'items', offset: '-1' })
    const answer = await shape({ table: 'foreign_', offset: '0_0', handle })
    expect([answer.status, answer.handle]).toEqual([409, mine.handle])
    const other = await shape({ table: 'foreign_', offset: '-1', replica: 'full' })
    expect(other.handle).not.toBe(mine.handle)
  })
})

describe('DELETE', () => {
  test('by table, by handle, and what does not fit', async () => {
    await sql('create table deletable (id int primary key)')
    const first = await shape({ table: 'deletable', offset: '-1' })
    const mismatch = await shape({ table: 'deletable', handle: '1-1' }, { method: 'DELETE' })
    expect(mismatch.status).toBe(400)
    expect(mismatch.json.message).toMatch(/^The specified shape definition and handle do not match\./)
    const gone = await shape({ table: 'deletable' }, { method: 'DELETE' })
    expect([gone.status, gone.text, gone.headers['cache-control']]).toEqual([202, '', 'no-cache'])
    const second = await shape({ table: 'deletable', offset: '-1' })
    expect(second.handle).not.toBe(first.handle)
    expect((await shape({ handle: second.handle }, { method: 'DELETE' })).status).toBe(202)
    const unknown = await shape({ handle: second.handle }, { method: 'DELETE' })
    expect([unknown.status, unknown.json]).toEqual([404, { message: 'No existing shape found' }])
    const third = await shape({ table: 'deletable', offset: '-1' })
    expect([first.handle, second.handle]).not.toContain(third.handle)
  })

  test('a table without a shape: 404; nothing at all: 400', async () => {
    await sql('create table never_asked (id int primary key)')
    expect((await shape({ table: 'never_asked' }, { method: 'DELETE' })).status).toBe(404)
    const nothing = await shape({}, { method: 'DELETE' })
    expect(nothing.status).toBe(400)
    expect(nothing.json.errors.handle).toEqual(["can't be blank when shape definition is missing"])
  })
})

test('connections are kept, requests one after another on one socket', async () => {
  const { raw } = await import('./lib/http.mjs')
  const one = 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n'
  const answer = await raw(ctx.stack.port, [one + one + one], { done: (t) => t.split('"active"').length === 4 })
  expect(answer.text.split('HTTP/1.1 200').length).toBe(4)
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
