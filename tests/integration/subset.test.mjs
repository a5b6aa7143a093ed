// Subset snapshots: what they are on the wire, and that a client which loads a table piece by piece while it is being
// written to ends up with what SELECT says.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { request } from './lib/http.mjs'
import { expectedRows } from './lib/oracle.mjs'
import { holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {}, env: { SLUICE_SUBSET_MAX_BYTES: '200000' } })
const sql = (text) => ctx.db.sql(text)
const ask = (query, spec = {}) => request(ctx.stack.url, { query, ...spec })
const post = (query, body) => ask(query, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
const ids = (answer) => answer.json.data.map((row) => row.value.id)

async function numbers(name, n = 10) {
  await sql(`create table ${name} (id int primary key, v text, n int)`)
  await sql(`insert into ${name} select i, 'v' || i, i % 3 from generate_series(1, ${n}) i`)
  const first = await ask({ table: name, offset: '-1' })
  return { table: name, handle: first.handle, offset: '0_0' }
}

describe('on the wire', () => {
  test('#192 #193 #194 #205 an answer', async () => {
    const shape = await numbers('wire')
    const a = await ask({ ...shape, subset__where: 'id > $1', subset__params: '{"1":"7"}', subset__order_by: 'id desc', subset__limit: 2 })
    expect(a.status).toBe(200)
    expect(ids(a)).toEqual(['10', '9'])
    expect(a.headers).toMatchObject({ 'electric-snapshot': 'true', 'cache-control': 'no-cache', 'electric-handle': shape.handle })
    for (const name of ['etag', 'electric-cursor', 'electric-up-to-date', 'electric-has-data']) expect(a.headers).not.toHaveProperty(name)
    const { metadata, data } = a.json
    expect(metadata.xmin).toMatch(/^\d+$/)
    expect(metadata.xmax).toMatch(/^\d+$/)
    expect(metadata.xip_list).toBeInstanceOf(Array)
    expect(metadata.database_lsn).toMatch(/^\d+$/)
    expect(Object.keys(metadata).sort()).toEqual(['database_lsn', 'snapshot_mark', 'xip_list', 'xmax', 'xmin'])
    expect(Number.isInteger(metadata.snapshot_mark) && metadata.snapshot_mark >= 0 && metadata.snapshot_mark < 2 ** 31).toBe(true)
    expect(a.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(JSON.parse(a.headers['electric-schema'])).toEqual({ id: { type: 'int4', pk_index: 0, not_null: true }, v: { type: 'text' }, n: { type: 'int4' } })
    expect(a.offset).toMatch(/^0_(0|inf)$/)
    expect(data[0]).toEqual({
      key: '"public"."wire"/"10"', value: { id: '10', v: 'v10', n: '1' },
      headers: { operation: 'insert', relation: ['public', 'wire'], snapshot_mark: metadata.snapshot_mark },
    })
  })

  test('#193 transactions that are open are in xip_list, as text', async () => {
    const shape = await numbers('open_ones')
    const session = await ctx.db.session()
    await session.query("begin; insert into open_ones values (100, 'late', 0)")
    const { rows: [{ xid }] } = await session.query('select pg_current_xact_id()::text xid')
    await sql("insert into open_ones values (101, 'early', 0)")
    const a = await ask({ ...shape, subset__where: 'id > 99' })
    await session.query('rollback')
    expect(ids(a)).toEqual(['101'])
    expect(a.json.metadata.xip_list).toContain(xid)
    expect(BigInt(a.json.metadata.xmin)).toBeLessThanOrEqual(BigInt(xid))
    expect(BigInt(a.json.metadata.xmax)).toBeGreaterThan(BigInt(xid))
  })

  test('#197 it stays within the shape’s own where, whatever that is made of', async () => {
    const shape = await numbers('within_base')
    const base = { ...shape, handle: undefined, offset: '-1', where: 'id = 1 OR id = 2 OR id = $1', 'params[1]': '5' }
    expect(ids(await ask({ ...base, subset__where: 'id > $1', subset__params: '{"1":"1"}', subset__order_by: 'id' }))).toEqual(['2', '5'])
    expect(ids(await ask({ ...base, subset__where: 'id = 1 OR id = 9' }))).toEqual(['1'])
    expect(ids(await ask({ ...base, subset__order_by: 'id DESC', subset__limit: 2, subset__offset: 1 }))).toEqual(['2', '1'])
    expect(ids(await ask({ ...base, columns: 'id', subset__where: 'id = 2' }))).toEqual(['2'])
  })

  test('#202 labels of an enum: rows for one that is, Postgres’ words for one that is not', async () => {
    await sql(`create type mood as enum ('sad', 'it''s'); create table moods (id int primary key, m mood); insert into moods values (1, 'sad'), (2, 'it''s'), (3, null)`)
    const shape = { table: 'moods', offset: '-1' }
    expect(ids(await ask({ ...shape, subset__where: "m = 'sad'" }))).toEqual(['1'])
    expect(ids(await post(shape, { where: 'm = $1', params: { 1: "it's" } }))).toEqual(['2'])
    for (const a of [await ask({ ...shape, subset__where: "m = 'glad'" }), await post(shape, { where: 'm = $1', params: { 1: 'glad' } })]) {
      expect(a.status).toBe(400)
      expect(a.json).toEqual({ message: 'Invalid request', errors: { subset: { where: 'invalid input value for enum mood: "glad"' } } })
    }
  })

  test('#205 nothing of it is to be kept: whatever the method, the offset, the validators', async () => {
    const shape = await numbers('uncached')
    const subset = { subset__where: 'id = 1' }
    const log = await ask(shape)
    for (const [query, spec] of [
      [{ ...shape, offset: '-1', handle: undefined, ...subset }, {}], [{ ...shape, offset: 'now', handle: undefined, ...subset }, {}], [{ ...shape, ...subset }, {}],
      [{ ...shape, ...subset, live: 'true' }, {}], [{ ...shape, ...subset }, { headers: { 'if-none-match': log.etag } }], [shape, { method: 'POST', body: '{"where":"id = 1"}' }],
    ]) {
      const began = Date.now()
      const a = await ask(query, spec)
      expect(Date.now() - began, 'at once, live or not').toBeLessThan(1500)
      expect([a.status, ids(a)]).toEqual([200, ['1']])
      expect(a.headers).toMatchObject({ 'electric-snapshot': 'true', 'cache-control': 'no-cache', 'electric-handle': shape.handle })
      for (const name of ['etag', 'electric-cursor', 'electric-up-to-date', 'electric-has-data', 'surrogate-control']) expect(a.headers).not.toHaveProperty(name)
    }
    const head = await ask({ ...shape, ...subset }, { method: 'HEAD' })
    expect([head.status, head.text, head.headers['electric-snapshot']]).toEqual([200, '', 'true'])
    const refused = await ask({ ...shape, subset__limit: 0, subset__order_by: 'id' })
    expect(refused.headers).toMatchObject({ 'cache-control': 'no-store', 'surrogate-control': 'no-store' })
    expect(refused.headers).not.toHaveProperty('electric-snapshot')
  })

  test('#199 #200 #206 POST: the subset in the body, flat or nested', async () => {
    const shape = await numbers('posted')
    for (const body of [{ where: 'id = $1', params: { 1: '4' } }, { subset: { where: 'id = $1', params: { 1: 4 } } }]) {
      const a = await post(shape, body)
      expect(a.status).toBe(200)
      expect(a.headers['cache-control']).toBe('no-cache')
      expect(ids(a)).toEqual(['4'])
    }
    expect(ids(await post({ ...shape, subset__where: 'id = 1' }, { where: 'id = 2' }))).toEqual(['2'])
    expect(ids(await post(shape, { where: 'id = 3', where_expr: { type: 'x' }, order_by_expr: [] }))).toEqual(['3'])
    expect(ids(await post(shape, { where: 'id > 2', order_by: 'id', offset: 1, limit: 2 }))).toEqual(['4', '5'])
    const many = { where: `id IN (${Array.from({ length: 2000 }, (_, i) => i + 9).join(',')})` }
    expect(ids(await post(shape, many)).sort()).toEqual(['10', '9'])
    expect((await post(shape, '')).messages.length).toBeGreaterThan(0)
  })

  test('#69 #70 #71 POST: bodies that are none', async () => {
    const shape = await numbers('bad_bodies', 1)
    for (const [body, status, error] of [
      ['wrong', 400, { error: 'Invalid JSON in request body', details: 'unexpected byte at position 0: 0x77 ("w")' }],
      ['{"where":', 400, { error: 'Invalid JSON in request body', details: 'unexpected end of input at position 9' }],
      ['[]', 400, { error: 'Request body must be a JSON object' }],
      ['[1]', 400, { error: 'Request body must be a JSON object' }],
      ['null', 400, { error: 'Request body must be a JSON object' }],
      ['1', 400, { error: 'Request body must be a JSON object' }],
      ['"{}"', 400, { error: 'Request body must be a JSON object' }],
      [`{"where":"${'x'.repeat(8000000)}"}`, 413, { error: 'Request body too large' }],
    ]) {
      const a = await post(shape, body)
      expect([a.status, a.json]).toEqual([status, error])
      expect(a.headers).toMatchObject({ 'cache-control': 'max-age=0, private, must-revalidate', 'content-type': 'application/json; charset=utf-8', 'access-control-allow-origin': '*' })
    }
  })

  test('#195 #196 #198 #201 #203 what is refused, and nothing is created for it', async () => {
    await sql('create table refused (id int primary key, v text)')
    const at = { table: 'refused', offset: '-1' }
    for (const [subset, errors] of [
      [{ subset__limit: 5 }, { order_by: ['order_by is required when limit or offset is present'] }],
      [{ subset__limit: 0, subset__order_by: 'id' }, { limit: ['must be greater than 0'] }],
      [{ subset__limit: 'x', subset__offset: -5 }, {
        limit: ['is invalid'], offset: ['must be greater than or equal to 0'], order_by: ['order_by is required when limit or offset is present'],
      }],
      [{ subset__params: 'x' }, { params: ['params must be valid JSON'] }],
      [{ subset__params: '[]' }, { params: ['params must be a JSON object'] }],
      [{ subset__params: '{"2":"x"}' }, { params: ['Parameters must be numbered sequentially, starting from 1'] }],
      [{ subset__where: 'nope = 1' }, { where: ['At location 0: unknown reference nope'] }],
      [{ subset__where: 'id IN (SELECT id FROM refused)' }, { where: ['Subqueries are not allowed in subsets'] }],
      [{ subset__order_by: 'lower(v)' }, { order_by: ['At location 0: function calls are not allowed in ORDER BY clauses'] }],
      [{ subset__order_by: 'id, v::int' }, { order_by: ['At location 5: type casts are not allowed in ORDER BY clauses'] }],
      [{ subset__order_by: 'CASE WHEN id = 1 THEN 0 END' }, { order_by: ['At location 0: CASE expressions are not allowed in ORDER BY clauses'] }],
      [{ subset__order_by: '(select 1)' }, { order_by: ['At location 0: subqueries are not allowed in ORDER BY clauses'] }],
      [{ subset__order_by: 'nope' }, { order_by: ['At location 0: unknown reference nope'] }],
      [{ subset__order_by: 'id', subset__limit: 'x' }, { limit: ['is invalid'] }],
      [{ subset__order_by: 'id', subset__offset: -1 }, { offset: ['must be greater than or equal to 0'] }],
      [{ subset__order_by: 'id', subset__limit: -1 }, { limit: ['must be greater than 0'] }],
      [{ subset__where: 'id = $1' }, { where: ['At location 5: parameter $1 was not provided'] }],
      [{ subset__where: 'id' }, { where: ['WHERE clause must return a boolean'] }],
      [{ subset__where: '1 x 1' }, { where: ['At location 17: syntax error at or near "x"'] }],
      [{ subset__params: '{"a":"x"}' }, { params: ['Parameters can only use numbers as keys'] }],
      [{ subset__order_by: '$1' }, { order_by: ['At location 0: parameter $1 is not supported in ORDER BY clauses'] }],
      [{ subset__order_by: 'id; select 1' }, { order_by: ['Unexpected `;` in order by'] }],
    ]) {
      const a = await ask({ ...at, ...subset })
      expect([subset, a.status, a.json]).toEqual([subset, 400, { message: 'Invalid request', errors: { subset: errors } }])
    }
    const tables = await sql("select tablename from pg_publication_tables where tablename = 'refused'")
    expect(tables).toEqual([])
  })

  test('#204 queryable columns', async () => {
    await numbers('queryable')
    const shape = { table: 'queryable', offset: '-1', columns: 'id', queryable_columns: 'id,n' }
    const a = await ask({ ...shape, subset__where: 'n = 1', subset__order_by: 'n, id' })
    expect(a.json.data.map((row) => row.value)).toEqual([{ id: '1' }, { id: '4' }, { id: '7' }, { id: '10' }])
    const b = await ask({ ...shape, subset__where: "v = 'v1'" })
    expect(b.json.errors).toEqual({ subset: { where: ['At location 0: unknown reference v'] } })
  })

  test('one that is too large', async () => {
    const shape = await numbers('large', 3000)
    const a = await ask({ ...shape, subset__where: 'id > 0' })
    expect(a.status).toBe(400)
    expect(a.json.errors.subset.limit).toEqual(['the subset is bigger than the maximum of 200000 bytes'])
    expect(ids(await ask({ ...shape, subset__order_by: 'id', subset__limit: 1 }))).toEqual(['1'])
  })

  test('an old handle', async () => {
    const shape = await numbers('old_handle')
    const a = await ask({ ...shape, handle: '1-1', subset__where: 'id = 1' })
    expect([a.status, a.handle]).toEqual([409, shape.handle])
  })

  test('the offset leaves out no change of a row that is not in the answer', async () => {
    const shape = { ...(await numbers('left_out')), log: undefined, offset: '0_inf' }
    const end = async () => (await ask({ ...shape, offset: 'now' })).offset
    const before = await end()
    await sql("update left_out set v = 'changed' where id = 1")
    let after
    do after = await end(); while (after === before)
    expect((await ask({ ...shape, subset__where: 'id = 1' })).offset).toBe(after)
    expect((await ask({ ...shape, subset__where: 'id = 2' })).offset).toBe('0_inf')
    expect((await ask({ ...shape, offset: after, subset__where: 'id = 2' })).offset).toBe(after)
  })
})

describe('with the official client', () => {
  /** A client that keeps the rows of the subsets it has asked for. What it is told of other rows is ignored, as it would be by a store that loads on demand. */
  function partial(table, options) {
    const client = ctx.client({ table }, { log: 'changes_only', strict: false, ...options })
    client.wanted = new Set()
    return client
  }

  const keyOf = (table, id) => `"public"."${table}"/"${id}"`

  for (const method of ['GET', 'POST']) {
    test(`#207 loads a table piece by piece while it is written to, by ${method}`, { timeout: 120000 }, async () => {
      const table = `pieces_${method.toLowerCase()}`
      const rows = 400, pieces = 20
      await numbers(table, rows)
      const clients = [partial(table, { offset: 'now', subsetMethod: method }), partial(table, { offset: 'now', subsetMethod: method })]
      for (const client of clients) await client.upToDate()
      let writing = true, written = 0
      const writer = async (number) => {
        const session = await ctx.db.session()
        await session.query(`set synchronous_commit = ${number % 2 ? 'on' : 'off'}`)
        while (writing) {
          const id = 1 + Math.floor(Math.random() * rows)
          await session.query(`update ${table} set n = n + 1, v = $1 where id = $2`, [`w${number}.${written++}`, id])
        }
      }
      const writers = [1, 2, 3, 4].map(writer)
      for (let piece = 0; piece < pieces; piece++) {
        const low = piece * (rows / pieces)
        await Promise.all(clients.map(async (client) => {
          const { data } = await client.stream.requestSnapshot({
            where: 'id > $1 AND id <= $2', params: { 1: String(low), 2: String(low + rows / pieces) }, orderBy: 'id',
          })
          expect(data.length).toBe(rows / pieces)
        }))
      }
      writing = false
      await Promise.all(writers)
      expect(written).toBeGreaterThan(pieces)
      const expected = await expectedRows(ctx.db, table)
      for (const client of clients) {
        await client.converges(ctx.db, table, { expected })
        doubled(client)
      }
    })
  }

  /** No change of a row is told twice, nor one that a subset had told already. */
  function doubled(client) {
    const last = new Map()
    for (const { key, value, headers } of client.log) {
      if (value?.n === undefined) continue
      const n = Number(value.n)
      if (last.has(key) && headers.operation === 'update') expect(n, `${key} after ${last.get(key)}`).toBe(last.get(key) + 1)
      last.set(key, n)
    }
  }

  test('inserts and deletes in a piece that was loaded', async () => {
    const table = 'moving'
    await numbers(table, 20)
    const client = partial(table, { offset: 'now' })
    await client.upToDate()
    await client.stream.requestSnapshot({ where: 'id > 0' })
    await sql(`insert into ${table} values (100, 'new', 0); delete from ${table} where id = 1; update ${table} set v = 'x' where id = 2`)
    await client.converges(ctx.db, table)
    expect(client.rows.has(keyOf(table, 1))).toBe(false)
  })

  test('a change that is in the log before a snapshot can see it', async () => {
    const table = 'unseen_subset'
    await numbers(table, 5)
    const client = partial(table, { offset: 'now' })
    await client.upToDate()
    await sql(`alter database ${ctx.db.name} set synchronous_commit = local`) // nobody else shall hang
    await ctx.db.close()
    const session = await ctx.db.session()
    await session.query('set synchronous_commit = on')
    await ctx.postgres.query("alter system set synchronous_standby_names = 'nobody'")
    await ctx.postgres.query('select pg_reload_conf()')
    let commit
    try {
      await until(async () => (await sql('show synchronous_standby_names'))[0].synchronous_standby_names === 'nobody', { what: 'the setting is read' })
      commit = session.query(`update ${table} set v = 'LATE' where id = 1`)
      await client.until((c) => c.log.some((m) => m.value?.v === 'LATE'), { what: 'the change is in the log' })
      expect((await sql(`select v from ${table} where id = 1`))[0].v).toBe('v1')
      const subset = client.stream.requestSnapshot({ where: 'id = 1' })
      await Promise.race([subset, holdsFor(700, () => true)])
      await ctx.postgres.query('alter system reset synchronous_standby_names')
      await ctx.postgres.query('select pg_reload_conf()')
      await commit
      await subset
    } finally {
      await ctx.postgres.query('alter system reset synchronous_standby_names')
      await ctx.postgres.query('select pg_reload_conf()')
    }
    expect(client.rows.get(keyOf(table, 1))).toEqual({ id: '1', v: 'LATE', n: '1' })
    await client.stream.requestSnapshot({ where: 'id > 1' })
    await client.converges(ctx.db, table)
  })
})
