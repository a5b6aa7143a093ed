// Shapes with a where clause: rows that move in and out, against SELECT … WHERE.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { quote } from './lib/oracle.mjs'

const ctx = useStack()
const sql = (text, values) => ctx.db.sql(text, values)

const CLAUSES = [
  'org = 3',
  "org = 3 AND state = 'open'",
  'org IN (1, 4)',
  "org IN (1, 4) AND NOT (state = 'open')",
  'done',
  'NOT done',
  "state IN ('open', 'it''s')",
  'org > 2',
  'org IS NULL',
  'org IS DISTINCT FROM 3',
  "state = 'open' OR org = 1",
  'org BETWEEN id AND 4',
  'price = 1.5',
  'price >= 1 AND price < 3',
  'id = 7',
  'org = 3 OR org <> 3',
]

/** Deterministic: the same rows for the same seed. */
function numbers(seed) {
  let x = seed
  return (n) => {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0
    return (x >>> 8) % n
  }
}

const TABLE = `(id int primary key, org int, state text, done boolean, price numeric, filler text)`
const STATES = ['open', 'shut', "it's", '', null, 'OPEN']
const PRICES = ['1.5', '1.50', '0', '2.999', null, '3']

function randomRow(below) {
  return [below(6) ? below(6) : null, STATES[below(6)], [true, false, null][below(3)], PRICES[below(6)]]
}

async function write(table, below, rounds) {
  const ids = new Set((await sql(`select id from ${table}`)).map((r) => Number(r.id)))
  for (let i = 0; i < rounds; i++) {
    const id = below(60)
    const row = randomRow(below)
    if (!ids.has(id)) await sql(`insert into ${table} values ($1, $2, $3, $4, $5, repeat('x', 3000))`, [id, ...row])
    else if (below(5) === 0) await sql(`delete from ${table} where id = $1`, [id])
    else if (below(8) === 0 && !ids.has(id + 100)) await sql(`update ${table} set id = id + 100, org = $2 where id = $1`, [id, row[0]])
    else await sql(`update ${table} set org = $2, state = $3, done = $4, price = $5 where id = $1`, [id, ...row])
    ids.clear()
    for (const r of await sql(`select id from ${table}`)) ids.add(Number(r.id))
  }
}

describe('where', () => {
  test('#208 #213 rows in, out and through, for many clauses at once', async () => {
    const below = numbers(11)
    await sql(`create table moving ${TABLE}`)
    await write('moving', below, 40)
    const clients = CLAUSES.map((where) => [where, ctx.client({ table: 'moving', where })])
    await Promise.all(clients.map(([, client]) => client.upToDate()))
    await write('moving', below, 150)
    for (const [where, client] of clients) await client.converges(ctx.db, 'moving', { where })
    // in and out, all rows in one transaction
    await sql('update moving set org = coalesce(org, 0) + 1, done = not done')
    await sql("delete from moving where state = 'open'")
    for (const [where, client] of clients) {
      await client.converges(ctx.db, 'moving', { where })
      expect(client.refetches).toBe(0)
    }
  })

  test('#125 #126 #127 what a move is: insert of the whole row, delete of the old key', async () => {
    await sql("create table moves (id int primary key, grp int, body text); insert into moves values (1, 0, repeat('y', 9000))")
    const client = ctx.client({ table: 'moves', where: 'grp = 1', columns: 'id,body' })
    await client.upToDate()
    client.log.length = 0
    await sql('update moves set grp = 1')
    await sql('update moves set id = 2')
    await sql('update moves set grp = 2, id = 3')
    await sql('insert into moves values (4, 1, null)')
    await client.converges(ctx.db, 'moves', { where: 'grp = 1', columns: ['id', 'body'] })
    const key = (id) => `"public"."moves"/"${id}"`
    const body = 'y'.repeat(9000)
    expect(client.log.filter((m) => m.headers?.operation).map((m) => [m.headers.operation, m.key, m.value])).toEqual([
      ['insert', key(1), { id: '1', body }],
      ['delete', key(1), { id: '1' }],
      ['insert', key(2), { id: '2', body }],
      ['delete', key(2), { id: '2' }],
      ['insert', key(4), { id: '4', body: null }],
    ])
  })

  test('#54 parameters, quoted names', async () => {
    await sql(`create table "Odd Table" (id int primary key, "the Name" text, n int);
      insert into "Odd Table" values (1, 'a "b"', 1), (2, 'it''s', 2), (3, null, 2)`)
    const where = '"the Name" = $1 AND n < $2'
    const client = ctx.client({ table: quote('Odd Table'), where, params: { 1: "it's", 2: '5' } })
    await client.upToDate()
    await sql(`insert into "Odd Table" values (4, 'it''s', 4), (5, 'it''s', 6)`)
    await sql(`update "Odd Table" set n = 9 where id = 2`)
    await client.converges(ctx.db, '"Odd Table"', { where: `"the Name" = 'it''s' AND n < 5` })
  })

  test('spellings of one clause are one shape, live as well', async () => {
    await sql('create table spelt (id int primary key, n int); insert into spelt values (1, 1), (2, 2)')
    const spellings = ['n = 1', '(n=1)', ' N  =  1 ', '"n" = 1']
    const clients = spellings.map((where) => ctx.client({ table: 'spelt', where }))
    clients.push(ctx.client({ table: 'spelt', where: 'n = 1', params: { 1: 'not used' } }))
    for (const client of clients) await client.upToDate()
    await sql('insert into spelt values (3, 1)')
    for (const client of clients) await client.converges(ctx.db, 'spelt', { where: 'n = 1' })
    expect(new Set(clients.flatMap((client) => client.handles)).size).toBe(1)
    const url = (where) => `${ctx.stack.url}/v1/shape?table=spelt&where=${encodeURIComponent(where)}`
    const other = await fetch(`${url('n = 2')}&offset=-1`)
    expect(other.headers.get('electric-handle')).not.toBe(clients[0].handles[0])
  })

  test('a clause that cannot be is refused with the place of the fault', async () => {
    await sql('create table refused (id int primary key)')
    const response = await fetch(`${ctx.stack.url}/v1/shape?table=refused&offset=-1&where=${encodeURIComponent('1 x 1')}`)
    expect(response.status).toBe(400)
    expect(await response.json()).toEqual({ message: 'Invalid request', errors: { where: ['At location 17: syntax error at or near "x"'] } })
  })
  test('arrays of an enum, and its labels with a cast', async () => {
    await sql(`create schema "Odd"; create type "Odd"."it's" as enum ('a', 'b b', 'ü'); create table tagged (id int primary key, m "Odd"."it's", ms "Odd"."it's"[])`)
    await sql(`insert into tagged values (1, 'a', '{a}'), (2, 'ü', '{"b b",NULL}'), (3, null, null), (4, 'b b', '{}')`)
    const cast = (text, array = '') => `'${text}'::"Odd"."it's"${array}`
    const clauses = [`m = ${cast('a')}`, `m <> CAST('ü' AS "Odd"."it's")`, `m = ANY(ms)`, `'b b' = ANY(ms)`, `${cast('a')} <> ALL(ms)`, `ms @> '{a}'`, `ms = ARRAY[m]`,
      `ms && ${cast('{ü,b b}', '[]')}`, `ms[1] = 'a'`, `array_append(ms, m) = '{ü}'`, `coalesce(m, 'ü') = 'ü'`, `ms::text[] = '{a,a}'`]
    const clients = clauses.map((where) => [where, ctx.client({ table: 'tagged', where })])
    for (const [, client] of clients) await client.upToDate()
    await sql(`insert into tagged values (5, 'ü', '{ü}'), (6, 'b b', '{a,a}'); update tagged set ms = '{a,a}' where id = 1; update tagged set m = 'a', ms = '{a,"b b"}' where id = 3; delete from tagged where id = 2`)
    for (const [where, client] of clients) await client.converges(ctx.db, 'tagged', { where })
  })
  test('labels of an enum, also in subsets; a label that is none is refused', async () => {
    await sql(`create type mood as enum ('sad', 'so so', 'glad')`)
    await sql(`create table felt (id int primary key, m mood, o mood); insert into felt values (1, 'sad', 'sad'), (2, 'glad', 'sad'), (3, null, null)`)
    const clauses = ["m = 'sad'", "m <> 'sad'", "m IN ('so so', 'glad')", 'm = o', "m IS DISTINCT FROM 'glad'", "m = ANY('{sad,so so}')"]
    const clients = clauses.map((where) => [where, ctx.client({ table: 'felt', where })])
    for (const [, client] of clients) await client.upToDate()
    await sql(`insert into felt values (4, 'so so', 'so so'), (5, 'sad', null); update felt set m = 'so so' where id = 1; delete from felt where id = 2`)
    for (const [where, client] of clients) await client.converges(ctx.db, 'felt', { where })
    const ask = async (query) => {
      const response = await fetch(`${ctx.stack.url}/v1/shape?${new URLSearchParams({ table: 'felt', offset: '-1', ...query })}`)
      return { status: response.status, body: await response.json() }
    }
    const refused = await ask({ where: "m = 'bad'" })
    expect(refused).toEqual({ status: 400, body: { message: 'Invalid request', errors: { where: ['At location 4: invalid syntax for type enum mood: bad'] } } })
    const subset = await ask({ subset__where: "m = 'so so'" })
    expect(subset.body.data.map((row) => row.value.id).sort()).toEqual(['1', '4'])
    const bad = await ask({ subset__where: "m = 'bad'" })
    expect(bad.status).toBe(400)
    expect(bad.body.errors.subset.where).toMatch(/^invalid input value for enum mood: "bad"/)
  })
})
