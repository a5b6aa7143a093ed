// What the Elixir client sends and reads, by hand: its own order of parameters and escapes, plain column lists, headers in lower case, a
// cursor that is an integer, no end of a snapshot but up-to-date.
import { expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { expectedRows, fingerprint } from './lib/oracle.mjs'
import { request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ routers: 2, edges: 2, env: { SLUICE_CHUNK_BYTES: '10000', SLUICE_LONG_POLL_TIMEOUT: '2s' } })
const sql = (text, values) => ctx.db.sql(text, values)

/** RFC 3986: everything but unreserved characters is escaped, a space is %20. */
const escape = (text) => encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
const query = (params) => Object.entries(params).sort(([a], [b]) => (a < b ? -1 : 1)).map(([k, v]) => `${escape(k)}=${escape(v)}`).join('&')
const safe = (name) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`)

/** Its stream: one request after the other, from an edge in turn; a 409 begins again, 5xx is tried again. */
class Reader {
  constructor({ namespace, table, where, columns, replica, params = {} }) {
    this.shape = { ...params, table: namespace ? `${safe(namespace)}.${safe(table)}` : safe(table), ...(where && { where }), ...(columns && { columns: columns.join(',') }), ...(replica && { replica }) }
    this.resets = 0
    this.turn = 0
    this.reset()
  }

  reset(handle) {
    Object.assign(this, { rows: new Map(), offset: '-1', handle, cursor: undefined, live: false })
  }

  async step() {
    const { shape, offset, handle, cursor, live } = this
    const params = { ...shape, offset, ...(handle && { handle }), ...(live && { live: 'true' }), ...(cursor !== undefined && { cursor: String(cursor) }) }
    const answer = await request(ctx.stack.edgeUrl(this.turn++ % 2), { path: `/v1/shape?${query(params)}` }).catch(() => ({ status: 503 }))
    if ([408, 429, 500, 502, 503, 504].includes(answer.status)) return
    if (answer.status === 409) {
      expect(answer.messages).toEqual([{ headers: { control: 'must-refetch' } }])
      this.resets++
      this.reset(answer.handle)
      return
    }
    expect(answer.status).toBe(200)
    this.take(answer)
  }

  take({ headers, messages }) {
    if (headers['electric-schema']) this.schema = JSON.parse(headers['electric-schema'])
    expect(headers['electric-handle']).toMatch(/^\d+-\d+$/)
    this.handle = headers['electric-handle']
    this.offset = headers['electric-offset']
    if (headers['electric-cursor'] !== undefined) {
      expect(headers['electric-cursor']).toMatch(/^\d+$/)
      this.cursor = Number(headers['electric-cursor'])
    }
    for (const m of messages) this.message(m)
  }

  message({ key, value, headers }) {
    if (headers.control) {
      expect(['up-to-date', 'snapshot-end']).toContain(headers.control)
      if (headers.control === 'up-to-date') this.live = true
    } else if (headers.operation === 'delete') this.rows.delete(key)
    else this.rows.set(key, headers.operation === 'update' ? { ...this.rows.get(key), ...value } : value)
  }

  /** Reads on until the rows are those of SELECT. */
  async becomes(table, options) {
    const wanted = new Set(fingerprint(await expectedRows(ctx.db, table, options)))
    const same = () => this.live && this.rows.size === wanted.size && fingerprint([...this.rows.values()]).every((row) => wanted.has(row))
    await until(async () => same() || (await this.step()), { within: 30000, what: () => `${this.rows.size} rows of ${wanted.size}` }).catch((error) => {
      if (!same()) throw error
    })
  }
}

test('a table of many chunks: catches up, follows, begins again when it is deleted, lives through kill -9', async () => {
  await sql("create table items (id int primary key, v text); insert into items select n, repeat('x', 100) from generate_series(1, 500) n")
  const reader = new Reader({ table: 'items', params: { database_id: 'main' } })
  await reader.becomes('items')
  for (const disturb of [() => {}, () => ctx.stack.kill('router-0'), () => ctx.stack.kill('router-1'), () => ctx.stack.kill('edge-0'), () => ctx.stack.kill('ingest')]) {
    await disturb()
    await sql("update items set v = v || 'y' where id % 3 = 0; delete from items where id % 50 = 7; insert into items select max(id) + 1, 'new' from items")
    await reader.becomes('items')
  }
  expect(reader.resets).toBe(0)
  await ctx.stack.ready()
  expect((await request(ctx.stack.url, { method: 'DELETE', path: `/v1/shape?${query({ table: 'items' })}` })).status).toBe(202)
  await sql("update items set v = 'after' where id < 100")
  await reader.becomes('items')
  expect(reader.resets).toBeGreaterThan(0)
})

test('names that need quotes, a where clause that needs escapes, a plain list of columns, replica=full', async () => {
  await sql(`create schema "my app"; create table "my app"."my table" (id int primary key, title text, other int)`)
  await sql(`insert into "my app"."my table" select n, (array['it''s', 'a+b & c=d', '100% "ü"'])[n % 3 + 1], n from generate_series(1, 30) n`)
  const where = `title IN ('it''s', 'a+b & c=d') AND (other > 3 OR id = 1)`
  const readers = [undefined, 'full'].map((replica) => new Reader({ namespace: 'my app', table: 'my table', where, columns: ['id', 'title'], replica }))
  const options = { where, columns: ['id', 'title'] }
  for (const r of readers) await r.becomes('"my app"."my table"', options)
  await sql(`update "my app"."my table" set title = 'it''s' where id % 4 = 0; update "my app"."my table" set other = 0 where id > 20`)
  for (const r of readers) await r.becomes('"my app"."my table"', options)
  expect(readers[0].schema).toEqual({ id: { type: 'int4', pk_index: 0, not_null: true }, title: { type: 'text' } })
})

test('parameters of a clause', async () => {
  await sql("create table owned (id int primary key, owner text); insert into owned select n, 'o' || n % 3 from generate_series(1, 30) n")
  const reader = new Reader({ table: 'owned', where: 'owner = $1', params: { 'params[1]': 'o1' } })
  await reader.becomes('owned', { where: "owner = 'o1'" })
  await sql("update owned set owner = 'o1' where id < 5")
  await reader.becomes('owned', { where: "owner = 'o1'" })
})
