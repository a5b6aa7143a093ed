// What a shape request is refused for (protocol §2.1, §4.2), and what it is not. Every refusal: exact body, and the headers of one.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'

const ctx = useStack()
const sql = (text) => ctx.db.sql(text)
const shape = (query, spec) => ctx.stack.shape(query, spec)
const remove = (query) => shape(query, { method: 'DELETE' })
const post = (query, body) => shape(query, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) })
const values = (answer) => answer.changes.map((c) => c.value)
const at = (query) => ({ table: 'items', offset: '-1', ...query })
const ids = async (query) => values(await shape({ table: 'wide', offset: '-1', ...query })).map((v) => v.id).sort()

beforeAll(async () => {
  await sql('create table items (id uuid primary key, value text)')
  await sql("insert into items values ('00000000-0000-0000-0000-000000000001', 'one')")
  await sql(`create table wide (id int primary key, value text, other int);
    insert into wide values (1, 'x', 10), (2, 'y', 20), (3, ''' OR 1=1', 30)`)
  await sql('create table made (id int primary key, n int, g int generated always as (n * 2) stored)')
  await sql('create table "ét$1" (id int primary key)')
  await sql('create view seen as select * from items; create table "Items" ("Id" int primary key, "Value" text)')
})

const UNKNOWN_TABLE = (name) => `Table "public"."${name}" does not exist. If the table name contains capitals or special characters you must quote it.`
const SPECIAL = (name) => `Invalid unquoted identifier contains special characters: ${name}`
const ZERO = 'Invalid zero-length delimited identifier'

function assertRefused(answer, errors) {
  expect(answer.json).toEqual({ message: 'Invalid request', errors })
  expect(answer.status).toBe(400)
  expect(answer.headers).toMatchObject({
    'cache-control': 'no-store', 'surrogate-control': 'no-store', 'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, POST, HEAD, DELETE, OPTIONS', 'content-type': 'application/json; charset=utf-8',
  })
  for (const absent of ['electric-handle', 'electric-offset', 'electric-schema', 'electric-cursor', 'electric-has-data', 'electric-up-to-date', 'etag', 'retry-after'])
    expect(answer.headers).not.toHaveProperty(absent)
}

describe('400, by field', () => {
  const offset = [
    ['#32 #66 nothing', {}, { offset: ["can't be blank"] }],
    ['empty', at({ offset: '' }), { offset: ["can't be blank"] }],
    ['#33 no offset at all', at({ offset: 'invalid' }), { offset: ['has invalid format'] }],
    ...['10', '1_2_3', '0_-1', '-2', '1_', '_1', '1_x', '-1_1', 'NOW', '+1_0'].map((text) => [`#34 ${text}`, at({ offset: text }), { offset: ['has invalid format'] }]),
  ]
  const table = [
    ['#35 none', { offset: '-1' }, { table: ["can't be blank"] }],
    ['#35 empty, which counts as none', at({ table: '' }), { table: ["can't be blank"] }],
    ['#36 zero-length', at({ table: '""' }), { table: [ZERO] }],
    ...['.x', 'x.', '.', '"".x'].map((text) => [`#36 ${text}`, at({ table: text }), { table: [ZERO] }]),
    ['#37 three parts', at({ table: 'a.b.c' }), { table: ['Invalid relation identifier, too many delimiters: a.b.c'] }],
    ['#38 unknown', at({ table: 'nonexistent' }), { table: [UNKNOWN_TABLE('nonexistent')] }],
    ['#38 unknown, quoted', at({ table: '"foo""bar"' }), { table: [UNKNOWN_TABLE('foo\\"bar')] }],
    ['#38 a view', at({ table: 'seen' }), { table: [UNKNOWN_TABLE('seen')] }],
    ['special characters', at({ table: 'it-ems' }), { table: [SPECIAL('it-ems')] }],
    ['a digit first', at({ table: '1tems' }), { table: [SPECIAL('1tems')] }],
    ['#39 only ASCII is folded', at({ table: 'ÉTÉ' }), { table: [UNKNOWN_TABLE('ÉtÉ')] }],
    ['a blank before it', at({ table: ' items' }), { table: [SPECIAL(' items')] }],
    ['a lone quote', at({ table: '"foo' }), { table: [SPECIAL('"foo')] }],
    ['an inner quote', at({ table: '"foo"bar"' }), { table: ['Invalid identifier with unescaped quote: foo"bar'] }],
    ['too long', at({ table: 'x'.repeat(64) }), { table: ['Identifier is too long (max length is 63)'] }],
  ]
  const words = [
    ['#41 offset without handle', at({ offset: '0_0' }), { handle: ["can't be blank when offset != -1"] }],
    ['#42 live from the beginning', at({ live: 'true' }), { live: ["can't be true when offset == -1"] }],
    ['#43 live from now', at({ offset: 'now', live: 'true' }), { live: ["can't be true when offset is 'now'"] }],
    ['#44 events without live', at({ live_sse: 'true' }), { live_sse: ["can't be true unless live is also true"] }],
    ['#44 events, by their old name', at({ experimental_live_sse: 'true' }), { live_sse: ["can't be true unless live is also true"] }],
    ['#45 replica', at({ replica: 'banana' }), { replica: ['is invalid'] }],
    ['#46 log', at({ log: 'banana' }), { log: ['is invalid'] }],
    ['#47 live= is live', at({ live: '' }), { live: ["can't be true when offset == -1"] }],
    ['#47 so is any word but false', at({ live: 'banana' }), { live: ["can't be true when offset == -1"] }],
    ['compaction that is no boolean', at({ experimental_compaction: 'banana' }), { experimental_compaction: ['is invalid'] }],
  ]
  const where = [
    ['#48 syntax', at({ where: '1 x 1' }), { where: ['At location 17: syntax error at or near "x"'] }],
    ['#48 syntax, counted in characters', at({ where: "'ü' x 1" }), { where: ['At location 19: syntax error at or near "x"'] }],
    ['#49 no boolean', at({ where: 'id' }), { where: ['WHERE clause must return a boolean'] }],
    ['#50 an unknown column', at({ where: 'foo = 1' }), { where: ['At location 0: unknown reference foo'] }],
    ['#51 a parameter that is not given', at({ where: 'id = $1' }), { where: ['At location 5: parameter $1 was not provided'] }],
    ['#52 a parameter without number', at({ where: 'id = $1', 'params[a]': '1' }), { params: ['Parameters can only use numbers as keys'] }],
    ['#53 a gap between parameters', at({ where: 'value = $1', 'params[1]': 'x', 'params[3]': 'y' }), { params: ['Parameters must be numbered sequentially, starting from 1'] }],
    ['params that are no list', at({ params: 'x' }), { params: ['is invalid'] }],
    ['#210 a function of the time', at({ where: 'now() > value' }), { where: ['At location 0: unknown or unsupported function now/0'] }],
    ['#211 an aggregate', at({ where: 'count(*) = 1' }), { where: ['At location 0: aggregation is not supported in this context'] }],
    ['#211 an aggregate by its name', at({ where: "max(value) = 'x'" }), { where: ['At location 0: unknown or unsupported function max/1'] }],
    ['#212 two statements', at({ where: "value = 'x'; select 1" }), { where: ['unescaped ";" causing statement split'] }],
    ['#214 a constant that is none', { table: 'wide', offset: '-1', where: "other = 'test'" }, { where: ['At location 8: invalid syntax for type int4: test'] }],
  ]
  const columns = [
    ['#56 without the key', at({ columns: 'value' }), { columns: ['The list of columns must include all primary key columns, missing: id'] }],
    ['#57 unknown', at({ columns: 'id,neither,nope' }), { columns: ['The following columns are not found on the table: neither, nope'] }],
    ['twice', at({ columns: 'id,id,value' }), { columns: ['The following columns are not found on the table: id'] }],
    ...['id,,value', 'id,', ',', 'id,""'].map((text) => [`#58 ${text}`, at({ columns: text }), { columns: [ZERO] }]),
    ['blanks', at({ columns: 'id, value' }), { columns: [SPECIAL(' value')] }],
    ['#60 generated, asked for', { table: 'made', offset: '-1', columns: 'id,g' }, { columns: ['The following columns are generated and cannot be included in the shape: g'] }],
    ['#60 generated, with all', { table: 'made', offset: '-1' }, {
      columns: ["The following columns are generated and cannot be included in the shape: g. You can exclude them from the shape by explicitly listing which columns to fetch in the 'columns' query param"],
    }],
    ['#62 not queryable', at({ queryable_columns: 'id', columns: 'id,value' }), { columns: ['The following columns are not found on the table: value'] }],
    ['queryable without the key', at({ queryable_columns: 'value' }), { queryable_columns: ['The list of queryable columns must include all primary key columns, missing: id'] }],
    ['queryable and unknown', at({ queryable_columns: 'id,nope' }), { queryable_columns: ['The following queryable columns are not found on the table: nope'] }],
  ]
  const order = [
    ['a missing offset comes with what cannot be cast', { table: 'items', replica: 'x', log: 'y' }, { offset: ["can't be blank"], replica: ['is invalid'], log: ['is invalid'] }],
    ['casts before the form of the offset', at({ offset: 'x', replica: 'x' }), { replica: ['is invalid'] }],
    ['the offset before the handle and the table', { offset: 'x' }, { offset: ['has invalid format'] }],
    ['the handle before live', { offset: '0_0', live_sse: 'true' }, { handle: ["can't be blank when offset != -1"] }],
    ['live before events', at({ live: 'true', live_sse: 'true' }), { live: ["can't be true when offset == -1"] }],
    ['events before the table', { offset: '0_0', handle: '1-1', live_sse: 'true' }, { live_sse: ["can't be true unless live is also true"] }],
    ['the table before columns and where', at({ table: 'nope', columns: 'nope', where: '1 x 1' }), { table: [UNKNOWN_TABLE('nope')] }],
    ['columns before where', at({ columns: 'id,nope', where: '1 x 1' }), { columns: ['The following columns are not found on the table: nope'] }],
  ]
  for (const [field, cases] of Object.entries({ offset, table, words, where, columns, order }))
    test.each(cases)(`${field}: %s`, async (_, query, errors) => assertRefused(await shape(query), errors))

  test('#66 nothing was made for any of them', async () => {
    const published = await sql('select tablename from pg_publication_tables')
    expect(published.filter((t) => ['made', 'seen'].includes(t.tablename))).toEqual([])
  })

  test('a cast of DELETE is strict', async () => {
    const answer = await remove({ table: 'items', live: 'banana' })
    expect([answer.status, answer.json]).toEqual([400, { message: 'Invalid request', errors: { live: ['is invalid'] } }])
    expect(answer.headers['cache-control']).toBe('no-cache')
    expect(answer.headers).not.toHaveProperty('surrogate-control')
  })
})

describe('what is accepted', () => {
  test('#39 #40 folded and quoted names of tables', async () => {
    const plain = await shape(at())
    for (const table of ['ITEMS', '"items"', 'public.items', '"public".Items']) expect([table, (await shape(at({ table }))).handle]).toEqual([table, plain.handle])
    const quoted = await shape(at({ table: '"Items"' }))
    expect([quoted.status, Object.keys(JSON.parse(quoted.headers['electric-schema']))]).toEqual([200, ['Id', 'Value']])
    expect(quoted.handle).not.toBe(plain.handle)
  })

  test('letters of any script, digits and $ need no quotes', async () => {
    expect((await shape({ table: 'éT$1', offset: '-1' })).status).toBe(200)
  })

  test('experimental_compaction changes nothing', async () => {
    const plain = await shape(at())
    for (const value of ['true', '1', 'false']) expect((await shape(at({ experimental_compaction: value }))).etag).toBe(plain.etag)
  })

  test('#59 quoted names of columns', async () => {
    await sql(`insert into "Items" values (1, 'v')`)
    const answer = await shape({ table: '"Items"', offset: '-1', columns: '"Id","Value"' })
    expect(values(answer)).toEqual([{ Id: '1', Value: 'v' }])
    assertRefused(await shape({ table: '"Items"', offset: '-1', columns: 'Id,Value' }), { columns: ['The list of columns must include all primary key columns, missing: Id'] })
  })

  test('#47 live=false is not live', async () => {
    const plain = await shape(at())
    const answer = await shape(at({ live: 'false', live_sse: 'false' }))
    expect([answer.status, answer.etag, answer.headers['cache-control']]).toEqual([200, plain.etag, plain.headers['cache-control']])
  })

  test('#17 #65 a stray secret, what clients add, anything unknown', async () => {
    const plain = await shape(at())
    const answer = await shape(at({ secret: 'x', api_secret: 'y', expired_handle: 'z', 'cache-buster': '1', subset: 'x', subset__where_expr: '{}', whatever: '1', 'a[b][]': 'c', cursor: 'x' }))
    expect(answer.status).toBe(200)
    expect((await shape(at({ whatever: '1' }))).etag).toBe(plain.etag)
  })

  test('-1_0 is -1, leading zeros count for nothing', async () => {
    const plain = await shape(at())
    expect((await shape(at({ offset: '-1_0' }))).text).toBe(plain.text)
    const next = await shape(at({ offset: '00_00', handle: plain.handle }))
    expect([next.status, next.upToDate]).toEqual([200, true])
  })

  test('a blank where is none; a semicolon at its end is nothing', async () => {
    const plain = await shape(at())
    expect((await shape(at({ where: '   ' }))).handle).toBe(plain.handle)
    expect((await shape(at({ where: "value = 'one';" }))).status).toBe(200)
  })

  test('#54 #55 parameters are values, whatever stands in them', async () => {
    expect(await ids({ where: 'value = $1', 'params[1]': 'x' })).toEqual(['1'])
    expect(await ids({ where: 'value = $1', 'params[1]': "x' OR '1'='1" })).toEqual([])
    expect(await ids({ where: 'value = $1', 'params[1]': "' OR 1=1" })).toEqual(['3'])
    expect(await ids({ where: 'value = $1 OR other = $2', 'params[1]': 'x', 'params[2]': '20' })).toEqual(['1', '2'])
  })

  test('#63 without columns: those that may be queried', async () => {
    const answer = await shape({ table: 'wide', offset: '-1', queryable_columns: 'id,value', where: 'id = 1' })
    expect(values(answer)).toEqual([{ id: '1', value: 'x' }])
    expect(Object.keys(JSON.parse(answer.headers['electric-schema'])).sort()).toEqual(['id', 'value'])
  })

  test("#64 the shape's own where may read any column", async () => {
    expect(await ids({ queryable_columns: 'id,value', where: 'other = 20' })).toEqual(['2'])
  })

  test('#60 a generated column that is not asked for', async () => {
    await sql('insert into made (id, n) values (1, 2)')
    expect(values(await shape({ table: 'made', offset: '-1', columns: 'id,n' }))).toEqual([{ id: '1', n: '2' }])
  })
})

describe('POST', () => {
  test('#72 an empty body: as GET, but never cached', async () => {
    const plain = await shape(at())
    for (const body of ['', '{}']) {
      const answer = await post(at(), body)
      expect([answer.status, answer.text, answer.etag]).toEqual([200, plain.text, plain.etag])
      expect(answer.headers['cache-control']).toBe('no-cache')
    }
  })

  test('its refusals are not cached either, nor is a 304 or a 409', async () => {
    const { etag, handle } = await shape(at())
    const wrong = await post(at({ offset: 'x' }), '')
    expect([wrong.status, wrong.headers['cache-control'], wrong.headers['surrogate-control']]).toEqual([400, 'no-cache', undefined])
    const unchanged = await shape(at(), { method: 'POST', body: '', headers: { 'if-none-match': etag } })
    expect([unchanged.status, unchanged.headers['cache-control']]).toEqual([304, 'no-cache'])
    const other = await post(at({ offset: '0_0', handle: '1-1' }), '')
    expect([other.status, other.handle, other.headers['cache-control']]).toEqual([409, handle, 'no-cache'])
  })

  test('members of the body win over the query; offset is a subset’s', async () => {
    const answer = await post({ table: 'items', offset: '-1' }, { table: 'wide', columns: 'id' })
    expect(values(answer)).toHaveLength(3)
    expect(values(answer)[0]).toEqual({ id: '1' })
    const none = await post({}, { table: 'wide', offset: '-1' })
    expect([none.status, none.json.errors.offset]).toEqual([400, ["can't be blank"]])
  })

  test('#73 a where of more than 65,536 bytes', async () => {
    const clause = `value = '${'x'.repeat(65536)}'`
    const answer = await post(at(), { where: clause, subset: { limit: 1, order_by: 'id' } })
    expect([answer.status, Object.keys(answer.json.errors)]).toEqual([400, ['where']])
    expect(answer.json.errors.where[0]).toContain('bigger than maximum size')
    const subset = await post(at(), { where: clause })
    expect([subset.status, Object.keys(subset.json.errors.subset)]).toEqual([400, ['where']])
    expect([subset.json.errors.subset.where].flat()[0]).toContain('bigger than maximum size')
    const fits = await post(at(), { where: `value = '${'x'.repeat(60000)}'` })
    expect([fits.status, fits.json.data]).toEqual([200, []])
  })
})
