// Partitioned tables and partitions as shapes: whatever happens to the tree, a client ends with what SELECT says.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ env: { ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD: '500ms' } })
const sql = (text, values) => ctx.db.sql(text, values)
const entries = (client) => client.log.filter((m) => m.headers?.lsn)

/** name partitioned by n in tens: name_0, name_1 … */
async function partitioned(name, count = 2) {
  await sql(`create table ${name} (id int, n int, v text, primary key (id, n)) partition by range (n)`)
  for (let i = 0; i < count; i++) await sql(`create table ${name}_${i} partition of ${name} for values from (${i * 10}) to (${i * 10 + 10})`)
}

async function following(table, params = {}) {
  const client = ctx.client({ table, ...params })
  await client.upToDate()
  return client
}

/** The partition got its identity: from then on an update of it carries the old row. */
const identified = (table) =>
  until(async () => (await sql('select relreplident i from pg_class where oid = $1::regclass', [table]))[0].i === 'f', {
    what: `${table} has REPLICA IDENTITY FULL`,
  })

describe('a partitioned table', () => {
  test('#135 changes of all partitions, under its own name and keys', async () => {
    await partitioned('plain')
    await sql("insert into plain values (1, 1, 'low'), (2, 11, 'high')")
    const root = await following('plain')
    const low = await following('plain_0')
    await sql("insert into plain values (3, 3, 'c')")
    await sql("insert into plain_1 values (4, 14, 'd')")
    await sql("update plain set v = v || '!'")
    await sql('delete from plain where id = 2')
    await root.converges(ctx.db, 'plain')
    await low.converges(ctx.db, 'plain_0')
    expect([...root.rows.keys()].every((key) => key.startsWith('"public"."plain"/'))).toBe(true)
    expect([...low.rows.keys()].every((key) => key.startsWith('"public"."plain_0"/'))).toBe(true)
    expect(entries(low)).toHaveLength(3)
    expect(root.refetches + low.refetches).toBe(0)
  })

  test('a row moves from one partition to another', async () => {
    await partitioned('moving')
    await sql("insert into moving values (1, 1, 'v')")
    const root = await following('moving')
    const low = await following('moving_0')
    const high = await following('moving_1')
    await sql('update moving set n = 15')
    for (const [client, table] of [[root, 'moving'], [low, 'moving_0'], [high, 'moving_1']]) await client.converges(ctx.db, table)
    expect(entries(root).map((m) => [m.headers.operation, m.key, m.headers.op_position])).toEqual([
      ['delete', '"public"."moving"/"1"/"1"', 0],
      ['insert', '"public"."moving"/"1"/"15"', 2],
    ])
    expect(root.refetches + low.refetches + high.refetches).toBe(0)
  })

  test('columns stand in another order in every partition', async () => {
    await sql('create table ordered (a int, b text, c bool, primary key (a)) partition by list (a)')
    await sql('create table ordered_x (c bool, gone int, b text, a int not null); alter table ordered_x drop column gone')
    await sql('create table ordered_y (b text, a int not null, c bool)')
    await sql("alter table ordered attach partition ordered_x for values in (1, 2, 3); alter table ordered attach partition ordered_y default")
    const root = await following('ordered', { replica: 'full' })
    const narrow = await following('ordered', { columns: 'a,c' })
    const x = await following('ordered_x')
    await sql("begin; insert into ordered values (1, 'one', true), (9, 'nine', null), (2, 'two', false), (8, 'eight', true); commit")
    await sql("update ordered set b = upper(b), c = not c; update ordered set a = 3 where a = 9")
    await root.converges(ctx.db, 'ordered')
    await narrow.converges(ctx.db, 'ordered', { columns: ['a', 'c'] })
    await x.converges(ctx.db, 'ordered_x')
    expect(root.refetches + narrow.refetches + x.refetches).toBe(0)
  })

  test('sub-partitions, and the table between as a shape', async () => {
    await sql(`create table deep (id int, n int, v text, primary key (id, n)) partition by range (n);
      create table deep_mid partition of deep for values from (0) to (100) partition by range (id);
      create table deep_leaf partition of deep_mid for values from (0) to (100);
      create table deep_rest partition of deep default`)
    const clients = {}
    for (const table of ['deep', 'deep_mid', 'deep_leaf', 'deep_rest']) clients[table] = await following(table)
    await sql("insert into deep values (1, 1, 'leaf'), (1, 1000, 'rest')")
    await sql('create table deep_leaf2 partition of deep_mid for values from (100) to (200)')
    await sql("insert into deep values (150, 50, 'new leaf')")
    await identified('deep_leaf2')
    await sql("update deep set v = v || '!'; update deep set n = 2 where n = 1000")
    for (const [table, client] of Object.entries(clients)) {
      await client.converges(ctx.db, table)
      expect(client.refetches, table).toBe(0)
    }
  })
})

describe('partitions come and go', () => {
  test('#136 a new partition is followed without a new shape', async () => {
    await partitioned('growing', 1)
    await sql("insert into growing values (1, 1, 'old')")
    const root = await following('growing')
    for (let i = 1; i <= 3; i++) {
      await sql(`begin; create table growing_${i} partition of growing for values from (${i * 10}) to (${i * 10 + 10});
        insert into growing select g, ${i * 10}, 'in the same transaction' from generate_series(1, 5) g; commit`)
      await sql(`insert into growing values (6, ${i * 10}, 'after it')`)
    }
    await root.converges(ctx.db, 'growing')
    for (let i = 1; i <= 3; i++) await identified(`growing_${i}`)
    await sql("update growing set v = 'changed' where id > 3; delete from growing where id = 2")
    await root.converges(ctx.db, 'growing')
    expect(root.handles).toHaveLength(1)
    expect(root.refetches).toBe(0)
  })

  test('a partition gets its identity before anything is written to it', async () => {
    await partitioned('premade', 1)
    const root = await following('premade')
    await sql('create table premade_1 partition of premade for values from (10) to (20)')
    await identified('premade_1')
    await sql("begin; insert into premade values (1, 11, 'v'); update premade set v = 'w'; delete from premade; insert into premade values (2, 12, 'x'); commit")
    await root.converges(ctx.db, 'premade')
    expect(root.refetches).toBe(0)
  })

  test('an update in a partition that has no identity yet ends the shape, not its correctness', async () => {
    await partitioned('hasty', 1)
    const root = await following('hasty')
    await sql(`begin; create table hasty_1 partition of hasty for values from (10) to (20);
      insert into hasty values (1, 11, 'v'); update hasty set v = 'w'; commit`)
    await root.converges(ctx.db, 'hasty')
    await sql("insert into hasty values (2, 12, 'x'); update hasty set v = 'y'")
    await root.converges(ctx.db, 'hasty')
  })

  test('#136 a table with rows is attached', async () => {
    await partitioned('attaching')
    await sql('create table incoming (v text, n int not null, id int not null)')
    await sql("insert into incoming values ('was there', 21, 1), ('too', 22, 2)")
    const own = await following('incoming')
    const root = await following('attaching')
    await sql('alter table attaching attach partition incoming for values from (20) to (30)')
    await root.converges(ctx.db, 'attaching')
    await sql("update attaching set v = v || '!'; insert into attaching values (3, 23, 'new'), (4, 4, 'other')")
    await root.converges(ctx.db, 'attaching')
    await own.converges(ctx.db, 'incoming')
  })

  test('attached, with rows of the same transaction, and written to at once', async () => {
    await partitioned('at_once')
    const root = await following('at_once')
    await sql(`begin; create table at_once_new (id int not null, n int not null, v text);
      insert into at_once_new values (1, 21, 'before'); alter table at_once attach partition at_once_new for values from (20) to (30);
      insert into at_once values (2, 22, 'after'); commit`)
    await sql("insert into at_once values (3, 23, 'later')")
    await root.converges(ctx.db, 'at_once')
  })

  test('a partition is detached, its shape and its table\'s go on', async () => {
    await partitioned('shrinking')
    await sql("insert into shrinking values (1, 1, 'stays'), (2, 12, 'leaves')")
    const root = await following('shrinking')
    const leaving = await following('shrinking_1')
    await sql('alter table shrinking detach partition shrinking_1')
    await root.converges(ctx.db, 'shrinking')
    await sql("insert into shrinking_1 values (3, 13, 'alone'); insert into shrinking values (4, 4, 'still'); update shrinking_1 set v = v || '!'")
    await root.converges(ctx.db, 'shrinking')
    await leaving.converges(ctx.db, 'shrinking_1')
    await sql('alter table shrinking attach partition shrinking_1 for values from (10) to (20)')
    await root.converges(ctx.db, 'shrinking')
    await leaving.converges(ctx.db, 'shrinking_1')
  })

  test('a partition with rows is dropped', async () => {
    await partitioned('dropping')
    await sql("insert into dropping values (1, 1, 'stays'), (2, 12, 'goes')")
    const root = await following('dropping')
    await sql('drop table dropping_1')
    await root.converges(ctx.db, 'dropping')
  })

  test('a subtree is attached and detached', async () => {
    await partitioned('grafted', 1)
    const root = await following('grafted')
    await sql(`create table branch (v text, id int not null, n int not null) partition by range (id);
      create table branch_leaf partition of branch for values from (0) to (100); insert into branch values ('leaf', 5, 15)`)
    await sql('alter table grafted attach partition branch for values from (10) to (20)')
    await root.converges(ctx.db, 'grafted')
    await sql("insert into grafted values (6, 16, 'six')")
    await root.converges(ctx.db, 'grafted')
    await sql('alter table grafted detach partition branch')
    await root.converges(ctx.db, 'grafted')
  })

  test('ingest is new when a partition comes', async () => {
    await partitioned('restarted', 1)
    const root = await following('restarted')
    await ctx.stack.kill('ingest')
    await sql("create table restarted_1 partition of restarted for values from (10) to (20); insert into restarted values (1, 11, 'while away')")
    await root.converges(ctx.db, 'restarted')
    await identified('restarted_1')
    await sql("update restarted set v = 'back'")
    await root.converges(ctx.db, 'restarted')
    expect(root.refetches).toBe(0)
  })
})

describe('truncate', () => {
  test('#138 of one partition: its shape and those above go, its sister\'s stays', async () => {
    await partitioned('cut')
    await sql("insert into cut values (1, 1, 'a'), (2, 12, 'b')")
    const root = await following('cut')
    const low = await following('cut_0')
    const high = await following('cut_1')
    await sql('truncate cut_1')
    await root.converges(ctx.db, 'cut')
    await high.converges(ctx.db, 'cut_1')
    await sql("insert into cut values (3, 3, 'c'), (4, 14, 'd')")
    for (const [client, table] of [[root, 'cut'], [low, 'cut_0'], [high, 'cut_1']]) await client.converges(ctx.db, table)
    expect([root.refetches, low.refetches, high.refetches]).toEqual([1, 0, 1])
  })

  test('of the root: all go', async () => {
    await partitioned('cut_all')
    await sql("insert into cut_all values (1, 1, 'a'), (2, 12, 'b')")
    const clients = []
    for (const table of ['cut_all', 'cut_all_0', 'cut_all_1']) clients.push([table, await following(table)])
    await sql("begin; insert into cut_all values (3, 3, 'before'); truncate cut_all; insert into cut_all values (4, 4, 'after'); commit")
    for (const [table, client] of clients) {
      await client.converges(ctx.db, table)
      expect(client.refetches, table).toBe(1)
    }
  })
})

describe('inheritance that is not partitioning', () => {
  test('a table has its own rows; those of its children are theirs', async () => {
    await sql('create table parent (id int primary key, v text); create table child (extra int) inherits (parent)')
    await sql("insert into parent values (1, 'own'); insert into child values (2, 'child', 7)")
    const parent = await following('parent')
    const child = await following('child')
    await sql("insert into parent values (3, 'own'); insert into child values (4, 'child', 8); update parent set v = v || '!'")
    await child.converges(ctx.db, 'child')
    await parent.until((c) => [...c.rows.values()].every((row) => row.v.endsWith('!')) && c.rows.size === 2)
    await parent.converges(ctx.db, 'parent', { where: "tableoid = 'parent'::regclass" })
  })
})
