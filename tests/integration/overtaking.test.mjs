// A router's replies and its notices come to an edge by two connections, and either may be the longer way: whatever comes first, no client is sent to a
// shape that is gone, and none waits for data that exists.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin, readShape, request } from './lib/http.mjs'
import { addParty, logPath } from './lib/parties.mjs'
import { freePorts } from './lib/ports.mjs'
import { end, start } from './lib/process.mjs'
import { Proxy } from './lib/proxy.mjs'
import { binary } from './lib/stack.mjs'
import { holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_LONG_POLL_TIMEOUT: '20s' } })
const sql = (text) => ctx.db.sql(text)
/** Another edge of the same stack, whose two ways to the router are these. */
let replies, notices, edge, url, dir

beforeAll(async () => {
  dir = mkdtempSync('/tmp/sluice-ways-')
  const socket = (name) => ctx.stack.sockets().find((path) => path.endsWith(name))
  replies = await Proxy.start(socket('router-0-fetch.ipc'), join(dir, 'fetch'))
  notices = await Proxy.start(socket('router-0-notices.ipc'), join(dir, 'notices'))
  const [port, admin] = [await freePorts(), await freePorts()]
  const log = logPath('other-edge')
  addParty('other-edge', log)
  const env = { PATH: process.env.PATH, SLUICE_INSECURE: 'true', SLUICE_HTTP_PORT: String(port), SLUICE_HTTP_HOST: '127.0.0.1', SLUICE_EDGE_ADMIN_PORT: String(admin), SLUICE_ROUTER_FETCH_URLS: replies.url, SLUICE_ROUTER_NOTICES_URLS: notices.url, SLUICE_LONG_POLL_TIMEOUT: '20s' }
  edge = start(binary('edge'), [], { log, env })
  url = `http://127.0.0.1:${port}`
  edge.metric = async (name) => Number(new RegExp(`^sluice_edge_${name} (\\d+)$`, 'm').exec((await request(`http://127.0.0.1:${admin}`, { path: '/metrics' })).text)[1])
  await until(async () => (await request(url, { path: '/v1/health' }).catch(() => ({}))).status === 200, { what: 'the other edge is active' })
})
afterEach(() => {
  replies.release()
  notices.release()
})
afterAll(async () => {
  await end(edge, 'SIGTERM', 20000, 'the other edge')
  await replies.close()
  await notices.close()
  rmSync(dir, { recursive: true, force: true })
})

/** Waits until the router has given an answer that has `text` in it, and that is on its way. */
const answered = (text, what) => until(() => replies.held.some(([, bytes]) => bytes.includes(text)), { what })
/** How a refusal's body begins. */
const REFUSED = '{"message":'
const heard = async (action) => {
  const before = await edge.metric('notices_total')
  await action()
  await until(async () => (await edge.metric('notices_total')) > before, { what: 'the notice has come' })
}

test('the notice that a shape is gone overtakes the answer that names it', async () => {
  await sql("create table first_gone (id int primary key); insert into first_gone values (1)")
  const table = 'first_gone'
  const dead = (await readShape(ctx.stack.url, { table })).at(-1)
  replies.hold()
  const old = begin(url, { query: { table, offset: dead.offset, handle: dead.handle } })
  await answered(dead.handle, 'the router has said which shape it is')
  await heard(async () => expect((await ctx.stack.shape({ table }, { method: 'DELETE' })).status).toBe(202))
  const live = (await readShape(ctx.stack.url, { table })).at(-1)
  expect(live.handle).not.toBe(dead.handle)
  // who has the right handle waits for the same answer, which is not that of the dead one
  const right = { table, offset: live.offset, handle: live.handle }
  const early = begin(url, { query: right })
  await early.sent
  await until(async () => (await edge.metric('collapsed_reads_total')) > 0, { what: 'they wait for one answer' })
  replies.release()
  expect((await early.answer).status).toBe(200)
  const refused = await old.answer
  expect([refused.status, refused.handle]).toEqual([409, live.handle])
  // nor is it believed later
  expect((await request(url, { query: right })).status).toBe(200)
})

test('the answer that names a shape overtakes the notice that it is gone', async () => {
  await sql("create table gone_late (id int primary key); insert into gone_late values (1)")
  const table = 'gone_late'
  const dead = (await readShape(url, { table })).at(-1)
  notices.hold()
  expect((await ctx.stack.shape({ table }, { method: 'DELETE' })).status).toBe(202)
  const live = (await readShape(ctx.stack.url, { table })).at(-1)
  expect([200, 409], 'it has not heard: as things were, or as they are').toContain((await request(url, { query: { table, offset: dead.offset, handle: dead.handle } })).status)
  notices.release()
  await until(async () => {
    const right = await request(url, { query: { table, offset: live.offset, handle: live.handle } })
    return right.status === 200 && right.handle === live.handle
  }, { what: 'the edge knows the new one' })
  const wrong = await request(url, { query: { table, offset: dead.offset, handle: dead.handle } })
  expect([wrong.status, wrong.handle]).toEqual([409, live.handle])
})

test('the notice of a change overtakes the answer that there is none', async () => {
  await sql("create table changed_first (id int primary key); insert into changed_first values (1)")
  const table = 'changed_first'
  const at = (await readShape(ctx.stack.url, { table })).at(-1)
  expect((await request(url, { query: { table, offset: at.offset, handle: at.handle } })).status).toBe(200)
  replies.hold()
  const poll = begin(url, { query: { table, offset: at.offset, handle: at.handle, live: 'true' } })
  await poll.sent
  await heard(() => sql('insert into changed_first values (2)'))
  replies.release()
  const answer = await poll.answer
  expect([answer.status, answer.changes.map((c) => c.value.id)]).toEqual([200, ['2']])
})

test('notices that stop coming are missed: a client that waits is served all the same', async () => {
  await sql("create table silent (id int primary key); insert into silent values (1)")
  const table = 'silent'
  const at = (await readShape(url, { table })).at(-1)
  notices.hold()
  const poll = begin(url, { query: { table, offset: at.offset, handle: at.handle, live: 'true' } })
  await poll.sent
  await sql('insert into silent values (2)')
  const answer = await poll.answer
  expect([answer.status, answer.changes.map((c) => c.value.id)]).toEqual([200, ['2']])
})

test('#233 a router says that it is not ready before the edge has asked how it is: who asks for a shape waits for the next leader', async () => {
  await sql('create table next_leader (id int primary key); insert into next_leader values (1)')
  // somebody who stands first in the queue for the lock, so that nobody leads until they say so
  const session = await ctx.db.session()
  const lock = `hashtext('${ctx.stack.slot}')`
  const locked = session.query(`select pg_advisory_lock(${lock})`)
  const [{ pid }] = await until(async () => {
    const found = await sql("select h.pid from pg_locks h join pg_locks w using (locktype, database, classid, objid) where locktype = 'advisory' and h.granted and not w.granted")
    return found.length ? found : undefined
  }, { what: 'they stand in the queue' })
  try {
    await sql(`select pg_terminate_backend(${pid})`)
    await locked
    // what the edge asks from now on it is told late: to its knowledge the router is active
    replies.hold()
    await ctx.stack.kill('router-0')
    await answered('aiting', 'the router that was started again has told how it is')
    expect((await request(url, { path: '/v1/health' })).status).toBe(200)
    let answer
    const first = request(url, { query: { table: 'next_leader', offset: '-1' } }, 20000).then((a) => (answer = a))
    await answered(REFUSED, 'the router has refused to make a shape')
    replies.releaseOnly((bytes) => bytes.includes(REFUSED))
    await holdsFor(300, () => !answer, () => `it waits, it was told ${answer.status} ${answer.text}`)
    replies.release()
    await session.query(`select pg_advisory_unlock(${lock})`)
    await first
    expect([answer.status, answer.changes.length]).toEqual([200, 1])
  } finally {
    await session.end()
  }
})
