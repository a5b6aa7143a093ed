// I2: every committed change is in exactly one of snapshot and log. Both races, forced.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin } from './lib/http.mjs'
import { deadlineMs, holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {} })
const sql = (text) => ctx.db.sql(text)

/** How long a shape may be kept from answering without anything being wrong. */
const A_WHILE = 1000

describe('I2(a): in the stream, but not yet visible to a snapshot', () => {
  const hangs = async ({ processID }) => (await sql(`select 1 from pg_stat_activity where pid = ${processID} and wait_event = 'SyncRep'`)).length > 0

  /** The setting takes effect some time after the reload: tries commits of nothing until one hangs, and lets that one go. */
  async function commitsHang() {
    const probe = await ctx.db.session()
    await probe.query('set synchronous_commit = on')
    await until(async () => {
      let committed = false
      const commit = probe.query("select pg_logical_emit_message(true, '', '')").then(() => (committed = true))
      await until(async () => committed || (await hangs(probe)), { what: 'a commit ends or hangs' })
      if (committed) return false
      await sql(`select pg_cancel_backend(${probe.processID})`)
      await commit
      return true
    }, { what: 'commits wait for the standby' })
    await probe.end()
  }

  /** A commit that has reached the WAL, and so the stream, but hangs before it becomes visible: a standby that does not exist has to confirm it. */
  async function hangingCommit(statements) {
    const session = await ctx.db.session()
    await session.query('set synchronous_commit = on')
    await ctx.postgres.query("alter system set synchronous_standby_names = 'nobody'")
    await ctx.postgres.query('select pg_reload_conf()')
    await commitsHang()
    const commit = session.query(`begin; ${statements}; commit`)
    await until(() => hangs(session), { what: 'the commit hangs' })
    return async () => {
      await ctx.postgres.query('alter system reset synchronous_standby_names')
      await ctx.postgres.query('select pg_reload_conf()')
      await commit
    }
  }

  async function prepared(name) {
    await sql(`alter database ${ctx.db.name} set synchronous_commit = local`) // nobody else shall hang
    await ctx.db.close()
    await sql(`create table ${name} (id int primary key, v text); insert into ${name} values (1, 'one'), (2, 'two'), (3, 'three')`)
    const watcher = ctx.client({ table: name, columns: 'id,v' })
    await watcher.upToDate()
    await ctx.stack.kill('ingest') // sessions from before the setting are gone
    await ctx.stack.kill('router-0')
    await ctx.stack.ready()
    await sql(`insert into ${name} values (4, 'four')`)
    await watcher.converges(ctx.db, name)
    return watcher
  }

  for (const [title, statements, routed] of [
    ['an insert', "insert into NAME values (10, 'late')", (c) => c.rows.size === 5],
    ['an update', "update NAME set v = 'LATE' where id = 1", (c) => [...c.rows.values()].some((r) => r.v === 'LATE')],
    ['a delete', 'delete from NAME where id = 2', (c) => c.rows.size === 3],
    ['all of it', "insert into NAME values (10, 'late'); update NAME set v = 'LATE' where id = 10; delete from NAME where id = 2; update NAME set id = 30 where id = 3",
      (c) => [...c.rows.values()].some((r) => r.id === '30')],
  ]) {
    test(title, async () => {
      const name = `unseen_${title.replaceAll(' ', '_')}`
      const watcher = await prepared(name)
      const release = await hangingCommit(statements.replaceAll('NAME', name))
      let late
      try {
        await watcher.until(routed, { what: 'the change has been routed though nobody can see it yet' })
        expect((await sql(`select count(*)::int n from ${name}`))[0].n).toBe(4)
        late = [ctx.client({ table: name }), ctx.client({ table: name, replica: 'full' })]
        // Time for a snapshot without the row, which would be wrong. Either it waits, or its log brings the row.
        await Promise.race([late[0].upToDate(), holdsFor(A_WHILE, () => true)])
      } finally {
        await release()
      }
      for (const client of [...late, watcher]) await client.converges(ctx.db, name)
    })
  }
})

describe('I2(b): written before the table was published, committed after', () => {
  for (const identity of ['default', 'full']) {
    test(`replica identity ${identity}`, async () => {
      const name = `unpublished_${identity}`
      await sql(`create table ${name} (id int primary key, v text); alter table ${name} replica identity ${identity}; insert into ${name} values (1, 'seen')`)
      const old = await ctx.db.session()
      await old.query(`begin; insert into ${name} values (2, 'early'); update ${name} set v = 'changed' where id = 1`)
      const client = ctx.client({ table: name })
      const request = begin(ctx.stack.url, { query: { table: name, offset: '-1' } })
      const young = await ctx.db.session()
      let answered = false
      request.answer.then(() => (answered = true))
      await Promise.race([until(() => answered), holdsFor(A_WHILE, () => true)])
      // Others write meanwhile, unless they are queued behind a lock on the table.
      await young.query("set lock_timeout = '200ms'")
      await young.query(`insert into ${name} values (3, 'meanwhile')`).catch((e) => expect(e.code).toBe('55P03'))
      await old.query(`insert into ${name} values (4, 'later'); delete from ${name} where id = 1; commit`)
      await client.converges(ctx.db, name, { within: 30000 })
      await sql(`insert into ${name} values (5, 'after')`)
      await client.converges(ctx.db, name)
    })
  }

  test('#139 many transactions, overlapping, while many tables get their first shape', async () => {
    const tables = Array.from({ length: 8 }, (_, i) => `straddled_${i}`)
    for (const t of tables) await sql(`create table ${t} (id serial primary key, who int, n int); alter table ${t} replica identity full`)
    let go = true
    const writers = Array.from({ length: 4 }, async (_, who) => {
      const session = await ctx.db.session()
      for (let n = 0; go; n++) {
        await session.query('begin')
        for (const t of tables) {
          await session.query(`insert into ${t} (who, n) values (${who}, ${n})`)
          await session.query(`update ${t} set n = n + 1 where id = (select max(id) from ${t} where who = ${who})`)
        }
        await session.query(n % 7 === 6 ? 'rollback' : 'commit')
      }
    })
    const clients = []
    for (const t of tables) {
      clients.push(ctx.client({ table: t }), ctx.client({ table: t, replica: 'full' }))
      await clients.at(-2).until((c) => c.stream.isUpToDate, { what: 'a shape is made', within: 30000 })
    }
    go = false
    await Promise.all(writers)
    for (const [i, client] of clients.entries()) await client.converges(ctx.db, tables[i >> 1])
  }, deadlineMs(120000))

  test('a transaction that stays open elsewhere keeps no shape waiting', async () => {
    await sql('create table bystander (id int primary key); create table asked_for (id int primary key); insert into asked_for values (1)')
    const open = await ctx.db.session()
    await open.query('begin; insert into bystander values (1)')
    const client = ctx.client({ table: 'asked_for' })
    await client.converges(ctx.db, 'asked_for', { within: 10000 })
    await open.query('commit')
  })
})
