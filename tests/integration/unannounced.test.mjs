// Schema changes (protocol §7.4): every client hears of them at once, also one that waits, also when nobody writes; shapes of other tables are not disturbed.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin, readShape, request } from './lib/http.mjs'
import { openStream } from './lib/sse.mjs'
import { holdsFor, until, within } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_LONG_POLL_TIMEOUT: '20s' } })
const sql = (text, values) => ctx.db.sql(text, values)
/** What "at once" means: a glance at the catalog each second, and the time it takes. */
const AT_ONCE_MS = 3500

let bystander
beforeAll(async () => {
  await sql("create table bystander (id int primary key, v text); insert into bystander values (1, 'x')")
  bystander = (await readShape(ctx.stack.url, { table: 'bystander' })).at(-1)
})

/** A shape that is up to date, and a client that waits for its next change. */
async function waiting(params) {
  const last = (await readShape(ctx.stack.url, params)).at(-1)
  const live = begin(ctx.stack.url, { query: { ...params, live: 'true', offset: last.offset, handle: last.handle } })
  live.answer.catch(() => {})
  await live.sent
  return { last, live }
}

async function undisturbed() {
  const { offset, handle } = bystander
  const answer = await request(ctx.stack.url, { query: { table: 'bystander', offset, handle } })
  expect([answer.status, answer.handle]).toEqual([200, handle])
}

/** The waiting client is told within AT_ONCE_MS, without any write. */
async function rotates(params, change) {
  const { last, live } = await waiting(params)
  await change()
  const told = await within(live.answer, AT_ONCE_MS, `a client of ${params.table} is told`)
  expect(told.status).toBe(409)
  expect(told.control).toEqual(['must-refetch'])
  await undisturbed()
  return last
}

/** Nothing happens to the shape; the next change reaches the waiting client. */
async function stays(params, change, write) {
  const { last, live } = await waiting(params)
  let early
  live.answer.then((a) => (early = a), () => {})
  await change()
  await holdsFor(2500, () => !early, () => `the client is not disturbed, it got ${early?.status} ${early?.text}`)
  await write()
  const told = await within(live.answer, 5000, 'the next change arrives')
  expect([told.status, told.handle]).toEqual([200, last.handle])
  return told
}

let tables = 0
async function table(columns = 'id int primary key, v text, w int') {
  const name = `t${++tables}`
  await sql(`create table ${name} (${columns}); insert into ${name} (id, w) values (1, 11), (2, 12)`)
  return name
}

describe('a waiting client is told at once', () => {
  const events = {
    'ADD COLUMN, all columns': (t) => `alter table ${t} add column n int`,
    'DROP COLUMN': (t) => `alter table ${t} drop column v`,
    'RENAME COLUMN': (t) => `alter table ${t} rename column v to vv`,
    'a column gets another type': (t) => `alter table ${t} alter column w type bigint`,
    'a column gets another type, without a rewrite': (t) => `alter table ${t} alter column v type varchar`,
    'the primary key goes': (t) => `alter table ${t} drop constraint ${t}_pkey`,
    'another primary key': (t) => `alter table ${t} drop constraint ${t}_pkey, add primary key (w)`,
    'the table is renamed': (t) => `alter table ${t} rename to ${t}_renamed`,
    'the table is dropped': (t) => `drop table ${t}`,
    'the table moves to another schema': (t) => `create schema s_${t}; alter table ${t} set schema s_${t}`,
    'the table is dropped and made again': (t) => `drop table ${t}; create table ${t} (id int primary key, v text, w int); insert into ${t} (id) values (7)`,
    'TRUNCATE': (t) => `truncate ${t}`,
  }
  for (const [name, change] of Object.entries(events)) {
    test(name, async () => {
      const t = await table()
      const last = await rotates({ table: t }, () => sql(change(t)))
      const [{ n }] = await sql('select count(*)::int n from pg_class where relname = $1 and relnamespace = $2::regnamespace', [t, 'public'])
      const again = await request(ctx.stack.url, { query: { table: t, offset: '-1' } })
      if (!n) {
        expect(again.status).toBe(400)
        return
      }
      expect([again.status, again.handle === last.handle]).toEqual([200, false])
      const client = ctx.client({ table: t })
      await client.converges(ctx.db, t)
    })
  }

  test('a table that is taken out of the publication and put back: what it missed is not missing', async () => {
    const t = await table()
    const client = ctx.client({ table: t })
    await client.upToDate()
    const publication = `electric_publication_${ctx.stack.streamId}`
    await rotates({ table: t }, async () => {
      await sql(`alter publication ${publication} drop table ${t}`)
      await sql(`insert into ${t} values (50, 'missed')`)
      await sql(`alter publication ${publication} add table ${t}`)
    })
    await client.converges(ctx.db, t)
    expect(await ctx.stack.metric('router-0', 'gone_unpublished_total')).toBeGreaterThan(0)
  })

  test('the same while the stack is down', async () => {
    const t = await table()
    const { handle } = (await readShape(ctx.stack.url, { table: t })).at(-1)
    const publication = `electric_publication_${ctx.stack.streamId}`
    await ctx.stack.stop()
    await sql(`alter publication ${publication} drop table ${t}`)
    await sql(`insert into ${t} values (50, 'missed')`)
    await sql(`alter publication ${publication} add table ${t}`)
    await ctx.stack.launch()
    await ctx.stack.ready()
    await until(async () => (await request(ctx.stack.url, { query: { table: t, offset: '0_0', handle } })).status === 409, { what: 'the shape is gone' })
    const client = ctx.client({ table: t })
    await client.converges(ctx.db, t)
    await undisturbed()
  })

  test('the publication is altered so that it lacks something, and back: every shape begins again', async () => {
    const t = await table()
    const client = ctx.client({ table: t })
    await client.upToDate()
    const publication = `electric_publication_${ctx.stack.streamId}`
    const { live } = await waiting({ table: t })
    await sql(`alter publication ${publication} set (publish = 'update, delete, truncate')`)
    await sql(`insert into ${t} values (60, 'missed')`)
    await sql(`alter publication ${publication} set (publish = 'insert, update, delete, truncate')`)
    expect((await within(live.answer, AT_ONCE_MS, 'the client is told')).status).toBe(409)
    await client.converges(ctx.db, t)
    bystander = (await readShape(ctx.stack.url, { table: 'bystander' })).at(-1)
  })
})

test('the schema changes of a shape that nobody reads any more: the edge forgets it and lives', async () => {
  const t = await table()
  const at = await request(ctx.stack.url, { query: { table: t, offset: 'now' } })
  expect(at.status).toBe(200)
  const edge = ctx.stack.pid('edge-0')
  await sql(`update ${t} set v = 'x'; alter table ${t} alter column v set not null`)
  await until(async () => (await request(ctx.stack.url, { query: { table: t, offset: 'now' } })).headers['electric-schema']?.includes('"v":{"type":"text","not_null":true}'), {
    within: 10000, what: 'the header knows',
  })
  expect(ctx.stack.pid('edge-0')).toBe(edge)
  ctx.stack.assertSound()
})

test('ADD COLUMN: every client that waits for any shape of the table is told at once, whoever waits for another table is not woken', async () => {
  const [t, other] = [await table(), await table()]
  const shapes = [{}, { where: 'w > 11' }, { where: 'w = 12' }, { replica: 'full' }]
  const gone = () => ctx.stack.metric('router-0', 'gone_changed_total')
  const clients = await Promise.all([...shapes, ...shapes, ...shapes].map((params) => waiting({ table: t, ...params })))
  const streams = await Promise.all(clients.slice(0, shapes.length).map(({ last }, i) =>
    openStream(ctx.stack.url, { table: t, ...shapes[i], offset: last.offset, handle: last.handle })))
  const others = await Promise.all([{}, { where: 'w > 11' }, { columns: 'id,v' }].map((params) => waiting({ table: other, ...params })))
  const otherStream = await openStream(ctx.stack.url, { table: other, offset: others[0].last.offset, handle: others[0].last.handle })
  let woken = 0
  for (const { live } of others) live.answer.then(() => woken++, () => woken++)
  const before = await gone()

  await sql(`alter table ${t} add column n int`)
  for (const { live } of clients) {
    const told = await within(live.answer, AT_ONCE_MS, 'a client is told')
    expect([told.status, told.control]).toEqual([409, ['must-refetch']])
  }
  for (const stream of streams) await until(() => stream.ended, { within: AT_ONCE_MS, what: 'a stream is ended' })
  for (const [i, { last }] of clients.slice(0, shapes.length).entries())
    expect((await request(ctx.stack.url, { query: { table: t, ...shapes[i], offset: last.offset, handle: last.handle } })).status).toBe(409)
  expect(await gone() - before, 'the shapes of the table, and no others').toBe(shapes.length)

  await holdsFor(2500, () => woken === 0 && !otherStream.ended, 'nobody who waits for another table is woken')
  await sql(`insert into ${other} values (3, 'three', 13)`)
  for (const { last, live } of others) {
    const told = await within(live.answer, 5000, 'the next change arrives')
    expect([told.status, told.handle, told.changes.map((m) => m.value.id)]).toEqual([200, last.handle, ['3']])
  }
  await until(() => otherStream.changes.length === 1, { what: 'and on the stream' })
  otherStream.close()
})

describe('explicit columns and clauses', () => {
  test('ADD COLUMN: the shape stays', async () => {
    const t = await table()
    await stays({ table: t, columns: 'id,v' }, () => sql(`alter table ${t} add column n int`), () => sql(`insert into ${t} values (9, 'nine', 19, 2)`))
  })

  test('a column that is not selected is dropped, renamed or altered: the shape stays', async () => {
    for (const change of ['drop column w', 'rename column w to ww', 'alter column w type bigint']) {
      const t = await table()
      await stays({ table: t, columns: 'id,v' }, () => sql(`alter table ${t} ${change}`), () => sql(`insert into ${t} (id, v) values (9, 'nine')`))
    }
  })

  test('a column that is selected is dropped: 409, and 400 from then on', async () => {
    const t = await table()
    await rotates({ table: t, columns: 'id,w' }, () => sql(`alter table ${t} drop column w`))
    expect((await request(ctx.stack.url, { query: { table: t, columns: 'id,w', offset: '-1' } })).status).toBe(400)
  })

  test('the column of a clause is altered: 409', async () => {
    const t = await table()
    await rotates({ table: t, columns: 'id', where: 'w > 1' }, () => sql(`alter table ${t} alter column w type bigint`))
  })

  test('what is no change of the schema: constraints, indexes, comments, statistics', async () => {
    const t = await table()
    await stays(
      { table: t },
      async () => {
        await sql(`create index on ${t} (v); alter table ${t} add constraint pos check (id > 0); comment on table ${t} is 'x'; alter table ${t} alter column v set default 'd'`)
        await sql(`analyze ${t}`)
        await sql(`vacuum ${t}`)
      },
      () => sql(`insert into ${t} values (9, 'nine', 1)`),
    )
  })
})

describe('REPLICA IDENTITY', () => {
  const identity = async (t) => (await sql('select relreplident r from pg_class where oid = $1::regclass', [t]))[0].r

  for (const other of ['default', 'nothing']) {
    test(`changed to ${other}: restored, and nothing is lost`, async () => {
      const t = await table()
      const client = ctx.client({ table: t })
      await client.upToDate()
      await sql(`alter table ${t} replica identity ${other}`)
      await sql(`update ${t} set v = 'changed' where id = 1`).catch((error) => expect(String(error)).toMatch(/replica identity/))
      await sql(`insert into ${t} values (10, 'ten', 1)`)
      await until(async () => (await identity(t)) === 'f', { what: 'the identity is full again' })
      await sql(`update ${t} set v = 'again' where id = 2; delete from ${t} where id = 1`)
      await client.converges(ctx.db, t)
      await undisturbed()
    })
  }

  /** The stream has the key and nothing else of the row: as far as it goes, v is NULL. */
  for (const [what, change] of [['deleted', 'delete from %t where id = 1'], ['given another key', 'update %t set id = 3 where id = 1']])
    test(`a row that was never in the shape is ${what} in the transaction that changes it: nobody is told of the row`, async () => {
      const t = await table()
      await sql(`update ${t} set v = 'not null' where id = 1`)
      await rotates({ table: t, where: 'v IS NULL' }, () => sql(`alter table ${t} replica identity default; ${change.replace('%t', t)}`))
      const client = ctx.client({ table: t, where: 'v IS NULL' })
      await client.converges(ctx.db, t, { where: 'v IS NULL' })
    })

  test('without a write it is restored within seconds, and no shape is disturbed', async () => {
    const t = await table()
    await stays({ table: t }, async () => {
      await sql(`alter table ${t} replica identity default`)
      await until(async () => (await identity(t)) === 'f', { within: 8000, what: 'the identity is full again' })
    }, () => sql(`update ${t} set v = 'x' where id = 1`))
  })
})

describe('row-level security', () => {
  const user = `plain_${process.pid}_${Date.now().toString(36)}`
  const own = useStack({ env: { SLUICE_LONG_POLL_TIMEOUT: '20s' } })

  test('that does not apply to our role: nothing happens; that applies: a clear refusal instead of a part of the rows', async () => {
    // the role owns its tables: policies apply to it only when they are forced
    await own.db.sql(`create role ${user} login replication password 'plain'; grant all on database ${own.db.name} to ${user}; grant all on schema public to ${user};
      create table mine (id int primary key, v text); insert into mine values (1, 'a'), (2, 'b'); alter table mine owner to ${user};
      alter publication electric_publication_${own.stack.streamId} owner to ${user}`)
    const url = own.db.url.replace(/\/\/[^@]*@/, `//${user}:plain@`)
    await own.stack.stop()
    own.stack.databaseUrl = url
    await own.stack.launch()
    await own.stack.ready()
    const last = (await readShape(own.stack.url, { table: 'mine' })).at(-1)
    await own.db.sql('alter table mine enable row level security; create policy one on mine using (id = 1)')
    await holdsFor(2500, async () => (await request(own.stack.url, { query: { table: 'mine', offset: last.offset, handle: last.handle } })).status === 200, 'the shape stays')
    const live = begin(own.stack.url, { query: { table: 'mine', live: 'true', offset: last.offset, handle: last.handle } })
    await live.sent
    await own.db.sql('alter table mine force row level security')
    expect((await within(live.answer, AT_ONCE_MS, 'the client is told')).status).toBe(409)
    const refused = await request(own.stack.url, { query: { table: 'mine', offset: '-1' } })
    expect([refused.status, refused.json.message]).toEqual([503, expect.stringMatching(/row-level security policy/)])
    await own.db.sql('alter table mine no force row level security')
    const client = own.client({ table: 'mine' })
    await client.converges(own.db, 'mine')
    expect(await own.stack.metric('router-0', 'gone_hidden_total')).toBe(1)
    await own.stack.stop()
    await own.db.sql(`alter publication electric_publication_${own.stack.streamId} owner to postgres; drop owned by ${user}; drop role ${user}`)
  })
})

test('a publication with a row filter or a column list is refused, not served in part', async () => {
  const t = await table()
  await sql(`alter publication electric_publication_${ctx.stack.streamId} add table ${t} where (id > 1)`)
  const refused = await request(ctx.stack.url, { query: { table: t, offset: '-1' } })
  expect([refused.status, refused.json.message]).toEqual([503, expect.stringMatching(/row filter or a column list/)])
  await sql(`alter publication electric_publication_${ctx.stack.streamId} drop table ${t}`)
  const client = ctx.client({ table: t })
  await client.converges(ctx.db, t)
})
