// What the official client offers beside its defaults: parameters, parsers, resuming, errors. Two edges, two routers.
import { describe, expect, test } from 'vitest'
import { FetchError, Shape, ShapeStream, createColumnMapper, isChangeMessage, isControlMessage, snakeCamelMapper } from '@electric-sql/client'
import { useStack } from './lib/fixture.mjs'
import { Stack } from './lib/stack.mjs'
import { fingerprint } from './lib/oracle.mjs'
import { Proxy } from './lib/proxy.mjs'
import { everything, writer } from './lib/writer.mjs'
import { until, within } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {}, routers: 2, edges: 2, env: { SLUICE_CHUNK_BYTES: '10000' } })
const sql = (text, values) => ctx.db.sql(text, values)

/** A ShapeStream at an edge in turn, that ends with its test. */
let turn = 0
function stream(params, { base = ctx.stack.edgeUrl(turn++ % 2), ...options } = {}) {
  const abort = new AbortController()
  ctx.cleanup(() => abort.abort())
  return new ShapeStream({ url: `${base}/v1/shape`, params, signal: abort.signal, backoffOptions: { initialDelay: 20, maxDelay: 200, multiplier: 1.5 }, ...options })
}

const shape = (params, options) => new Shape(stream(params, options))

/** Until the shape's rows are what the query says, with pg's own parsers. */
async function becomes(s, query) {
  const { rows } = await (ctx.db.main ?? (await ctx.db.session())).query(query)
  const wanted = new Set(fingerprint(rows))
  const missing = () => [...wanted].filter((row) => !new Set(fingerprint(s.currentRows)).has(row))
  const extra = () => fingerprint(s.currentRows).filter((row) => !wanted.has(row))
  await until(() => s.currentRows.length === wanted.size && !missing().length, {
    what: () => `the shape at ${s.lastOffset} is what SELECT says\nmissing: ${missing().slice(0, 5).join(' ')}\ntoo many: ${extra().slice(0, 5).join(' ')}`,
  })
}

/** Every message in the order it came. */
function collect(s) {
  const messages = []
  s.subscribe((batch) => void messages.push(...batch), () => {})
  return messages
}

describe('parameters', () => {
  test('#39 #40 #59 #108 tables and columns of whatever names', async () => {
    await sql(`create schema "My.Schema"; create table "My.Schema"."A ""Table""" (id int primary key, "Mixed Case" text, "com,ma" text, "qu""ote" text, hidden text)`)
    await sql(`insert into "My.Schema"."A ""Table""" values (1, 'a', 'b', 'c', 'never'), (2, 'd', 'e', 'f', 'never')`)
    const s = shape({ table: '"My.Schema"."A ""Table"""', columns: ['id', 'Mixed Case', 'com,ma', 'qu"ote'] })
    await s.rows
    await sql(`update "My.Schema"."A ""Table""" set "com,ma" = 'changed', hidden = 'still' where id = 2; update "My.Schema"."A ""Table""" set hidden = 'x'`)
    await becomes(s, `select id, "Mixed Case", "com,ma", "qu""ote" from "My.Schema"."A ""Table"""`)
  })

  test('#54 #55 #117 where with parameters, as an array and as an object', async () => {
    await sql("create table people (id int primary key, name text, age int); insert into people select n, (array['o''neil', 'm\"ax', '' , '%'])[n % 4 + 1], n from generate_series(1, 40) n")
    const list = shape({ table: 'people', where: 'name = $1 and age > $2', params: ["o'neil", '10'] })
    const object = shape({ table: 'people', where: 'age > $2 and name = $1', params: { 1: 'm"ax', 2: '5' } })
    const hostile = shape({ table: 'people', where: 'name = $1', params: ["' OR 1=1 --"] })
    for (const s of [list, object, hostile]) await s.rows
    expect(hostile.currentRows).toEqual([])
    await sql("update people set age = age + 8; update people set name = 'm\"ax' where id = 4; delete from people where id = 8")
    await becomes(list, "select * from people where name = 'o''neil' and age > 10")
    await becomes(object, "select * from people where name = 'm\"ax' and age > 5")
  })

  test('#120 #122 replica full: old values of what changed, whole rows of what is gone', async () => {
    await sql("create table full_rows (id int primary key, a text, b int); insert into full_rows values (1, 'x', 1), (2, 'y', 2)")
    const s = stream({ table: 'full_rows', replica: 'full' })
    const messages = collect(s)
    await until(() => s.isUpToDate)
    await sql("update full_rows set b = 5 where id = 1; delete from full_rows where id = 2")
    await until(() => messages.some((m) => m.headers.operation === 'delete'))
    const [update, gone] = messages.filter((m) => m.headers.lsn)
    expect([update.value, update.old_value]).toEqual([{ id: 1, a: 'x', b: 5 }, { b: 1 }])
    expect(gone.value).toEqual({ id: 2, a: 'y', b: 2 })
  })

  test('functions as parameters and headers, parameters of the application', async () => {
    await sql('create table asked (id int primary key, owner text); insert into asked values (1, $$me$$), (2, $$you$$)'.replaceAll('$$', "'"))
    const urls = []
    const s = shape(
      { table: async () => 'asked', where: () => 'owner = $1', params: ['me'], tenant: 'acme', list: ['a', 'b'] },
      { headers: { authorization: async () => 'Bearer x' }, fetchClient: (url, init) => (urls.push([new URL(url), init.headers]), fetch(url, init)) })
    await becomes(s, "select * from asked where owner = 'me'")
    expect(urls[0][0].searchParams.get('tenant')).toBe('acme')
    expect(urls[0][1].authorization).toBe('Bearer x')
  })

  test('column mappers rename in rows, where clauses, columns and subsets', async () => {
    await sql('create table snakes (user_id int primary key, full_name text, shoe_size int); insert into snakes values (1, $$a$$, 40), (2, $$b$$, 41), (3, $$c$$, 42)'.replaceAll('$$', "'"))
    const s = shape({ table: 'snakes', where: 'shoeSize > 40', columns: ['userId', 'shoeSize', 'fullName'] }, { columnMapper: snakeCamelMapper() })
    await s.rows
    await sql('update snakes set shoe_size = shoe_size + 1')
    await becomes(s, 'select full_name "fullName", shoe_size "shoeSize", user_id "userId" from snakes where shoe_size > 40')
    const subset = stream({ table: 'snakes' }, { log: 'changes_only', columnMapper: createColumnMapper({ user_id: 'id', shoe_size: 'size' }) })
    subset.subscribe(() => {})
    await until(() => subset.isUpToDate)
    const eq = { type: 'func', name: 'gt', args: [{ type: 'ref', column: 'size' }, { type: 'val', paramIndex: 1 }] }
    const { data } = await subset.requestSnapshot({ whereExpr: eq, params: { 1: 42 }, orderByExpr: [{ column: 'id', direction: 'desc', nulls: 'last' }], limit: 1 })
    expect(data.map((m) => m.value)).toEqual([{ id: 3, full_name: 'c', size: 43 }])
  })
})

describe('values', () => {
  test('#99 the parsers that the client has: numbers, bigints, booleans, json, arrays; snapshot and log alike', async () => {
    await sql(`create table typed (id int8 primary key, s int2, f float8, b bool, j jsonb, d date, a int4[], n int8[][], t text[], ja jsonb[], nothing int)`)
    const row = `9007199254740993, -5, 1.5, true, '{"a": [1, null, "x"]}', '2024-02-29', '{1,NULL,3}', '{{1,2},{3,4}}', '{"a,b","c\\"d",NULL,""}', array['{"x": 1}'::jsonb], null`
    await sql(`insert into typed values (${row})`)
    const s = shape({ table: 'typed' }, { parser: { date: (text) => new Date(`${text}T00:00:00Z`) } })
    await s.rows
    await sql(`insert into typed values (${row.replace('9007199254740993', '9007199254740995')})`)
    await until(() => s.currentRows.length === 2)
    const wanted = {
      s: -5, f: 1.5, b: true, j: { a: [1, null, 'x'] }, d: new Date('2024-02-29T00:00:00Z'), a: [1, null, 3], n: [[1n, 2n], [3n, 4n]], t: ['a,b', 'c"d', null, ''], ja: [{ x: 1 }], nothing: null,
    }
    expect(s.currentRows).toEqual([{ id: 9007199254740993n, ...wanted }, { id: 9007199254740995n, ...wanted }])
  })

  test('transformers see what parsers made', async () => {
    await sql("create table secrets (id int primary key, v text); insert into secrets values (1, 'abc')")
    const s = shape({ table: 'secrets' }, { transformer: (row) => ({ ...row, v: row.v?.split('').reverse().join('') }) })
    await s.rows
    await sql("insert into secrets values (2, 'xyz')")
    await until(() => s.currentRows.length === 2)
    expect(s.currentRows).toEqual([{ id: 1, v: 'cba' }, { id: 2, v: 'zyx' }])
  })
})

describe('beginning and going on', () => {
  test('#110 #111 offset now: only what comes', async () => {
    await sql("create table from_now (id int primary key, v text); insert into from_now values (1, 'old')")
    const s = stream({ table: 'from_now' }, { offset: 'now' })
    const messages = collect(s)
    await until(() => s.isUpToDate)
    await sql("insert into from_now values (2, 'new')")
    await until(() => messages.some(isChangeMessage))
    expect(messages.filter(isChangeMessage).map((m) => m.value.id)).toEqual([2])
  })

  for (const liveSse of [false, true]) {
    test(`handle and offset of another day, at the other edge${liveSse ? ', on a stream' : ''}`, async () => {
      const table = `another_day_${liveSse}`
      await sql(`create table ${table} (id int primary key, v text); insert into ${table} select n, 'v' from generate_series(1, 300) n`)
      const first = stream({ table }, { base: ctx.stack.edgeUrl(0), liveSse })
      const before = collect(first)
      await until(() => first.isUpToDate)
      await sql(`update ${table} set v = 'one' where id <= 5`)
      await until(() => before.filter((m) => m.headers.lsn).length === 5)
      const saved = { handle: first.shapeHandle, offset: first.lastOffset }
      await sql(`update ${table} set v = 'two' where id <= 3`)
      const second = stream({ table }, { base: ctx.stack.edgeUrl(1), liveSse, ...saved })
      const after = collect(second)
      await until(() => after.filter((m) => m.value?.v === 'two').length === 3)
      expect(after.every((m) => !isChangeMessage(m) || m.headers.lsn)).toBe(true)
      expect(second.shapeHandle).toBe(first.shapeHandle)
    })
  }

  test('subscribe: false stops when it is up to date', async () => {
    await sql('create table once (id int primary key); insert into once select generate_series(1, 500)')
    const urls = []
    const s = shape({ table: 'once' }, { subscribe: false, fetchClient: (url, init) => (urls.push(url), fetch(url, init)) })
    expect(await s.rows).toHaveLength(500)
    await until(() => s.stream.isUpToDate)
    expect(urls.some((url) => url.includes('live=true'))).toBe(false)
  })

  test('forceDisconnectAndRefresh: what is committed is there at once, on polls and streams', async () => {
    await sql('create table refreshed (id int primary key)')
    for (const liveSse of [false, true]) {
      const s = stream({ table: 'refreshed' }, { liveSse })
      const messages = collect(s)
      await until(() => s.isUpToDate)
      for (let n = 0; n < 5; n++) {
        const [{ lsn }] = await sql(`with x as (insert into refreshed select coalesce(max(id), 0) + 1 from refreshed returning 1) select (pg_current_wal_lsn() - '0/0')::text lsn`)
        await within(s.forceDisconnectAndRefresh(), 5000, 'a refresh')
        await until(() => BigInt(messages.findLast(isControlMessage)?.headers.global_last_seen_lsn ?? 0) >= BigInt(lsn))
      }
      await until(() => messages.filter((m) => m.headers.lsn).length % 5 === 0)
    }
  })

  test('pauses and goes on when the runtime says so', async () => {
    await sql('create table paused (id int primary key)')
    for (const liveSse of [false, true]) {
      let tell
      const s = shape({ table: 'paused' }, { liveSse, runtimeVisibility: { getCurrentState: () => 'visible', subscribe: (callback) => ((tell = callback), () => {}) } })
      await s.rows
      for (let n = 1; n <= 5; n++) {
        tell('hidden')
        await until(() => s.stream.isPaused())
        await sql('insert into paused select coalesce(max(id), 0) + 1 from paused')
        tell('visible')
        await becomes(s, 'select * from paused')
      }
    }
  })
})

describe('errors', () => {
  test('#48 #66 400: a FetchError with the JSON of the server; the application repairs its parameters', async () => {
    await sql('create table repaired (id int primary key); insert into repaired values (1)')
    const errors = []
    const s = shape({ table: 'repaired', where: '1 x 1' }, { onError: (error) => (errors.push(error), { params: { where: 'id = 1' } }) })
    await becomes(s, 'select * from repaired')
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(FetchError)
    expect([errors[0].status, errors[0].json]).toEqual([400, { message: 'Invalid request', errors: { where: ['At location 17: syntax error at or near "x"'] } }])
  })

  test('400 without a handler ends the stream and tells the subscriber', async () => {
    const s = stream({ table: 'does_not_exist' })
    const error = await within(new Promise((resolve) => s.subscribe(() => {}, resolve)), 5000, 'an error')
    expect([error.status, error.json.errors.table[0]]).toEqual([400, expect.stringContaining('Table "public"."does_not_exist" does not exist')])
    expect(s.isConnected()).toBe(false)
  })

  test('#8 #10 401: a FetchError with the message as text; a new secret goes on', async () => {
    const stack = await Stack.start({ database: ctx.db, env: { SLUICE_INSECURE: 'false', SLUICE_SECRET: 'sesame' }, name: 'secured' })
    ctx.cleanup(async () => {
      await stack.stop()
      await until(async () => !(await sql('select 1 from pg_replication_slots where slot_name = $1 and active', [stack.slot])).length)
      await sql('select pg_drop_replication_slot($1)', [stack.slot])
    })
    await sql('create table guarded (id int primary key); insert into guarded values (1)')
    for (const liveSse of [false, true]) {
      const errors = []
      const s = shape({ table: 'guarded', secret: 'wrong' }, { base: stack.url, liveSse, onError: (error) => (errors.push(error), { params: { secret: 'sesame' } }) })
      await becomes(s, 'select * from guarded')
      expect(errors.map((e) => [e.status, e.text ?? JSON.stringify(e.json)])).toEqual([[401, '{"message":"Unauthorized - Invalid API secret"}']])
    }
  })

  test('429, 503 with Retry-After and a network that fails are tried again', async () => {
    await sql("create table patient (id int primary key, v text); insert into patient select n, 'v' from generate_series(1, 300) n")
    const faults = [() => { throw new TypeError('no network') }, () => new Response('', { status: 503, headers: { 'retry-after': '0' } }), () => new Response('', { status: 429 }), () => new Response('', { status: 500 })]
    let n = 0
    const failed = []
    const s = shape({ table: 'patient' }, {
      backoffOptions: { initialDelay: 5, maxDelay: 20, multiplier: 1.5, onFailedAttempt: () => failed.push(1) },
      fetchClient: (url, init) => (n++ % 5 < 4 ? (async () => faults[n % 4]())() : fetch(url, init)),
    })
    await s.rows
    await sql("update patient set v = 'w' where id < 100")
    await becomes(s, 'select * from patient')
    expect(failed.length).toBeGreaterThan(4)
  })

  test('a connection that is cut within an answer: what the application repeats is whole', async () => {
    const proxy = await Proxy.start(ctx.stack.url)
    ctx.cleanup(() => proxy.close())
    await sql("create table cut_short (id int primary key, v text); insert into cut_short select n, repeat('x', 100) from generate_series(0, 999) n")
    const client = ctx.client({ table: 'cut_short' }, { base: proxy.url, onError: () => ({}) })
    const work = writer(everything(await ctx.db.session(), 'cut_short'))
    for (let n = 0; n < 25 || proxy.cuts <= 5; n++) {
      proxy.cutAfter = 900 + 700 * (n % 9)
      proxy.cutAll()
      await work.moreWritten(3)
    }
    proxy.cutAfter = undefined
    proxy.cutAll()
    await work.stop()
    await client.converges(ctx.db, 'cut_short')
    expect(client.refetches).toBe(0)
  })

  test('a slow client is served at its own pace, and polls of others meanwhile', async () => {
    const proxy = await Proxy.start(ctx.stack.url)
    ctx.cleanup(() => proxy.close())
    await sql("create table big (id int primary key, v text); insert into big select n, repeat('x', 1000) from generate_series(1, 2000) n")
    proxy.bytesPerSecond = 3_000_000
    const slow = ctx.client({ table: 'big' }, { base: proxy.url })
    await slow.until((c) => c.rows.size > 0)
    const quick = ctx.client({ table: 'big' })
    await quick.upToDate()
    expect(slow.rows.size).toBeLessThan(2000)
    await sql("update big set v = 'y' where id % 10 = 0")
    for (const c of [quick, slow]) await c.converges(ctx.db, 'big', { within: 40000 })
  })
})

describe('#114 #207 changes only, with subsets', () => {
  async function items(name) {
    await sql(`create table ${name} (id int primary key, owner int, v text); insert into ${name} select n, n % 10, 'v' || n from generate_series(1, 500) n`)
    return name
  }

  const changing = (name) => (n) => sql(n % 4 === 0
    ? `delete from ${name} where id = ${(n * 13) % 500}; insert into ${name} values (${(n * 13) % 500}, ${n % 10}, 'again ${n}')`
    : `update ${name} set v = 'u${n}' where id = ${(n * 7) % 500 + 1}; update ${name} set v = 'w${n}' where id = ${(n * 31) % 500 + 1}`)

  for (const [method, liveSse] of [['GET', false], ['POST', false], ['GET', true], ['POST', true]]) {
    test(`subsets by ${method} while the table is written to, ${liveSse ? 'on a stream' : 'with polls'}`, async () => {
      const name = await items(`subset_${method.toLowerCase()}_${liveSse}`)
      const s = shape({ table: name }, { log: 'changes_only', subsetMethod: method, liveSse })
      await until(() => s.isUpToDate)
      expect(s.currentRows).toEqual([])
      const work = writer(changing(name))
      for (let owner = 0; owner < 10; owner++) await s.requestSnapshot({ where: 'owner = $1', params: { 1: String(owner) }, orderBy: 'id', limit: 1000 })
      await work.moreWritten(20)
      await work.stop()
      await becomes(s, `select id, owner, v from ${name}`)
    })
  }

  test('a window by order, limit and offset; one that is only looked at', async () => {
    const name = await items('windowed')
    const s = shape({ table: name, where: 'owner < 5' }, { log: 'changes_only' })
    await until(() => s.isUpToDate)
    await s.requestSnapshot({ orderBy: 'id DESC', limit: 10, offset: 5 })
    const query = `select id, owner, v from ${name} where owner < 5 order by id desc limit 10 offset 5`
    await becomes(s, query)
    const looked = await s.stream.fetchSnapshot({ orderBy: 'id', limit: 3, method: 'POST' })
    expect(looked.data.map((m) => m.value.id)).toEqual([1, 2, 3])
    expect(looked.metadata).toMatchObject({ xmin: expect.stringMatching(/^\d+$/), xmax: expect.stringMatching(/^\d+$/), snapshot_mark: expect.any(Number), database_lsn: expect.stringMatching(/^\d+$/) })
    await becomes(s, query)
  })

  test('params that only fit in a body', async () => {
    const name = await items('long_list')
    const s = shape({ table: name }, { log: 'changes_only' })
    await until(() => s.isUpToDate)
    const ids = Array.from({ length: 3000 }, (_, i) => i * 2)
    await s.requestSnapshot({ where: `id IN (${ids.map((_, i) => `$${i + 1}`).join(', ')})`, params: Object.fromEntries(ids.map((id, i) => [i + 1, BigInt(id)])), method: 'POST' })
    await becomes(s, `select id, owner, v from ${name} where id % 2 = 0`)
  })

  test('the shape rotates: the subsets are asked for again', async () => {
    const name = await items('rotating')
    for (const liveSse of [false, true]) {
      const s = shape({ table: name }, { log: 'changes_only', liveSse })
      await until(() => s.isUpToDate)
      await s.requestSnapshot({ where: 'owner = 1' })
      await becomes(s, `select id, owner, v from ${name} where owner = 1`)
      const { handle } = s
      await sql(`truncate ${name}; insert into ${name} select n, n % 3, 'after ${liveSse}' from generate_series(1, 30) n`)
      await becomes(s, `select id, owner, v from ${name} where owner = 1`)
      expect(s.handle).not.toBe(handle)
    }
  })

  test('a router dies between subset and log', async () => {
    const name = await items('bereft')
    const shapes = [0, 1].map((edge) => shape({ table: name }, { log: 'changes_only', base: ctx.stack.edgeUrl(edge) }))
    const work = writer(changing(name))
    for (const s of shapes) await until(() => s.isUpToDate)
    for (let owner = 0; owner < 10; owner++) {
      for (const s of shapes) await s.requestSnapshot({ where: `owner = ${owner}` })
      if (owner === 3) await Promise.all([ctx.stack.kill('router-0'), ctx.stack.kill('router-1')])
    }
    await work.stop()
    for (const s of shapes) await becomes(s, `select id, owner, v from ${name}`)
  })
})
