// kill -9 at every durable step (common/fault/points.def), one after the other: who reads goes on under the same handle, and what is
// new at that moment comes right, too.
import { mkdtempSync, readFileSync, rmSync, existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { request } from './lib/http.mjs'
import { REPOSITORY } from './lib/stack.mjs'
import { until } from './lib/wait.mjs'

const orders = mkdtempSync('/tmp/sluice-faults-')
afterAll(() => rmSync(orders, { recursive: true, force: true }))

const POINTS = [...readFileSync(join(REPOSITORY, 'common/fault/points.def'), 'utf8').matchAll(/^POINT\(\w+,\s*"([\w.]+)"/gm)].map((m) => m[1])

/** Steps that are only taken by a process that starts, and what else has to be gone before they are. */
const AT_START = {
  'ingest.publication': 'ingest', 'ingest.slot': 'ingest', 'ingest.term': 'ingest', 'router.open': 'router-0', 'router.loaded': 'router-0',
}

const ctx = useStack({ ownPostgres: {}, env: { SLUICE_FAULT_DIR: orders, SLUICE_CHUNK_BYTES: '2000' } })
const sql = (text) => ctx.db.sql(text)

/** Everything that a service stores something for: a table's first shape, its snapshot, its log over the ends of chunks, its deletion. */
async function everything(name, n) {
  const table = `${name}_${n}`
  await sql(`create table ${table} (id int primary key, v text); insert into ${table} select i, repeat('s', 50) from generate_series(1, 100) i`)
  const client = ctx.client({ table })
  await sql(`insert into ${name} select ${n} * 100 + i, repeat('v', 50) from generate_series(1, 60) i`)
  await client.until((c) => c.rows.size >= 100, { what: 'a new shape is read', within: 30000 })
  await sql(`update ${table} set v = repeat('u', 60)`)
  await client.converges(ctx.db, table, { within: 30000 })
  client.close()
  const remove = () => request(ctx.stack.url, { method: 'DELETE', query: { table } }).catch(() => ({}))
  await until(async () => [202, 404].includes((await remove()).status), { what: 'a shape is deleted' })
  await sql(`drop table ${table}`)
}

/** Makes the service begin anew as if for the first time where the point wants that. */
async function begin(point) {
  await ctx.stack.kill(AT_START[point])
}

test('there are points, and every service that stores something has some', () => {
  expect(POINTS.length).toBeGreaterThan(20)
  for (const service of ['ingest', 'router']) expect(POINTS.some((p) => p.startsWith(service))).toBe(true)
})

for (const point of POINTS) {
  test(`kill -9 at ${point}`, async () => {
    const name = `at_${point.replaceAll('.', '_')}`
    const freshSlot = point === 'ingest.slot'
    await sql(`create table ${name} (id int primary key, v text); insert into ${name} values (1, 'one')`)
    const clients = [ctx.client({ table: name }), ctx.client({ table: name, replica: 'full' })]
    for (const client of clients) await client.upToDate()
    const order = join(orders, point)
    writeFileSync(order, 'kill')
    if (freshSlot) {
      ctx.stack.signal('ingest', 'SIGSTOP')
      await sql(`select pg_terminate_backend(active_pid) from pg_replication_slots where slot_name = '${ctx.stack.slot}'`)
      await until(async () => (await sql(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '${ctx.stack.slot}' and not active`)).length > 0)
      await ctx.stack.kill('ingest')
    } else if (AT_START[point]) {
      await begin(point)
    }
    for (let n = 1; n === 1 || existsSync(order); n++) {
      expect(n, `${point} is reached`).toBeLessThan(6)
      await everything(name, n)
    }
    expect(ctx.stack.logLines(new RegExp(`event=fault.*at ${point.replaceAll('.', '\\.')}: kill`)).length).toBe(1)
    await ctx.stack.ready()
    for (const client of clients) await client.converges(ctx.db, name, { within: 40000 })
    if (!freshSlot) for (const client of clients) expect([client.refetches, client.handles.length]).toEqual([0, 1])
    await sql(`drop table ${name}`)
  })
}
