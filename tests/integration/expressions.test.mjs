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
    'n + 1 = 3', 'n - 1 > 0', 'n * 2 = 6', 'n / 2 = 1', '-n = 4', 'n - 2 * 2 = 2', 'n & 2 = 2', 'n | 1 = 3', 'n # 1 = 2', '~ n = -4', '@ n = 4', 'n ^ 2 = 9', '|/ (f * f) > 1',
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
