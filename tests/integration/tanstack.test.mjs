// TanStack DB collections on shapes (@tanstack/electric-db-collection), at two edges and two routers: the three sync modes, optimistic
// writes that wait for their transaction, live queries.
import { describe, expect, test } from 'vitest'
import { and, createCollection, createLiveQueryCollection, eq, gt } from '@tanstack/db'
import { electricCollectionOptions } from '@tanstack/electric-db-collection'
import { useStack } from './lib/fixture.mjs'
import { fingerprint } from './lib/oracle.mjs'
import { Proxy } from './lib/proxy.mjs'
import { writer } from './lib/writer.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {}, routers: 2, edges: 2, env: { SLUICE_CHUNK_BYTES: '10000' } })
const sql = (text, values) => ctx.db.sql(text, values)

async function items(name, n = 300) {
  await sql(`create table ${name} (id int primary key, owner int not null, title text not null, done bool not null default false);
    insert into ${name} select i, i % 10, 'item ' || i from generate_series(1, ${n}) i`)
  return name
}

/** Writes as an application's server does: the answer is the transaction's id, as the log will name it. */
async function written(session, text, values) {
  await session.query('begin')
  await session.query(text, values)
  const { rows } = await session.query("select pg_current_xact_id()::xid::text txid")
  await session.query('commit')
  return { txid: Number(rows[0].txid) }
}

let turn = 0
async function collection(table, { syncMode = 'eager', base = ctx.stack.edgeUrl(turn++ % 2), shape = {}, ...options } = {}) {
  const session = await ctx.db.session()
  const rows = (transaction) => transaction.mutations.map((m) => m.modified ?? m.original)
  const c = createCollection(electricCollectionOptions({
    id: `${table}-${turn}`, syncMode, getKey: (row) => row.id,
    shapeOptions: { url: `${base}/v1/shape`, params: { table }, backoffOptions: { initialDelay: 20, maxDelay: 200, multiplier: 1.5 }, onError: () => ({}), ...shape },
    onInsert: ({ transaction }) => written(session, `insert into ${table} select * from json_populate_recordset(null::${table}, $1)`, [JSON.stringify(rows(transaction))]),
    onUpdate: ({ transaction }) => written(session, `update ${table} t set owner = n.owner, title = n.title, done = n.done from json_populate_recordset(null::${table}, $1) n where t.id = n.id`, [JSON.stringify(rows(transaction))]),
    onDelete: ({ transaction }) => written(session, `delete from ${table} where id = any($1)`, [transaction.mutations.map((m) => m.original.id)]),
    ...options,
  }))
  ctx.cleanup(() => c.cleanup())
  return c
}

/** Until the rows are what the query says. TanStack adds properties of its own that begin with `$`. */
async function becomes(c, query, { within } = {}) {
  const wanted = new Set(fingerprint(await sql(query)))
  const now = () => fingerprint(c.toArray.map((row) => Object.fromEntries(Object.entries(row).filter(([k]) => !k.startsWith('$')))))
  await until(() => now().length === wanted.size && now().every((row) => wanted.has(row)), {
    within, what: () => `${now().length} rows are ${wanted.size}; too many: ${now().filter((r) => !wanted.has(r)).slice(0, 3)}, missing: ${[...wanted].filter((r) => !now().includes(r)).slice(0, 3)}`,
  })
}

const changing = (name) => (n) => sql(n % 4 === 0
  ? `delete from ${name} where id = ${(n * 13) % 300}; insert into ${name} values (${(n * 13) % 300}, ${n % 10}, 'again ${n}')`
  : `update ${name} set title = 'u${n}' where id = ${(n * 7) % 300 + 1}; update ${name} set done = not done where id = ${(n * 31) % 300 + 1}`)

for (const liveSse of [false, true]) {
  describe(liveSse ? 'on streams' : 'with polls', () => {
    const shape = { liveSse }
    const named = (name) => items(`${name}_${liveSse}`)

    for (const syncMode of ['eager', 'progressive']) {
      test(`${syncMode}: all of the table, while it is written to`, async () => {
        const name = await named(syncMode)
        const c = await collection(name, { syncMode, shape })
        const work = writer(changing(name))
        await c.preload()
        const open = createLiveQueryCollection((q) => q.from({ i: c }).where(({ i }) => and(eq(i.done, true), gt(i.owner, 4))))
        ctx.cleanup(() => open.cleanup())
        await open.preload()
        await work.moreWritten(30)
        await work.stop()
        await becomes(c, `select * from ${name}`)
        await becomes(open, `select * from ${name} where done and owner > 4`)
      })
    }

    for (const subsetMethod of ['GET', 'POST']) {
      test(`on-demand, subsets by ${subsetMethod}: what queries ask for, while the table is written to`, async () => {
        const name = await named(`demanded_${subsetMethod.toLowerCase()}`)
        const c = await collection(name, { syncMode: 'on-demand', shape: { ...shape, subsetMethod } })
        const work = writer(changing(name))
        const owned = []
        for (let owner = 0; owner < 4; owner++) {
          const query = createLiveQueryCollection((q) => q.from({ i: c }).where(({ i }) => eq(i.owner, owner)))
          ctx.cleanup(() => query.cleanup())
          await query.preload()
          owned.push(query)
        }
        await work.moreWritten(20)
        await work.stop()
        for (const [owner, query] of owned.entries()) await becomes(query, `select * from ${name} where owner = ${owner}`)
        const first = createLiveQueryCollection((q) => q.from({ i: c }).where(({ i }) => eq(i.owner, 7)).orderBy(({ i }) => i.id, 'desc').limit(5))
        ctx.cleanup(() => first.cleanup())
        await first.preload()
        await becomes(first, `select * from ${name} where owner = 7 order by id desc limit 5`)
      })
    }

    test('optimistic writes are seen at once and are there for good when their transaction has come', async () => {
      const name = await named('mutated')
      const c = await collection(name, { shape })
      await c.preload()
      const inserted = c.insert([{ id: 1001, owner: 1, title: 'mine', done: false }, { id: 1002, owner: 2, title: 'too', done: true }])
      expect(c.get(1001).title).toBe('mine')
      await inserted.isPersisted.promise
      const updated = c.update(1001, (draft) => void (draft.title = 'changed'))
      expect(c.get(1001).title).toBe('changed')
      await updated.isPersisted.promise
      const deleted = c.delete([5, 1002])
      expect(c.has(5)).toBe(false)
      await deleted.isPersisted.promise
      await becomes(c, `select * from ${name}`)
      const refused = c.insert({ id: 1001.5, owner: 1, title: 'no integer', done: false })
      expect(c.has(1001.5)).toBe(true)
      await expect(refused.isPersisted.promise).rejects.toThrow(/invalid input syntax/)
      expect(c.has(1001.5)).toBe(false)
    })

    test('awaitTxId: a transaction of somebody else; one that was in the first snapshot', async () => {
      const name = await named('awaited')
      const session = await ctx.db.session()
      const before = await written(session, `update ${name} set title = 'before' where id = 1`)
      const c = await collection(name, { shape })
      await c.preload()
      expect(await c.utils.awaitTxId(before.txid)).toBe(true)
      for (let n = 0; n < 10; n++) {
        const { txid } = await written(session, `update ${name} set title = 'after ${n}' where id in (1, 2, 3)`)
        expect(await c.utils.awaitTxId(txid)).toBe(true)
        expect(c.get(2).title).toBe(`after ${n}`)
      }
    })

    test('kill -9, cut connections, rotation', async () => {
      const name = await named('faulty')
      const proxy = await Proxy.start(ctx.stack.edgeUrl(1))
      ctx.cleanup(() => proxy.close())
      const all = [await collection(name, { shape }), await collection(name, { shape, base: proxy.url }), await collection(name, { shape, syncMode: 'progressive' })]
      for (const c of all) await c.preload()
      const work = writer(changing(name))
      for (const disturb of [() => ctx.stack.kill('edge-0'), () => ctx.stack.kill('router-0'), () => ctx.stack.kill('router-1'), () => ctx.stack.kill('ingest'), () => proxy.cutAll()]) {
        await work.moreWritten(10)
        await disturb()
      }
      await work.moreWritten(10)
      await work.stop()
      for (const c of all) await becomes(c, `select * from ${name}`, { within: 40000 })
      await ctx.stack.ready()
      expect((await ctx.stack.shape({ table: name }, { method: 'DELETE' })).status).toBe(202)
      await sql(`update ${name} set title = 'after' where id < 100; delete from ${name} where id > 250`)
      for (const c of all) await becomes(c, `select * from ${name}`, { within: 40000 })
    })
  })
}
