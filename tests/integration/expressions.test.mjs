// The where language (protocol §5.3): what each clause lets through is what SELECT … WHERE says, both in the snapshot, which Postgres
// evaluates, and in the log, which the router does.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { readShape } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'

const ctx = useStack()
const sql = (text) => ctx.db.sql(text)

const COLUMNS = 'id int primary key, n int, big int8, f float8, m numeric, t text, b boolean, d date, ts timestamp, tz timestamptz, u uuid, a int[], ta text[]'
const ROWS = [
  "(1, 1, 10000000000, 1.5, 1.50, 'one', true, '2024-01-31', '2024-01-31 10:00:00', '2024-01-31 10:00:00+00', '00000000-0000-0000-0000-000000000001', '{1,2}', '{x,y}')",
  "(2, 2, -1, -0.5, 2.25, 'Two_2', false, '2024-02-29', '2024-02-29 00:00:00', '2024-02-29 00:00:00+03', '00000000-0000-0000-0000-000000000002', '{2,3}', '{}')",
  "(3, 3, 0, 0, -3, 'three%', null, '1999-12-31', '1999-12-31 23:59:59', '1999-12-31 23:59:59-05', null, '{}', '{one}')",
  "(4, -4, null, null, null, '', true, null, null, null, null, null, null)",
  "(5, null, 5, 'NaN', 'NaN', null, false, 'infinity', 'infinity', '-infinity', null, '{1,null}', '{null}')",
  "(6, 6, 6, 'Infinity', 0, E'a\\nb\\\\c', null, '2024-01-01', '2024-01-01', '2024-01-01 00:00:00+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '{6,6,6}', '{One,two}')",
]

const CLAUSES = {
  '#208 constructs': [
    'id IN (1, 2)', 'id NOT IN (1, 2)', 'n NOT IN (1, 2)', 'n NOT IN (1, NULL)', 'id BETWEEN 2 AND 4', 'id NOT BETWEEN 2 AND 4', 'id BETWEEN SYMMETRIC 4 AND 2',
    "t LIKE '%o%'", "t LIKE '_ne'", "t NOT LIKE '%e%'", "t LIKE 'three\\%'", "t LIKE '%\\_2'", "t LIKE 'a%c'", "t ILIKE 'tW%'", "t NOT ILIKE '%O%'",
    'n IS NULL', 'n IS NOT NULL', 'b', 'NOT b', 'b IS TRUE', 'b IS NOT TRUE', 'b IS UNKNOWN', 'b IS NOT FALSE', 'n IS DISTINCT FROM 3', 'n IS NOT DISTINCT FROM NULL',
    'n > 0 AND b', 'n > 0 OR b', 'NOT (n > 0 AND b)', 'n = 1 OR n = 2 AND b', 'NOT b OR n IS NULL',
    'n + 1 = 3', 'n - 1 > 0', 'n * 2 = 6', 'n / 2 = 1', '-n = 4', 'n - 2 * 2 = 2', 'n & 2 = 2', 'n | 1 = 3', 'n # 1 = 2', '~ n = -4', '@ n = 4', 'n ^ 2 = 9', "(m ^ 2.0)::text <> '2.25'", '(@ m) ^ 1.5 < 4', '|/ (f * f) > 1',
    'big > 5000000000', 'big = -1', 'n < big', 'f = 0.0', 'f > 1', "f = 'NaN'", 'm = 1.5', 'm < n', 'm <> 0',
    "t = 'one'", "t <> 'one'", "t < 'b'", "t || 'x' = 'onex'", "lower(t) = 'two_2'", "upper(t) = 'ONE'", "coalesce(t, 'none') = 'none'", 'greatest(n, 2) = 2', 'least(n, id) = 3',
    "d = '2024-01-31'", "d > '2024-01-15'", "d + 1 = '2024-03-01'", "ts >= '2024-01-31 10:00:00'", "tz < '2024-02-01 00:00:00+00'", "ts + interval '1 month' = '2024-02-29 10:00:00'",
    "u = '00000000-0000-0000-0000-000000000002'", "u > '00000000-0000-0000-0000-000000000001'", "n::text = '3'", "(n > 1) = b", "'2' = n::text",
  ],
  '#209 arrays': [
    "a @> '{2}'", "a <@ '{1,2,3}'", "a && '{3,6}'", '1 = ANY(a)', '6 = ALL(a)', 'n = ANY(a)', "'{1,2}' = a", "a <> '{1,2}'", 'a[1] = 2', "'{2}' <@ a",
    "ta @> ARRAY['x']", "'one' = ANY(ta)", "ta && '{two,y}'", "a = '{}'",
  ],
  '#213 NULL lets nothing through': ['n > NULL', 'NULL', 'n = NULL OR id = 1', 'NOT (n = NULL)', 'NULL AND b', 'NULL OR b', 'n <> 1', "t || NULL = 'x'"],
}

const selected = async (table, where) => (await sql(`select id from ${table} where ${where} order by id`)).map((row) => String(row.id))
const ids = (answers) => answers.flatMap((a) => a.changes.map((c) => c.value.id)).sort()
const all = Object.values(CLAUSES).flat()

describe('as in Postgres', () => {
  const logged = new Map()

  beforeAll(async () => {
    await sql(`create table later (${COLUMNS}); create table before (${COLUMNS}); insert into before values ${ROWS}`)
    await Promise.all(all.map(async (where) => logged.set(where, await endOf(ctx.stack, { table: 'later', where, columns: 'id' }))))
    const last = await endOf(ctx.stack, { table: 'later', columns: 'id' })
    await sql(`insert into later values ${ROWS}`)
    await ctx.stack.shape({ ...last, live: 'true' })
  })

  for (const [title, clauses] of Object.entries(CLAUSES))
    test.each(clauses)(`${title}: %s`, async (where) => {
      const expected = await selected('before', where)
      expect(ids(await readShape(ctx.stack.url, { table: 'before', where, columns: 'id' })), 'in the snapshot').toEqual(expected)
      const at = logged.get(where)
      expect(ids(await readShape(ctx.stack.url, { table: 'later', where, columns: 'id' }, { offset: at.offset, handle: at.handle })), 'in the log').toEqual(expected)
    })
})

describe('texts that are cast to dates and times', () => {
  const NOTES = [
    ['1/2/2024', '1 day 02:03'], ['Feb 1, 2024 3:04:05.6 pm', '@ 3 hours ago'], ['20240201T150405.6Z', 'P1DT2H3M'], ['2024-02-01 23:30 -02:00', '1.5 weeks'],
    ['J2460342.25', '-1-2 3 4:05:06'], ['infinity', '90'], ['15 mar 44 BC', '00:30:15.5'], [null, null],
  ]
  const CASTS = [
    "day::date = '2024-02-01'", "day::timestamp >= '2024-02-01 15:04:05'", "day::timestamptz > '2024-02-02 00:00:00+00'", "took::interval > interval '26 hours'",
    "(day::date - 1)::text LIKE '2024%'", "coalesce(took, 'P0D')::interval < interval '1 day' OR day::timestamp < '0001-01-01 00:00:00'",
  ]
  const insert = async (table, from) => {
    for (const [i, row] of NOTES.entries()) await sql(`insert into ${table} values (${from + i}, ${row.map((v) => (v === null ? 'null' : `'${v}'`)).join(', ')})`)
  }

  test('as in Postgres, in the snapshot and in the log', async () => {
    await sql('create table noted (id int primary key, day text, took varchar(40))')
    await insert('noted', 0)
    const clients = CASTS.map((where) => [where, ctx.client({ table: 'noted', where })])
    for (const [, client] of clients) await client.upToDate()
    await insert('noted', 100)
    await sql("update noted set day = '2 feb 2024 00:30 +1', took = '25:00' where id in (0, 101)")
    for (const [where, client] of clients) await client.converges(ctx.db, 'noted', { where })
  })

  test('what is none, or depends on the clock or the server, is an error of its row', async () => {
    await sql("create table vague (id int primary key, day text); insert into vague values (1, '1 Feb 2024')")
    const query = { table: 'vague', where: "day::date >= '2024-02-01'" }
    const client = ctx.client(query)
    await client.upToDate()
    await sql(`insert into vague values (2, 'today'), (3, '2024-02-01 12:00 PST'), (4, 'abc'), (5, '2/2/2024')`)
    await client.converges(ctx.db, 'vague', { where: 'id in (1, 5)' })
    for (const [id, text] of [[2, 'today'], [3, '2024-02-01 12:00 PST'], [4, 'abc']]) {
      const answer = await ctx.stack.shape({ table: 'vague', where: `id = ${id} AND day::date >= '2024-02-01'`, offset: '-1' })
      expect([answer.status, answer.json]).toEqual([500, { message: `Unexpected error while creating snapshot: invalid input syntax for type date: "not decided here: ${text}"` }])
    }
  })
})
