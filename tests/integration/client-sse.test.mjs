// The official client on event streams (liveSse), at two edges and two routers: what it puts together equals SELECT, whatever happens.
import { beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { syncClient } from './lib/client.mjs'
import { Proxy } from './lib/proxy.mjs'
import { everything, writer } from './lib/writer.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {}, routers: 2, edges: 2, env: { SLUICE_CHUNK_BYTES: '10000' } })
const sql = (text, values) => ctx.db.sql(text, values)

async function table(name) {
  await sql(`create table ${name} (id int primary key, v text); insert into ${name} select n, 'v' || n from generate_series(0, 199) n`)
  return name
}

/** A fetch that writes down what was asked, and asks the other edge when the first is not there. */
function recordingFetch(asked, { edges = [0] } = {}) {
  let at = 0
  return async (url, init) => {
    const to = new URL(url)
    if (edges.length > 1) to.port = new URL(ctx.stack.edgeUrl(edges[at % edges.length])).port
    asked.push({ at: Date.now(), sse: to.searchParams.get('live_sse') === 'true', live: to.searchParams.get('live') === 'true', offset: to.searchParams.get('offset'), old: to.searchParams.get('experimental_live_sse') })
    try {
      return await fetch(to, init)
    } catch (error) {
      if (!init?.signal?.aborted) at++
      throw error
    }
  }
}

function sseClient(params, { edges, ...options } = {}) {
  const asked = []
  const client = syncClient(options.base ?? ctx.stack, params, { liveSse: true, redelivers: true, fetchClient: recordingFetch(asked, { edges }), ...options })
  ctx.clients.push(client)
  client.asked = asked
  return client
}

const streaming = (client) => until(() => client.stream.isUpToDate && client.asked.at(-1).sse, { what: 'a stream is open' })

/**
 * A client without a word for longer than a stream lasts; looked at by the last test. It is at the edge that nobody kills: after three
 * connections of less than a second the official client streams no more.
 */
const old = {}
beforeAll(async () => {
  await table('patient')
  old.asked = []
  old.client = syncClient(ctx.stack.edgeUrl(1), { table: 'patient' }, { liveSse: true, redelivers: true, fetchClient: recordingFetch(old.asked) })
  await old.client.upToDate()
  await sql("insert into patient values (1000, 'a'), (1001, 'b'), (1002, 'c')") // a transaction of several entries is the last thing it hears
  await old.client.converges(ctx.db, 'patient')
})

describe('streams', () => {
  for (const option of ['liveSse', 'experimentalLiveSse']) {
    test(`#161 ${option}: many batches, one request`, async () => {
      const name = await table(`batches_${option.toLowerCase()}`)
      const client = sseClient({ table: name }, { liveSse: undefined, [option]: true })
      await streaming(client)
      const session = await ctx.db.session()
      const work = writer(everything(session, name))
      await work.written(100)
      await work.stop()
      await client.converges(ctx.db, name)
      expect(client.asked.filter((r) => r.live)).toHaveLength(1)
      expect(client.redelivered).toBe(0)
    })
  }

  test('both edges tell the same, and so do streams and polls', async () => {
    const name = await table('everywhere')
    const clients = [0, 1].flatMap((edge) => [true, false].flatMap((liveSse) => ['default', 'full'].map((replica) =>
      sseClient({ table: name, replica }, { base: ctx.stack.edgeUrl(edge), liveSse }))))
    for (const c of clients) await c.upToDate()
    const work = writer(everything(await ctx.db.session(), name))
    await work.written(100)
    await work.stop()
    for (const c of clients) await c.converges(ctx.db, name)
    const logs = clients.map((c) => JSON.stringify(c.log.filter((m) => m.headers.lsn)))
    for (const replica of [0, 1]) expect(new Set(logs.filter((_, i) => i % 2 === replica)).size).toBe(1)
  })

  test('many shapes at once, on both edges', async () => {
    await sql("create table shared (id int primary key, owner int, v text); insert into shared select n, n % 40, 'v' from generate_series(0, 399) n")
    const clients = Array.from({ length: 40 }, (_, owner) => [owner, sseClient({ table: 'shared', where: `owner = ${owner}` }, { base: ctx.stack.edgeUrl(owner % 2) })])
    await Promise.all(clients.map(([, c]) => streaming(c)))
    for (let n = 0; n < 20; n++) await sql(`update shared set owner = (owner + 7) % 40, v = 'u${n}' where id % 20 = ${n}; insert into shared values (${1000 + n}, ${n * 2}, 'new')`)
    for (const [owner, c] of clients) await c.converges(ctx.db, 'shared', { where: `owner = ${owner}` })
    for (const [, c] of clients) expect(c.asked.filter((r) => r.live)).toHaveLength(1)
  })
})

describe('faults', () => {
  async function survives(name, options, disturb) {
    await table(name)
    const clients = [sseClient({ table: name }, options), sseClient({ table: name, replica: 'full' }, options)]
    for (const c of clients) await streaming(c)
    const work = writer(everything(await ctx.db.session(), name))
    await work.written(30)
    await disturb(work, clients)
    await work.moreWritten(30)
    await work.stop()
    for (const c of clients) await c.converges(ctx.db, name, { within: 40000 })
    for (const c of clients) expect([c.refetches, c.handles.length]).toEqual([0, 1])
    return clients
  }

  for (const service of ['ingest', 'router-0', 'router-1', 'edge-0']) {
    test(`kill -9 of ${service} in the middle`, () => survives(`killed_${service.replace('-', '_')}`, {}, () => ctx.stack.kill(service)))
  }

  test('an edge dies: its clients go on at the other', async () => {
    const clients = await survives('moved', { edges: [0, 1] }, async (work) => {
      await ctx.stack.kill('edge-0')
      await work.moreWritten(20)
    })
    for (const c of clients) expect(c.asked.at(-1).sse).toBe(true)
  })

  test('the network cuts connections, also in the middle of what a stream begins with', async () => {
    const proxy = await Proxy.start(ctx.stack.url)
    ctx.cleanup(() => proxy.close())
    // A body that is cut is an error that the application decides about: go on.
    await survives('cut', { base: proxy.url, onError: () => ({}) }, async (work) => {
      for (let n = 0; n < 30; n++) {
        proxy.cutAfter = 700 + 400 * (n % 13)
        proxy.cutAll()
        await work.moreWritten(4)
      }
      expect(proxy.cuts).toBeGreaterThan(5)
      proxy.cutAfter = undefined
      proxy.cutAll()
    })
  })

  test('a slow client gets everything', async () => {
    const proxy = await Proxy.start(ctx.stack.url)
    ctx.cleanup(() => proxy.close())
    const name = await table('crawling')
    const [slow, fast] = [sseClient({ table: name }, { base: proxy.url }), sseClient({ table: name })]
    for (const c of [slow, fast]) await streaming(c)
    proxy.bytesPerSecond = 1_000_000
    for (let n = 1; n <= 20; n++) await sql(`insert into ${name} select ${n} * 1000 + i, repeat('x', 1000) from generate_series(1, 200) i`)
    await fast.converges(ctx.db, name)
    expect(slow.rows.size).toBeLessThan(fast.rows.size)
    await slow.converges(ctx.db, name, { within: 40000 })
  })

  for (const [how, rotate] of [
    ['deleted', (name) => ctx.stack.shape({ table: name }, { method: 'DELETE' })],
    ['truncated', (name) => sql(`truncate ${name}; insert into ${name} values (1, 'after')`)],
    ['altered', (name) => sql(`alter table ${name} add column w int default 5; update ${name} set v = 'w' where id < 50`)],
  ]) {
    test(`#163 the shape is ${how} under its clients`, async () => {
      const name = await table(`rotated_${how}`)
      const clients = [0, 1].map((edge) => sseClient({ table: name }, { base: ctx.stack.edgeUrl(edge) }))
      for (const c of clients) await streaming(c)
      await rotate(name)
      for (const c of clients) await c.until((x) => x.refetches > 0, { what: 'it begins again' })
      await sql(`insert into ${name} (id, v) values (5000, 'later'), (5001, 'later')`)
      for (const c of clients) await c.converges(ctx.db, name)
      for (const c of clients) expect(new Set(c.handles).size).toBe(c.handles.length)
    })
  }

  test('a request that gets an error on the way does not end the stream of changes', async () => {
    const name = await table('flaky')
    let n = 0
    const asked = []
    const recorded = recordingFetch(asked)
    const client = sseClient({ table: name }, {
      fetchClient: async (url, init) => {
        if (++n % 3 === 0) return new Response('try later', { status: 503, headers: { 'retry-after': '0' } })
        if (n % 3 === 1 && n > 3) throw new TypeError('network')
        return recorded(url, init)
      },
    })
    await client.upToDate()
    const work = writer(everything(await ctx.db.session(), name))
    for (let k = 0; k < 5; k++) {
      await work.moreWritten(10)
      await ctx.stack.kill('edge-0')
      await ctx.stack.ready()
    }
    await work.stop()
    await client.converges(ctx.db, name, { within: 40000 })
  })
})

// Last: its first stream ends soon.
test('#160 after the minute of a stream the client opens another', async () => {
  try {
    await until(() => old.asked.filter((r) => r.sse).length >= 2, { within: 75000, what: 'the first stream ends' })
    await sql("insert into patient values (2000, 'd'), (2001, 'e')")
    await old.client.converges(ctx.db, 'patient')
    expect(old.asked.at(-1).sse).toBe(true)
    const [first, second] = old.asked.filter((r) => r.sse)
    expect(second.at - first.at).toBeGreaterThan(59_000)
    expect(old.client.log.filter((m) => m.headers.lsn)).toHaveLength(5)
    // Every new stream brings the transaction again that was the last.
    expect(old.client.redelivered).toBeGreaterThan(0)
    expect(old.client.redelivered % 2).toBe(0)
  } finally {
    old.client.close()
  }
}, 90000)
