// Initial sync and the log, over every type that Postgres 15 has.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { deadlineMs, until } from './lib/wait.mjs'
import { writer } from './lib/writer.mjs'

const ctx = useStack()

/** [column, type, expression over n for a generated row, an awkward value] */
const TYPES = [
  ['b', 'bool', 'n % 2 = 0', 'null'],
  ['i2', 'int2', '(n % 32767)::int2', '-32768'],
  ['i4', 'int4', 'n * 7', '-2147483648'],
  ['i8', 'int8', 'n * 1000000007::int8', '9223372036854775807'],
  ['num', 'numeric', 'n / 7.0', "'NaN'"],
  ['num52', 'numeric(12,2)', 'n / 3.0', "'-1234567890.12'"],
  ['f4', 'float4', 'n / 3.0', "'-Infinity'"],
  ['f8', 'float8', 'n / 3.0', "'1e-320'"],
  ['txt', 'text', "'row ' || n || E' \\t\"quoted\" \\\\ ü漢😀'", "E'a/b\\nc\\r\\x01\\u2028'"],
  ['vc', 'varchar(40)', 'md5(n::text)', "''"],
  ['bc', 'char(8)', "'c' || n % 1000", "''"],
  ['nm', 'name', "'name_' || n", 'null'],
  ['ch', '"char"', "'x'", "''"],
  ['byt', 'bytea', "decode(md5(n::text), 'hex')", "'\\x'"],
  ['d', 'date', "date '2000-01-01' + n % 20000", "'infinity'"],
  ['t', 'time', "time '00:00' + n * interval '1.000001 s'", "'24:00:00'"],
  ['tt', 'timetz', "(time '00:00' + n * interval '1 s')::text::timetz", "'10:00:00+05:30'"],
  ['ts', 'timestamp', "timestamp '1999-12-31 23:59:59.123456' + n * interval '1 h'", "'0044-03-15 12:00:00 BC'"],
  ['tz', 'timestamptz', "timestamptz '2024-06-30 12:00:00+03' + n * interval '1 min'", "'-infinity'"],
  ['iv', 'interval', "n * interval '1 day 02:03:04.5'", "'-1 year -2 mons +3 days -04:05:06.789'"],
  ['uid', 'uuid', 'md5(n::text)::uuid', 'null'],
  ['js', 'json', "('{\"n\": ' || n || ',  \"a\":[1, 2]}')::json", "'{\"dup\":1, \"dup\":2}'"],
  ['jb', 'jsonb', "jsonb_build_object('n', n, 'z', null)", "'[1,  2, \"\\u00e9\"]'"],
  ['jp', 'jsonpath', "'$.a[*]'", "'strict $.b'"],
  ['xm', 'xml', "('<a n=\"' || n || '\"/>')::xml", "'<b>&amp;</b>'"],
  ['ip', 'inet', "('10.0.' || n % 256 || '.1')::inet", "'2001:db8::1'"],
  ['ipn', 'cidr', "('10.' || n % 256 || '.0.0/16')::cidr", "'2001:db8::/32'"],
  ['mac', 'macaddr', "'08:00:2b:01:02:03'", 'null'],
  ['mac8', 'macaddr8', "'08:00:2b:01:02:03:04:05'", 'null'],
  ['bt', 'bit(4)', '(n % 16)::bit(4)', 'null'],
  ['vb', 'bit varying(9)', '(n % 8)::bit(3)', "B''"],
  ['o', 'oid', '(n + 1)::oid', '4294967295'],
  ['rc', 'regclass', "'pg_class'::regclass", "'pg_type'::regclass"],
  ['lsn', 'pg_lsn', "'16/B374D848'", "'FFFFFFFF/FFFFFFFF'"],
  ['mon', 'money', '(n * 1.5)::numeric::money', "'-$1,234.56'"],
  ['pt', 'point', 'point(n, n / 3.0)', 'null'],
  ['bx', 'box', 'box(point(0, 0), point(n, 1))', 'null'],
  ['pl', 'polygon', "'((0,0),(0,1),(1,1))'", 'null'],
  ['ci', 'circle', 'circle(point(n, 0), 2)', 'null'],
  ['tv', 'tsvector', "to_tsvector('simple', 'a quick fox ' || n)", "''"],
  ['tq', 'tsquery', "'fat & (rat | cat)'", "''"],
  ['i4r', 'int4range', 'int4range(n, n + 10)', "'empty'"],
  ['tsr', 'tstzrange', "tstzrange('2024-01-01 00:00+02', '2024-02-01 00:00+02')", "'(,)'"],
  ['mr', 'int4multirange', "'{[1,3), [5,9)}'", "'{}'"],
  ['en', 'mood', "(array['sad', 'ok', 'happy'])[n % 3 + 1]::mood", "'it''s \"fine\"'"],
  ['dom', 'percent', '(n % 101)::percent', 'null'],
  ['cmp', 'pair', "row(n, 'p' || n)::pair", 'row(null, \'a "b", c\')::pair'],
  ['ia', 'int4[]', 'array[n, null, n + 1]', "'{}'"],
  ['ta', 'text[][]', "array[['a' || n, 'b'], ['c,d', '\"e\"']]", "'{{null,\"NULL\"},{\"\",\"\\\\\\\\\"}}'"],
  ['ba', 'bool[]', 'array[true, false, null]', 'null'],
]

const list = (pick) => TYPES.map(pick).join(', ')
const generated = `n, ${list(([, type, expression]) => `(${expression})::${type}`)}`
const awkward = `${list(([, type, , value]) => `(${value})::${type}`)}`
const columns = `id, ${list(([name]) => name)}`

async function createTypes() {
  await ctx.db.sql(`
    create type mood as enum ('sad', 'ok', 'happy', 'it''s "fine"');
    create domain percent as int check (value between 0 and 100);
    create type pair as (a int, b text)`)
}

const createTable = (name) =>
  ctx.db.sql(`create table ${name} (id int8 primary key, ${list(([column, type]) => `${column} ${type}`)})`)

describe('initial sync', () => {
  test('#100 100k rows of all types', async () => {
    await createTypes()
    await createTable('everything')
    await ctx.db.sql(`insert into everything select ${generated} from generate_series(1, 100000) n`)
    await ctx.db.sql(`insert into everything (${columns}) select -1, ${awkward}; insert into everything (id) values (-2)`)
    const client = ctx.client({ table: 'everything' })
    await client.converges(ctx.db, 'everything', { within: 150000 })
    expect(client.refetches).toBe(0)
    expect(client.handles).toHaveLength(1)
  }, deadlineMs(180000))

  test('#99 #100 snapshot and log have one form of every value', async () => {
    await createTable('both_ways')
    await ctx.db.sql(`insert into both_ways (${columns}) select -1, ${awkward}`)
    await ctx.db.sql(`insert into both_ways select ${generated} from generate_series(1, 50) n`)
    const early = ctx.client({ table: 'both_ways' })
    await early.upToDate()
    await ctx.db.sql(`insert into both_ways (${columns}) select -3, ${awkward}; insert into both_ways (id) values (-4)`)
    await ctx.db.sql(`insert into both_ways select ${generated} from generate_series(51, 100) n`)
    await ctx.db.sql(`update both_ways set (${columns}) = (select id, ${awkward}) where id between 10 and 20`)
    await early.converges(ctx.db, 'both_ways')
    const late = ctx.client({ table: 'both_ways', replica: 'full' })
    await late.converges(ctx.db, 'both_ways')
    expect(early.log.filter((m) => m.headers?.lsn)).toHaveLength(63)
    expect(late.log.filter((m) => m.headers?.lsn)).toHaveLength(0)
    expect([...early.rows.keys()].sort()).toEqual([...late.rows.keys()].sort())
  })

  test('an empty table, a row appears', async () => {
    await ctx.db.sql('create table was_empty (id int primary key)')
    const client = ctx.client({ table: 'was_empty' })
    await client.upToDate()
    expect(client.rows.size).toBe(0)
    await ctx.db.sql('insert into was_empty values (1)')
    await client.converges(ctx.db, 'was_empty')
  })

  test('a wide value: 20 MB in one row', async () => {
    await ctx.db.sql('create table wide (id int primary key, v text)')
    await ctx.db.sql("insert into wide select 1, repeat('0123456789', 2000000)")
    const client = ctx.client({ table: 'wide' })
    await client.converges(ctx.db, 'wide', { within: 40000 })
    await ctx.db.sql("insert into wide select 2, repeat('abcdefghij', 2000000)")
    await client.converges(ctx.db, 'wide', { within: 40000 })
  })

  test('#39 one definition, many names for it: one handle', async () => {
    await ctx.db.sql('create table same_thing (id int primary key, v text)')
    const handles = new Set()
    for (const table of ['same_thing', 'SAME_THING', '"same_thing"', 'public.same_thing', '"public".Same_Thing']) {
      const answer = await ctx.stack.shape({ table, offset: '-1' })
      expect(answer.status, table).toBe(200)
      handles.add(answer.handle)
    }
    expect(handles.size).toBe(1)
  })

  test('fifty requests for a new shape at once: one shape, equal answers', async () => {
    await ctx.db.sql('create table herd (id int primary key, v text)')
    await ctx.db.sql("insert into herd select n, 'v' || n from generate_series(1, 500) n")
    const answers = await Promise.all(Array.from({ length: 50 }, () => ctx.stack.shape({ table: 'herd', offset: '-1' })))
    expect(new Set(answers.map((a) => a.status))).toEqual(new Set([200]))
    expect(new Set(answers.map((a) => a.handle)).size).toBe(1)
    expect(new Set(answers.map((a) => a.text)).size).toBe(1)
  })

  test('#139 writes go on while the shape is made', async () => {
    await ctx.db.sql('create table busy (id serial primary key, v int)')
    await ctx.db.sql('insert into busy (v) select n from generate_series(1, 20000) n')
    let writing = true
    const writer = await ctx.db.session()
    const work = (async () => {
      for (let n = 0; writing; n++) await writer.query(`insert into busy (v) values (${n}); update busy set v = v + 1 where id = ${(n % 20000) + 1}; delete from busy where id = ${n + 3}`)
    })()
    const clients = []
    for (const extra of [{}, { replica: 'full' }, { columns: 'id,v' }, { columns: 'v,id', replica: 'full' }]) {
      clients.push(ctx.client({ table: 'busy', ...extra }))
      await until(() => clients.at(-1).stream.isUpToDate, { what: 'a shape made under writes is up to date' })
    }
    writing = false
    await work
    for (const client of clients) await client.converges(ctx.db, 'busy')
  })

  // Shapes that wait for one table share a transaction: each must be as exact as if it had had its own.
  test('many shapes of one table are made at once, and writes go on', async () => {
    const groups = 120
    await ctx.db.sql('create table crowd (id serial primary key, grp int, v int)')
    await ctx.db.sql(`insert into crowd (grp, v) select n % ${groups}, n from generate_series(1, 6000) n`)
    const statements = [
      (n) => `insert into crowd (grp, v) values (${n % groups}, ${n}); delete from crowd where id = ${n}`,
      (n) => `update crowd set grp = (grp + 1) % ${groups}, v = v + 1 where id % 500 = ${n % 500}`,
      (n) => `begin; update crowd set v = v + 1 where grp = ${n % groups}; select pg_sleep(0.01); commit`,
    ]
    const sessions = await Promise.all(statements.map(() => ctx.db.session()))
    const writers = statements.map((statement, i) => writer((n) => sessions[i].query(statement(n))))
    const clients = new Map()
    for (const round of [0, 1, 2]) {
      for (let grp = round; grp < groups; grp += 3) clients.set(grp, ctx.client({ table: 'crowd', where: `grp = ${grp}` }))
      for (const client of clients.values()) await until(() => client.stream.isUpToDate, { what: 'shapes made under writes are up to date' })
    }
    for (const w of writers) await w.stop()
    for (const [grp, client] of clients) await client.converges(ctx.db, 'crowd', { where: `grp = ${grp}` })
  })
})
