// The log from its beginning to its end (protocol §2, §3.1–3.3, §6.3): bodies, headers, etags, chunks, the text of values. The
// database's own settings are odd, because none of them may show.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { readShape } from './lib/http.mjs'
import { endOf, entriesAfter, entriesOf } from './lib/log.mjs'
import { until } from './lib/wait.mjs'

const ODD = { timezone: 'America/New_York', datestyle: 'SQL, MDY', intervalstyle: 'postgres', bytea_output: 'escape', extra_float_digits: '0' }

const ctx = useStack({
  env: { ELECTRIC_SHAPE_CHUNK_BYTES_THRESHOLD: '10000', ELECTRIC_CACHE_MAX_AGE: '61', ELECTRIC_CACHE_STALE_AGE: '301' },
  prepare: async (db) => {
    for (const [name, value] of Object.entries(ODD)) await db.sql(`alter database ${db.name} set ${name} = '${value}'`)
  },
})
const sql = (text) => ctx.db.sql(text)
const shape = (query, spec) => ctx.stack.shape(query, spec)

beforeAll(async () => {
  await sql('create table items (id uuid primary key, value text)')
  await sql("insert into items values ('00000000-0000-0000-0000-000000000001', 'one')")
})

describe('the beginning', () => {
  test('#74 #76 #77 #78 #79 #80 #81 #82 offset=-1: body and headers', async () => {
    const answer = await shape({ table: 'items', offset: '-1' })
    expect(answer.status).toBe(200)
    expect(answer.changes).toEqual([{
      key: '"public"."items"/"00000000-0000-0000-0000-000000000001"',
      value: { id: '00000000-0000-0000-0000-000000000001', value: 'one' },
      headers: { operation: 'insert', relation: ['public', 'items'] },
    }])
    expect(answer.messages).toHaveLength(2)
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
    for (const absent of ['electric-cursor', 'electric-snapshot', 'surrogate-control']) expect(answer.headers).not.toHaveProperty(absent)
    expect(JSON.parse(answer.headers['electric-schema'])).toEqual({ id: { type: 'uuid', pk_index: 0, not_null: true }, value: { type: 'text' } })
  })

  test('the columns of a value are in alphabetical order', async () => {
    await sql("create table zyx (z int primary key, b text, a text); insert into zyx values (1, 'b', 'a')")
    expect((await shape({ table: 'zyx', offset: '-1' })).text).toContain('"value":{"a":"a","b":"b","z":"1"}')
  })

  test('#81 electric-schema of many declarations', async () => {
    await sql("create type mood as enum ('sad'); create domain percent as numeric(5, 2) not null")
    await sql(`create table declared (k2 int, k1 int, v varchar(20), c char(3), n numeric(5,2), ts timestamptz(3), iv interval minute to second(4),
      a int[][], b bit(4), t text not null, vb bit varying, n0 numeric, ti time(0), tt timetz(2), yr interval year, m mood, p percent, j jsonb, i inet, primary key (k1, k2))`)
    const answer = await shape({ table: 'declared', offset: '-1' })
    expect(JSON.parse(answer.headers['electric-schema'])).toEqual({
      k1: { type: 'int4', pk_index: 0, not_null: true }, k2: { type: 'int4', pk_index: 1, not_null: true },
      v: { type: 'varchar', max_length: 20 }, c: { type: 'bpchar', length: 3 }, n: { type: 'numeric', precision: 5, scale: 2 },
      ts: { type: 'timestamptz', precision: 3 }, iv: { type: 'interval', precision: 4, fields: 'MINUTE TO SECOND' },
      a: { type: 'int4', dims: 2 }, b: { type: 'bit', length: 4 }, t: { type: 'text', not_null: true },
      vb: { type: 'varbit', length: -1 }, n0: { type: 'numeric' }, ti: { type: 'time', type_mod: 0 }, tt: { type: 'timetz', precision: 2 },
      yr: { type: 'interval', fields: 'YEAR' }, m: { type: 'mood' }, p: { type: 'percent' }, j: { type: 'jsonb' }, i: { type: 'inet' },
    })
  })

  test('#85 a second client, the same definition: the same answer', async () => {
    const [one, two] = [await shape({ table: 'items', offset: '-1' }), await shape({ offset: '-1', table: 'public.items', replica: 'default', log: 'full' })]
    expect([two.handle, two.text, two.etag]).toEqual([one.handle, one.text, one.etag])
  })

  test('#75 an empty table: snapshot-end alone', async () => {
    await sql('create table empty_one (id int primary key)')
    const answer = await shape({ table: 'empty_one', offset: '-1' })
    expect(answer.control).toEqual(['snapshot-end'])
    expect(answer.messages).toHaveLength(1)
    expect(answer.upToDate).toBe(false)
  })

  test('#116 a handle given with it is ignored', async () => {
    const plain = await shape({ table: 'items', offset: '-1' })
    for (const offset of ['-1', 'now']) {
      const answer = await shape({ table: 'items', offset, handle: 'whatever' })
      expect([answer.status, answer.handle]).toEqual([200, plain.handle])
    }
  })

  test('#114 #115 log=changes_only begins with nothing, under a handle of its own', async () => {
    const full = await shape({ table: 'items', offset: '-1' })
    const answer = await shape({ table: 'items', offset: '-1', log: 'changes_only' })
    expect([answer.status, answer.messages.length, answer.control]).toEqual([200, 1, ['snapshot-end']])
    expect([answer.offset, answer.etag]).toEqual(['0_0', `"${answer.handle}:-1:0_0"`])
    expect(answer.handle).not.toBe(full.handle)
    await sql('create table only_changes (id int primary key); insert into only_changes values (1)')
    const [entry] = await entriesOf(ctx.stack, { table: 'only_changes', log: 'changes_only' }, 1, () => sql('update only_changes set id = 2 where id = 1'))
    expect([entry.headers.operation, entry.value]).toEqual(['delete', { id: '1' }])
  })

  test('#117 #118 what a handle stands for', async () => {
    const handle = async (query) => (await shape({ table: 'items', offset: '-1', ...query })).handle
    const clause = { where: 'value = $1', 'params[1]': 'one' }
    const plain = await handle()
    const different = [plain, await handle({ replica: 'full' }), await handle({ columns: 'id' }), await handle({ columns: 'id,value' }), await handle(clause), await handle({ ...clause, 'params[1]': 'two' })]
    expect(new Set(different).size).toBe(different.length)
    expect(await handle({ ...clause })).toBe(different[4])
    expect(await handle({ columns: 'value,id' })).toBe(different[3])
    expect(await handle({ queryable_columns: 'id,value' })).toBe(different[3])
    expect(await handle({ columns: 'id', queryable_columns: 'id,value' })).toBe(different[2])
  })
})

describe('catch-up', () => {
  test('#83 #84 #87 #88 #89 #92 #94 without changes, then with one', async () => {
    await sql('create table growing (id int primary key)')
    const answers = await readShape(ctx.stack.url, { table: 'growing' })
    const last = answers.at(-1)
    expect(last.messages).toHaveLength(1)
    expect(last.messages[0].headers.global_last_seen_lsn).toMatch(/^\d+$/)
    expect(last.offset).toBe('0_inf')
    expect(last.headers['electric-up-to-date']).toBe('')
    expect(last.headers['cache-control']).toBe('public, max-age=61, stale-while-revalidate=301')
    expect(last.headers['electric-has-data']).toBe('true')
    expect(last.etag).toBe(`"${last.handle}:${last.requested}:0_inf"`)

    const query = { table: 'growing', handle: last.handle, offset: last.requested }
    const unchanged = await shape(query, { headers: { 'if-none-match': last.etag } })
    expect([unchanged.status, unchanged.text]).toEqual([304, ''])
    expect(unchanged.headers).toMatchObject({ etag: last.etag, 'electric-handle': last.handle, 'electric-offset': '0_inf', 'electric-has-data': 'true' })
    expect(unchanged.headers).toMatchObject({ 'cache-control': last.headers['cache-control'], 'content-type': 'application/json; charset=utf-8' })
    for (const absent of ['electric-schema', 'electric-cursor']) expect(unchanged.headers).not.toHaveProperty(absent)
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

  test('#90 #91 If-None-Match: lists match, weak ones do not', async () => {
    const query = { table: 'items', offset: '-1' }
    const { etag } = await shape(query)
    const ask = async (value) => (await shape(query, { headers: { 'if-none-match': value } })).status
    expect(await ask(etag)).toBe(304)
    expect(await ask(`"other", ${etag}`)).toBe(304)
    expect(await ask(`W/${etag}`)).toBe(200)
    expect(await ask('"other"')).toBe(200)
    expect(await ask('*')).toBe(200)
    expect(await ask(['"other"', etag])).toBe(304)
    expect(await ask(etag.replaceAll('"', ''))).toBe(304)
  })

  test('#110 #112 #113 offset=now: only up-to-date, never revalidated', async () => {
    await sql('create table from_now (id int primary key); insert into from_now values (1)')
    const answer = await shape({ table: 'from_now', offset: 'now' })
    expect(answer.status).toBe(200)
    expect(answer.control).toEqual(['up-to-date'])
    expect(answer.messages).toHaveLength(1)
    expect(answer.offset).toBe('0_inf')
    expect(answer.headers['electric-has-data']).toBe('false')
    expect(JSON.parse(answer.headers['electric-schema'])).toEqual({ id: { type: 'int4', pk_index: 0, not_null: true } })
    expect(answer.headers).not.toHaveProperty('electric-cursor')
    expect(answer.headers['cache-control']).toBe('public, max-age=61, stale-while-revalidate=301')
    expect(answer.etag).toMatch(new RegExp(`^"${answer.handle}:now:0_inf:\\d+"$`))
    expect(answer.upToDate).toBe(true)
    const again = await shape({ table: 'from_now', offset: 'now' }, { headers: { 'if-none-match': answer.etag } })
    expect(again.status).toBe(200)
    expect(again.etag).not.toBe(answer.etag)
  })

  test('#111 offset=now behind changes: the end of the log', async () => {
    await sql('create table now_behind (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'now_behind' })
    await sql('insert into now_behind values (1), (2)')
    const live = await shape({ ...at, live: 'true' })
    const answer = await shape({ table: 'now_behind', offset: 'now' })
    expect([answer.status, answer.offset, answer.handle, answer.control, answer.messages.length]).toEqual([200, live.offset, live.handle, ['up-to-date'], 1])
    const following = await shape({ ...at, offset: answer.offset })
    expect([following.changes, following.upToDate]).toEqual([[], true])
  })

  test('#86 #93 an entry: lsn, op_position, txids, last; then up-to-date', async () => {
    await sql("create table one_more (id int primary key, v text); insert into one_more values (1, 'old')")
    const begin = await shape({ table: 'one_more', offset: '-1' })
    const at = await endOf(ctx.stack, { table: 'one_more' })
    await sql("insert into one_more values (2, 'new')")
    const [{ xid }] = await sql('select xmin::text::int8::text xid from one_more where id = 2')
    await entriesAfter(ctx.stack, at, 1)
    const answer = await shape({ table: 'one_more', offset: '0_0', handle: begin.handle })
    const { lsn } = answer.changes[0].headers
    expect(lsn).toMatch(/^\d+$/)
    expect(answer.messages).toEqual([
      { key: '"public"."one_more"/"2"', value: { id: '2', v: 'new' }, headers: { operation: 'insert', relation: ['public', 'one_more'], txids: [Number(xid)], lsn, op_position: 0, last: true } },
      { headers: { control: 'up-to-date', global_last_seen_lsn: expect.stringMatching(/^\d+$/) } },
    ])
    expect(BigInt(answer.messages[1].headers.global_last_seen_lsn)).toBeGreaterThanOrEqual(BigInt(lsn))
    expect([answer.offset, answer.etag]).toEqual([`${lsn}_0`, `"${begin.handle}:0_0:${lsn}_0"`])
  })
})

describe('chunks', () => {
  test('#95 #96 #97 #98 about the threshold, disjoint, repeatable, closed ones for ever', async () => {
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
    const keys = first.flatMap((a) => a.changes.map((c) => c.key))
    expect([keys.length, new Set(keys).size]).toEqual([300, 300])
    expect([first.at(-1).upToDate, first.at(-1).control]).toEqual([true, ['up-to-date']])

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

describe('values', () => {
  test('#99 #102 #103 #104 their text does not depend on the settings of the database', async () => {
    await sql('create table texts (id int primary key, tz timestamptz, ts timestamp, d date, iv interval, c char(5), b bytea, f float8, n int)')
    const row = (id) => `insert into texts values (${id}, '2024-06-30 12:00:00+03', '2024-06-30 12:00:00.5', '2024-02-01', '1 year 2 days 3 hours', 'ab', '\\x6869', 0.1::float8 + 0.2::float8, null)`
    const value = (id) => ({
      id, tz: '2024-06-30 09:00:00+00', ts: '2024-06-30 12:00:00.5', d: '2024-02-01', iv: 'P1Y2DT3H', c: 'ab   ', b: '\\x6869', f: '0.30000000000000004', n: null,
    })
    await sql("set datestyle = 'ISO, DMY'")
    await sql(row(1))
    const logged = await entriesOf(ctx.stack, { table: 'texts' }, 1, () => sql(row(2)))
    const snapshot = await shape({ table: 'texts', offset: '-1' })
    expect(snapshot.changes.map((c) => c.value)).toEqual([value('1')])
    expect(logged.map((c) => c.value)).toEqual([value('2')])
  })

  test('#101 a megabyte of bytes', async () => {
    await sql('create table bytes (id int primary key, b bytea)')
    const half = "decode(repeat('00ff27', 350000), 'hex')"
    const hex = `\\x${'00ff27'.repeat(350000)}`
    await sql(`insert into bytes values (1, ${half})`)
    const logged = await entriesOf(ctx.stack, { table: 'bytes' }, 1, () => sql(`insert into bytes values (2, ${half})`))
    const snapshot = await shape({ table: 'bytes', offset: '-1' })
    for (const { value } of [snapshot.changes[0], logged[0]]) expect(value.b === hex, 'the bytes as they are').toBe(true)
  })

  test('#105 #106 #107 #108 #109 keys and relations of a snapshot', async () => {
    await sql(`create schema s; create table s.composed (a int, b text, v text, w text, primary key (b, a)); create table bare (a int, b text);
      insert into s.composed values (1, 'x/y', 'v', 'w'); insert into bare values (1, null), (null, '')`)
    const composed = await shape({ table: 's.composed', columns: 'a,b,v', offset: '-1' })
    expect(composed.changes).toEqual([{ key: '"s"."composed"/"x//y"/"1"', value: { a: '1', b: 'x/y', v: 'v' }, headers: { operation: 'insert', relation: ['s', 'composed'] } }])
    expect(Object.keys(JSON.parse(composed.headers['electric-schema'])).sort()).toEqual(['a', 'b', 'v'])
    const bare = await shape({ table: 'bare', offset: '-1' })
    expect(bare.changes.map((c) => c.key).sort()).toEqual(['"public"."bare"/"1"/_', '"public"."bare"/_/""'])
    expect(JSON.parse(bare.headers['electric-schema'])).toEqual({ a: { type: 'int4' }, b: { type: 'text' } })
  })
})
