// What becomes of inserts, updates, deletes and truncates, for every kind of table and key.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { endOf, entriesAfter, entriesOf } from './lib/log.mjs'

const ctx = useStack()
const sql = (text, values) => ctx.db.sql(text, values)

/** A client that is up to date with an empty table, so that everything comes through the log. */
async function follower(params) {
  const client = ctx.client(params)
  await client.upToDate()
  client.log.length = 0
  return client
}

const entries = (client) => client.log.filter((m) => m.headers?.operation)
const brief = (m) => [m.headers.operation, m.key, m.value]

describe('rows', () => {
  test('#119 #121 insert, update, delete', async () => {
    await sql('create table items (id int primary key, name text, n int)')
    const client = await follower({ table: 'items' })
    await sql("insert into items values (1, 'one', 1), (2, 'two', 2), (3, null, null)")
    await sql("update items set n = 10 where id = 1")
    await sql("update items set name = null where id = 2")
    await sql('delete from items where id = 3')
    await client.converges(ctx.db, 'items')
    const key = (id) => `"public"."items"/"${id}"`
    expect(entries(client).map(brief)).toEqual([
      ['insert', key(1), { id: '1', name: 'one', n: '1' }],
      ['insert', key(2), { id: '2', name: 'two', n: '2' }],
      ['insert', key(3), { id: '3', name: null, n: null }],
      ['update', key(1), { id: '1', n: '10' }],
      ['update', key(2), { id: '2', name: null }],
      ['delete', key(3), { id: '3' }],
    ])
  })

  test('#120 #122 replica=full: old values of what changed, whole rows of what went', async () => {
    await sql('create table full_items (id int primary key, name text, n int)')
    const changes = await entriesOf(ctx.stack, { table: 'full_items', replica: 'full' }, 3, async () => {
      await sql("insert into full_items values (1, 'one', 1)")
      await sql('update full_items set n = 2')
      await sql('delete from full_items')
    })
    expect(changes[1]).toMatchObject({ value: { id: '1', name: 'one', n: '2' }, old_value: { n: '1' } })
    expect(Object.keys(changes[1].old_value)).toEqual(['n'])
    expect(changes[2].value).toEqual({ id: '1', name: 'one', n: '2' })
    expect(changes[0]).not.toHaveProperty('old_value')
  })

  test('#130 #131 #132 #133 headers: lsn, op_position by two over the whole transaction, txids, last', async () => {
    await sql('create table head_a (id int primary key); create table head_b (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'head_a' })
    await endOf(ctx.stack, { table: 'head_b' })
    const [{ xid }] = await sql('insert into head_a values (1); insert into head_b values (1), (2); insert into head_a values (2); insert into head_b values (3)')
      .then(() => sql('select xmin::text::int8::text xid from head_a where id = 1'))
    const changes = await entriesAfter(ctx.stack, at, 2)
    expect(changes.map((c) => c.headers.op_position)).toEqual([0, 6])
    expect(changes.map((c) => c.headers.last)).toEqual([undefined, true])
    expect(changes.map((c) => c.headers.txids)).toEqual([[Number(xid)], [Number(xid)]])
    expect(new Set(changes.map((c) => c.headers.lsn)).size).toBe(1)
    expect(changes[0].headers.lsn).toMatch(/^\d+$/)
    expect(changes[0].headers.relation).toEqual(['public', 'head_a'])
  })

  test('#128 #129 an update that changes nothing is nothing', async () => {
    await sql("create table noop (id int primary key, v text, w text); insert into noop values (1, 'a', 'b')")
    const client = await follower({ table: 'noop', columns: 'id,v' })
    await sql('update noop set v = v')
    await sql("update noop set w = 'not selected'")
    await sql("insert into noop values (2, 'x', 'y')")
    await client.converges(ctx.db, 'noop', { columns: ['id', 'v'] })
    expect(entries(client).map(brief)).toEqual([['insert', '"public"."noop"/"2"', { id: '2', v: 'x' }]])
  })

  test('#108 #144 columns=: only those, a later column does not matter', async () => {
    await sql("create table several (id int primary key, a text, b text, c text); insert into several values (1, 'a', 'b', 'c')")
    const client = ctx.client({ table: 'several', columns: 'id,b' })
    await client.converges(ctx.db, 'several', { columns: ['id', 'b'] })
    await sql("alter table several add column d text default 'd'")
    await sql("insert into several values (2, 'a2', 'b2', 'c2', 'd2'); update several set b = 'B' where id = 1")
    await client.converges(ctx.db, 'several', { columns: ['id', 'b'] })
    expect(client.handles).toHaveLength(1)
  })

  test('#134 a large value that an update leaves alone', async () => {
    await sql("create table toasted (id int primary key, big text, n int); alter table toasted alter big set storage external")
    await sql("insert into toasted select 1, repeat('x', 100000), 0")
    const client = ctx.client({ table: 'toasted' })
    const full = ctx.client({ table: 'toasted', replica: 'full' })
    await client.converges(ctx.db, 'toasted')
    await full.converges(ctx.db, 'toasted')
    await sql('update toasted set n = 1')
    await sql('update toasted set id = 2')
    await client.converges(ctx.db, 'toasted')
    await full.converges(ctx.db, 'toasted')
    const update = (c) => c.log.find((m) => m.headers.operation === 'update')
    expect(update(client).value).toEqual({ id: '1', n: '1' })
    expect(update(full).value.big).toHaveLength(100000)
  })
})

describe('keys', () => {
  test('#123 #124 a key that changes is a delete and an insert', async () => {
    await sql("create table rekey (id int primary key, v text); insert into rekey values (1, 'x')")
    const client = await follower({ table: 'rekey' })
    await sql('update rekey set id = 2')
    await client.converges(ctx.db, 'rekey')
    const [gone, come] = entries(client)
    expect(brief(gone)).toEqual(['delete', '"public"."rekey"/"1"', { id: '1' }])
    expect(brief(come)).toEqual(['insert', '"public"."rekey"/"2"', { id: '2', v: 'x' }])
    expect(gone.headers).toMatchObject({ key_change_to: '"public"."rekey"/"2"', op_position: 0 })
    expect(come.headers).toMatchObject({ key_change_from: '"public"."rekey"/"1"', op_position: 1, last: true })
    expect(gone.headers).not.toHaveProperty('last')
  })

  test('keys rotate within one transaction', async () => {
    await sql('create table rotate (id int primary key deferrable initially deferred, v int); insert into rotate select n, n from generate_series(1, 10) n')
    const client = await follower({ table: 'rotate' })
    client.strict = false // while the rows pass through each other's keys
    await sql('update rotate set id = id % 10 + 1')
    await sql('insert into rotate values (99, 99)')
    await client.until((c) => c.rows.has('"public"."rotate"/"99"'))
    expect(entries(client)).toHaveLength(21)
  })

  test('#105 #106 composite keys, in the order of the index', async () => {
    await sql('create table composite (a int, b text, c uuid, v text, primary key (c, a, b))')
    const client = await follower({ table: 'composite' })
    const uuid = '00000000-0000-0000-0000-00000000000a'
    await sql(`insert into composite values (1, 'x/y', '${uuid}', 'v'), (2, '', '${uuid}', 'w')`)
    await sql("update composite set v = 'V' where a = 1")
    await sql("update composite set b = 'z' where a = 2")
    await client.converges(ctx.db, 'composite')
    expect(entries(client)[0].key).toBe(`"public"."composite"/"${uuid}"/"1"/"x//y"`)
    expect(entries(client)[1].key).toBe(`"public"."composite"/"${uuid}"/"2"/""`)
    expect(entries(client)[2].value).toEqual({ a: '1', b: 'x/y', c: uuid, v: 'V' })
    expect(entries(client).at(-1).key).toBe(`"public"."composite"/"${uuid}"/"2"/"z"`)
  })

  test('a key of booleans has one form for life', async () => {
    await sql('create table flags (on_ boolean, addr inet, v int, primary key (on_, addr))')
    await sql("insert into flags values (true, '10.0.0.1', 1)")
    const client = ctx.client({ table: 'flags' })
    await client.converges(ctx.db, 'flags')
    await sql("update flags set v = 2; insert into flags values (false, '::1', 3)")
    await client.converges(ctx.db, 'flags')
    expect([...client.rows.keys()].sort()).toEqual(['"public"."flags"/"false"/"::1//128"', '"public"."flags"/"true"/"10.0.0.1//32"'])
  })

  test('#107 a table without a key: all columns are the key', async () => {
    await sql("create table keyless (a int, b text); insert into keyless values (1, 'x'), (2, null), (null, '')")
    const client = ctx.client({ table: 'keyless' })
    await client.converges(ctx.db, 'keyless')
    expect([...client.rows.keys()].sort()).toEqual(['"public"."keyless"/"1"/"x"', '"public"."keyless"/"2"/_', '"public"."keyless"/_/""'].sort())
    client.log.length = 0
    await sql("update keyless set b = 'y' where a = 1; delete from keyless where a = 2; insert into keyless values (3, 'z')")
    await client.converges(ctx.db, 'keyless')
    expect(entries(client).map((m) => m.headers.operation)).toEqual(['delete', 'insert', 'delete', 'insert'])
  })

  test('columns= must name the key', async () => {
    const answer = await ctx.stack.shape({ table: 'composite', columns: 'a,v', offset: '-1' })
    expect(answer.status).toBe(400)
    expect(answer.json.errors.columns).toEqual(['The list of columns must include all primary key columns, missing: c, b'])
  })
})

describe('through a where', () => {
  const heads = ['key_change_to', 'key_change_from']

  test('#125 #126 out of it: a delete; into it: an insert of the whole row', async () => {
    await sql("create table doors (id int primary key, n int, v text); insert into doors values (1, 1, 'in'), (2, 2, 'out')")
    const [left, entered] = await entriesOf(ctx.stack, { table: 'doors', where: 'n = 1' }, 2, async () => {
      await sql('update doors set n = 2 where id = 1')
      await sql('update doors set n = 1 where id = 2')
    })
    expect(brief(left)).toEqual(['delete', '"public"."doors"/"1"', { id: '1' }])
    expect(brief(entered)).toEqual(['insert', '"public"."doors"/"2"', { id: '2', n: '1', v: 'out' }])
    for (const name of heads) for (const entry of [left, entered]) expect(entry.headers).not.toHaveProperty(name)
  })

  test('#126 the same with replica=full', async () => {
    await sql("create table full_doors (id int primary key, n int, v text); insert into full_doors values (1, 1, 'in'), (2, 2, 'out')")
    const [left, entered] = await entriesOf(ctx.stack, { table: 'full_doors', where: 'n = 1', replica: 'full' }, 2, async () => {
      await sql('update full_doors set n = 2 where id = 1')
      await sql('update full_doors set n = 1 where id = 2')
    })
    expect(brief(left)).toEqual(['delete', '"public"."full_doors"/"1"', { id: '1', n: '1', v: 'in' }])
    expect(brief(entered)).toEqual(['insert', '"public"."full_doors"/"2"', { id: '2', n: '1', v: 'out' }])
    for (const entry of [left, entered]) expect(entry).not.toHaveProperty('old_value')
  })

  test('#127 out of it, with another key: a delete of the old one', async () => {
    await sql("create table exits (id int primary key, n int); insert into exits values (1, 1)")
    const entries = await entriesOf(ctx.stack, { table: 'exits', where: 'n = 1' }, 2, async () => {
      await sql('update exits set id = 9, n = 2')
      await sql('insert into exits values (10, 1)') // nothing else came of it
    })
    expect(entries.map(brief)).toEqual([['delete', '"public"."exits"/"1"', { id: '1' }], ['insert', '"public"."exits"/"10"', { id: '10', n: '1' }]])
    for (const name of heads) expect(entries[0].headers).not.toHaveProperty(name)
    expect(entries[0].headers).toMatchObject({ op_position: 0, last: true })
  })
})

describe('names', () => {
  test('#40 #59 quoted tables and columns', async () => {
    await sql('create table "Mixed Case" ("Id" int primary key, "a b" text, "sel,ect" text, "ü" text)')
    const client = await follower({ table: '"Mixed Case"', columns: '"Id","a b","sel,ect","ü"' })
    await sql(`insert into "Mixed Case" values (1, 'x', 'y', 'z'); update "Mixed Case" set "a b" = 'X'`)
    await client.converges(ctx.db, '"Mixed Case"')
    expect(entries(client)[0].key).toBe('"public"."Mixed Case"/"1"')
  })

  test('names that need every escape', async () => {
    await sql(`create schema "s.""1"""; create table "s.""1"""."t/""x"".y" (id int primary key, "q""c" text)`)
    await sql(`insert into "s.""1"""."t/""x"".y" values (1, 'snapshot')`)
    const client = ctx.client({ table: '"s.""1"""."t/""x"".y"' })
    await client.upToDate()
    await sql(`insert into "s.""1"""."t/""x"".y" values (2, 'log'); update "s.""1"""."t/""x"".y" set "q""c" = 'changed'`)
    await client.converges(ctx.db, '"s.""1"""."t/""x"".y"')
    expect(entries(client)[0].headers.relation).toEqual(['s."1"', 't/"x".y'])
  })

  test('#109 the same name in two schemas', async () => {
    await sql("create schema other; create table public.twin (id int primary key, v text); create table other.twin (id int primary key, v text)")
    const here = await follower({ table: 'twin' })
    const there = await follower({ table: 'other.twin' })
    await sql("insert into twin values (1, 'here'); insert into other.twin values (1, 'there')")
    await here.converges(ctx.db, 'public.twin')
    await there.converges(ctx.db, 'other.twin')
    expect(entries(there)[0]).toMatchObject({ key: '"other"."twin"/"1"', headers: { relation: ['other', 'twin'] } })
  })
})

describe('transactions', () => {
  test('over several tables', async () => {
    await sql('create table left_ (id int primary key, v int); create table right_ (id int primary key, v int)')
    const clients = [await follower({ table: 'left_' }), await follower({ table: 'right_' })]
    for (let i = 0; i < 50; i++) {
      await sql(`insert into left_ values (${i}, 0); insert into right_ values (${i}, 0); update left_ set v = v + 1 where id <= ${i}; delete from right_ where id = ${i - 5}`)
    }
    await clients[0].converges(ctx.db, 'left_')
    await clients[1].converges(ctx.db, 'right_')
    const lsns = (c) => new Set(entries(c).map((m) => m.headers.lsn))
    expect(lsns(clients[0])).toEqual(lsns(clients[1]))
  })

  test('savepoints that are rolled back leave nothing', async () => {
    await sql('create table saved (id int primary key)')
    const client = await follower({ table: 'saved' })
    await sql('begin; insert into saved values (1); savepoint s; insert into saved values (2); rollback to s; insert into saved values (3); commit')
    await sql('begin; insert into saved values (4); rollback')
    await sql('insert into saved values (5)')
    await client.converges(ctx.db, 'saved')
    expect(entries(client).map((m) => m.value.id)).toEqual(['1', '3', '5'])
  })

  test('a transaction of many batches appears at once', async () => {
    await sql('create table huge (id int primary key, v text)')
    const client = await follower({ table: 'huge' })
    const seen = new Set()
    client.stream.subscribe(() => seen.add(client.rows.size))
    await sql("insert into huge select n, repeat('x', 200) from generate_series(1, 30000) n")
    await client.converges(ctx.db, 'huge', { within: 40000 })
    const last = entries(client).filter((m) => m.headers.last)
    expect(last).toHaveLength(1)
    expect(last[0].value.id).toBe('30000')
    expect(entries(client).at(-1).headers.op_position).toBe(59998)
  })

  test('two thousand small ones, from four sessions', async () => {
    await sql('create table small (id serial primary key, session int, n int)')
    const client = await follower({ table: 'small' })
    await Promise.all([1, 2, 3, 4].map(async (s) => {
      const session = await ctx.db.session()
      for (let n = 0; n < 500; n++) await session.query(`insert into small (session, n) values (${s}, ${n})`)
    }))
    await client.converges(ctx.db, 'small')
    expect(entries(client)).toHaveLength(2000)
    expect(entries(client).every((m) => m.headers.last === true && m.headers.op_position === 0)).toBe(true)
  })
})

describe('a table without columns', () => {
  test('has rows that nobody sees, and stops nothing', async () => {
    await sql('create table bare (); create table beside (id int primary key)')
    expect((await ctx.stack.shape({ table: 'bare', offset: '-1' })).status).toBe(200)
    const changes = await entriesOf(ctx.stack, { table: 'beside' }, 1, () => sql('insert into bare default values; insert into beside values (1)'))
    expect(changes.map((m) => [m.headers.op_position, m.headers.last])).toEqual([[2, true]])
  })
})

describe('truncate', () => {
  test('#137 #179 the shape ends: 409, and the client begins again', async () => {
    await sql('create table emptied (id int primary key); insert into emptied select generate_series(1, 100)')
    const client = ctx.client({ table: 'emptied' })
    await client.converges(ctx.db, 'emptied')
    await sql('truncate emptied; insert into emptied values (7)')
    await client.converges(ctx.db, 'emptied')
    expect(client.refetches).toBe(1)
    expect(client.handles).toHaveLength(2)
  })

  test('several tables with one TRUNCATE, and one that stays', async () => {
    await sql('create table t1 (id int primary key); create table t2 (id int primary key references t1); create table t3 (id int primary key)')
    await sql('insert into t1 values (1); insert into t2 values (1); insert into t3 values (1)')
    const [a, b, c] = ['t1', 't2', 't3'].map((table) => ctx.client({ table }))
    for (const [client, table] of [[a, 't1'], [b, 't2'], [c, 't3']]) await client.converges(ctx.db, table)
    await sql('truncate t1 cascade')
    await sql('insert into t3 values (2)')
    for (const [client, table] of [[a, 't1'], [b, 't2'], [c, 't3']]) await client.converges(ctx.db, table)
    expect([a, b, c].map((client) => client.refetches)).toEqual([1, 1, 0])
  })
})
