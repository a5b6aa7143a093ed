// Handles (protocol §2.2, §4.4, §4.9, §6.8): 409 for those that are not the shape's, DELETE, and what follows.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack()
const sql = (text) => ctx.db.sql(text)
const shape = (query, spec) => ctx.stack.shape(query, spec)
const remove = (query) => shape(query, { method: 'DELETE' })
const first = (query) => shape({ offset: '-1', ...query })

const MUST_REFETCH = '[{"headers":{"control":"must-refetch"}}]'
const MISMATCH = 'The specified shape definition and handle do not match. Please ensure the shape definition is correct or omit the shape handle from the request to obtain a new one.'

beforeAll(() => sql('create table items (id int primary key, v text)'))

/** A 409 that names `handle`, or none. */
function assertRefetch(answer, handle) {
  expect([answer.status, answer.text]).toEqual([409, MUST_REFETCH])
  expect(answer.handle).toBe(handle)
  expect(answer.etag).toBe(handle && `"${handle}::"`)
  expect(answer.headers).toMatchObject({
    'cache-control': handle ? 'public, max-age=60, must-revalidate' : 'public, max-age=1, must-revalidate',
    'content-type': 'application/json; charset=utf-8', 'access-control-allow-origin': '*',
  })
  for (const absent of ['location', 'electric-offset', 'electric-schema', 'electric-has-data', 'electric-cursor', 'electric-up-to-date', 'surrogate-control', 'retry-after'])
    expect(answer.headers).not.toHaveProperty(absent)
}

describe('409', () => {
  test('#166 #168 #170 an unknown handle: the right one', async () => {
    const { handle } = await first({ table: 'items' })
    for (const live of [undefined, 'true'])
      for (const wrong of ['12345-67890', '1-1', 'nonsense', `${handle}0`]) assertRefetch(await shape({ table: 'items', offset: '0_0', handle: wrong, live }), handle)
  })

  test('#165 an unknown handle and no shape yet: one is made', async () => {
    await sql('create table unmade (id int primary key)')
    const answer = await shape({ table: 'unmade', offset: '0_0', handle: 'nonsense' })
    assertRefetch(answer, answer.handle)
    expect(answer.handle).toMatch(/^\d+-\d+$/)
    const begun = await first({ table: 'unmade', handle: answer.handle })
    expect([begun.status, begun.handle]).toEqual([200, answer.handle])
  })

  test('#167 the handle of another definition', async () => {
    await sql('create table foreign_ (id int primary key)')
    const items = await first({ table: 'items' })
    const mine = await first({ table: 'foreign_' })
    const full = await first({ table: 'foreign_', replica: 'full' })
    assertRefetch(await shape({ table: 'foreign_', offset: '0_0', handle: items.handle }), mine.handle)
    assertRefetch(await shape({ table: 'foreign_', offset: '0_0', handle: full.handle, live: 'true' }), mine.handle)
    assertRefetch(await shape({ table: 'foreign_', replica: 'full', offset: '0_0', handle: mine.handle }), full.handle)
    expect((await shape({ table: 'items', offset: '0_0', handle: items.handle })).status).toBe(200)
  })

  test('a bad request is told so before its handle is looked at', async () => {
    const answer = await shape({ table: 'items', offset: '0_0', handle: '1-1', columns: 'nope' })
    expect(answer.status).toBe(400)
  })

  test('#169 #152 the shape goes while a client waits: no handle', async () => {
    await sql('create table waited_for (id int primary key)')
    const at = await endOf(ctx.stack, { table: 'waited_for' })
    const parked = () => ctx.stack.metric('edge-0', 'parked_requests')
    const poll = begin(ctx.stack.url, { query: { ...at, live: 'true' } })
    await until(async () => (await parked()) === 1, { what: 'the poll is parked' })
    expect((await remove({ handle: at.handle })).status).toBe(202)
    assertRefetch(await poll.answer, undefined)
    const next = await shape({ ...at, live: 'true' })
    assertRefetch(next, next.handle)
    expect(next.handle).not.toBe(at.handle)
  })
})

describe('DELETE', () => {
  function assertDeleted(answer) {
    expect([answer.status, answer.text]).toEqual([202, ''])
    expect(answer.headers).toMatchObject({ 'cache-control': 'no-cache', 'content-type': 'application/json; charset=utf-8', 'electric-has-data': 'true' })
    for (const absent of ['etag', 'electric-handle', 'electric-offset', 'surrogate-control']) expect(answer.headers).not.toHaveProperty(absent)
  }

  test('#172 #178 by table; the next shape has another handle, and so has every one after it', async () => {
    await sql('create table deletable (id int primary key)')
    const handles = []
    for (let i = 0; i < 4; i++) {
      handles.push((await first({ table: 'deletable' })).handle)
      assertDeleted(await remove({ table: 'deletable' }))
    }
    expect(new Set(handles).size).toBe(4)
    const stale = await shape({ table: 'deletable', offset: '0_0', handle: handles[0] })
    expect([stale.status, handles.includes(stale.handle)]).toEqual([409, false])
  })

  test('#173 with a where: that shape alone', async () => {
    await sql('create table several (id int primary key, v text)')
    const query = { table: 'several', where: "v = 'x'" }
    const others = [{ table: 'several' }, { ...query, where: "v = 'y'" }, { ...query, replica: 'full' }, { ...query, columns: 'id' }, { ...query, log: 'changes_only' }]
    const before = await Promise.all(others.map(first))
    const { handle } = await first(query)
    assertDeleted(await remove(query))
    expect((await Promise.all(others.map(first))).map((a) => a.handle)).toEqual(before.map((a) => a.handle))
    expect((await first(query)).handle).not.toBe(handle)
  })

  test('#174 by handle, with or without what it is of', async () => {
    await sql('create table by_handle (id int primary key)')
    const one = await first({ table: 'by_handle' })
    assertDeleted(await remove({ handle: one.handle }))
    const two = await first({ table: 'by_handle' })
    assertDeleted(await remove({ table: 'by_handle', handle: two.handle }))
    expect((await first({ table: 'by_handle' })).handle).not.toBe(two.handle)
  })

  test('#175 what is not there: 404', async () => {
    await sql('create table never_asked (id int primary key)')
    const { handle } = await first({ table: 'never_asked' })
    assertDeleted(await remove({ handle }))
    for (const query of [{ handle }, { handle: '1-1' }, { handle: 'nonsense' }, { table: 'never_asked' }, { table: 'never_asked', where: 'id = 1' }]) {
      const answer = await remove(query)
      expect([query, answer.status, answer.json]).toEqual([query, 404, { message: 'No existing shape found' }])
      expect(answer.headers).toMatchObject({ 'cache-control': 'no-cache', 'content-type': 'application/json; charset=utf-8' })
    }
  })

  test('#176 a table and the handle of another shape: 400', async () => {
    const { handle } = await first({ table: 'items' })
    const other = await first({ table: 'items', replica: 'full' })
    for (const wrong of ['1-1', other.handle]) {
      const answer = await remove({ table: 'items', handle: wrong })
      expect([answer.status, answer.json]).toEqual([400, { message: MISMATCH }])
      expect(answer.headers['cache-control']).toBe('no-cache')
    }
    expect([(await first({ table: 'items' })).handle, (await first({ table: 'items', replica: 'full' })).handle]).toEqual([handle, other.handle])
  })

  test('#177 neither table nor handle: 400', async () => {
    const answer = await remove({})
    expect([answer.status, answer.json]).toEqual([400, { message: 'Invalid request', errors: { handle: ["can't be blank when shape definition is missing"] } }])
  })
})

test('#179 the official client converges on what a new handle says', async () => {
  await sql('create table renewed (id int primary key, v int); insert into renewed select n, 0 from generate_series(1, 50) n')
  const client = ctx.client({ table: 'renewed' })
  await client.converges(ctx.db, 'renewed')
  for (let round = 1; round <= 3; round++) {
    expect((await remove({ table: 'renewed' })).status).toBe(202)
    await sql(`update renewed set v = ${round}`)
    await client.converges(ctx.db, 'renewed')
  }
  expect(client.refetches).toBe(3)
  expect(new Set(client.handles).size).toBe(client.handles.length)
})
