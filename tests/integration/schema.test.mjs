// Tables that change under their shapes (protocol §7.4): which shapes go, which stay, whether the stream says so with the next write
// or the reconciler sees it without one.
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin } from './lib/http.mjs'
import { endOf, entriesAfter } from './lib/log.mjs'
import { until } from './lib/wait.mjs'

const ALL = {}
const SOME = { columns: 'id,v' }

/** What is done to `t (id int primary key, v int not null, w text)`, and what becomes of shapes of all columns and of id and v. */
const CASES = [
  ['#143 #144 a column is added', 'alter table T add column x text', { goes: [ALL], stays: [SOME] }],
  ['another column is dropped', 'alter table T drop column w', { goes: [ALL], stays: [SOME] }],
  ['another column is renamed', 'alter table T rename column w to ww', { goes: [ALL], stays: [SOME] }],
  ['a type changes', 'alter table T alter column v type bigint', { goes: [ALL, SOME], stays: [] }],
  ['the table is renamed and another takes its name', 'alter table T rename to T_old; create table T (like T_old including all)', { goes: [ALL, SOME], stays: [] }],
  ['#141 the table is dropped and made again', 'drop table T; create table T (id int primary key, v int not null, w text)', { goes: [ALL, SOME], stays: [] }],
]

const WAYS = [
  ['the stream says so', { SLUICE_SCHEMA_PERIOD: '60m', SLUICE_SCHEMA_GLANCE: '60m' }, true],
  ['the reconciler sees it', { ELECTRIC_TWEAKS_SCHEMA_RECONCILER_PERIOD: '200ms' }, false],
]

/** A client that goes on from `at` is sent away, or told that its request is none any more. */
const sentAway = (stack, at) =>
  until(async () => {
    const answer = await stack.shape(at)
    expect([200, 409]).toContain(answer.status)
    return answer.status === 409 && answer
  }, { what: () => `a request for ${JSON.stringify(at)} gets 409` })

for (const [way, env, writes] of WAYS) {
  describe(way, () => {
    const ctx = useStack({ env })
    const sql = (text) => ctx.db.sql(text)
    const rows = new Map()
    /** One more row: what tells the stream about the table's new form. */
    const write = (table) => {
      const id = (rows.get(table) ?? 100) + 1
      rows.set(table, id)
      return sql(`insert into ${table} (id, v) values (${id}, 1)`)
    }
    async function made(table, ...queries) {
      await sql(`create table ${table} (id int primary key, v int not null, w text); insert into ${table} values (1, 1, 'one')`)
      return Promise.all(queries.map((query) => endOf(ctx.stack, { table, ...query })))
    }

    // A table under another oid says nothing of the old one: the stream cannot tell.
    const cases = CASES.filter(([, ddl]) => !writes || !/create table/.test(ddl))
    test.each(cases)('%s', async (title, ddl, { goes, stays }) => {
      const table = `t${CASES.findIndex((c) => c[0] === title)}`
      const before = await made(table, ...goes, ...stays)
      const [lost, kept] = [before.slice(0, goes.length), before.slice(goes.length)]
      const polls = lost.map((at) => begin(ctx.stack.url, { query: { ...at, live: 'true' } }))
      await until(async () => (await ctx.stack.metric('edge-0', 'parked_requests')) >= polls.length, { what: 'the polls are parked' })
      await sql(ddl.replaceAll('T', table))
      if (writes) await write(table)
      for (const at of lost) await sentAway(ctx.stack, at)
      for (const poll of polls) expect((await poll.answer).status, 'who waited was told, or had waited long enough').toBeOneOf([200, 409])
      for (const at of lost) {
        const { status, handle, changes } = await ctx.stack.shape({ ...at, offset: '-1', handle: undefined })
        expect([status, handle === at.handle]).toEqual([200, false])
        expect(changes).toHaveLength(Number((await sql(`select count(*) n from ${table}`))[0].n))
      }
      if (!writes && kept.length) await write(table)
      for (const at of kept) {
        const [entry] = await entriesAfter(ctx.stack, at, 1)
        expect([entry.headers.operation, Object.keys(entry.value)]).toEqual(['insert', ['id', 'v']])
        expect((await endOf(ctx.stack, { table, ...SOME })).handle).toBe(at.handle)
      }
    })

    test('#140 a column may be NULL from now on: the header says so, the shape stays', async () => {
      const table = 'nullable'
      const [at] = await made(table, ALL)
      const schema = async () => JSON.parse((await ctx.stack.shape(at)).headers['electric-schema'])
      expect((await schema()).v).toEqual({ type: 'int4', not_null: true })
      await sql(`alter table ${table} alter column v drop not null`)
      if (writes) await write(table)
      await until(async () => !('not_null' in (await schema()).v), { what: 'the header knows' })
      expect((await schema())).toEqual({ id: { type: 'int4', pk_index: 0, not_null: true }, v: { type: 'int4' }, w: { type: 'text' } })
      expect((await ctx.stack.shape({ table, offset: '-1' })).handle).toBe(at.handle)
    })

    if (writes) return

    test('#142 the table is dropped: never a 500, and 400 in the end', async () => {
      const table = 'dropped'
      const [at] = await made(table, ALL)
      const poll = begin(ctx.stack.url, { query: { ...at, live: 'true' } })
      await sql(`drop table ${table}`)
      const gone = { table: [`Table "public"."${table}" does not exist. If the table name contains capitals or special characters you must quote it.`] }
      for (const query of [at, { ...at, live: 'true' }, { table, offset: '-1' }, { table, offset: 'now' }]) {
        const answer = await until(async () => {
          const a = await ctx.stack.shape(query)
          expect([200, 400, 409]).toContain(a.status)
          return a.status === 400 && a
        }, { what: `a request for ${JSON.stringify(query)} gets 400` })
        expect(answer.json).toEqual({ message: 'Invalid request', errors: gone })
      }
      expect([200, 400, 409]).toContain((await poll.answer).status)
    })

    test('a selected column is renamed: its shape is no request any more', async () => {
      const table = 'renamed'
      const [all, some] = await made(table, ALL, SOME)
      await sql(`alter table ${table} rename column v to vv`)
      await sentAway(ctx.stack, all)
      const answer = await until(async () => {
        const a = await ctx.stack.shape(some)
        expect([200, 400]).toContain(a.status)
        return a.status === 400 && a
      }, { what: 'the column is not found' })
      expect(answer.json.errors).toEqual({ columns: ['The following columns are not found on the table: v'] })
    })

    test('the key changes', async () => {
      const table = 'rekeyed'
      const [at] = await made(table, ALL)
      await sql(`alter table ${table} drop constraint ${table}_pkey, add primary key (v, id)`)
      await sentAway(ctx.stack, at)
      const answer = await ctx.stack.shape({ table, offset: '-1' })
      expect(answer.changes[0].key).toBe(`"public"."${table}"/"1"/"1"`)
      expect(JSON.parse(answer.headers['electric-schema']).v.pk_index).toBe(0)
    })
  })
}
