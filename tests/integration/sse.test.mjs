// Event streams as they are on the wire (protocol §2.11, §13.1.27).
import { beforeAll, describe, expect, test } from 'vitest'
import net from 'node:net'
import { readFileSync } from 'node:fs'
import { useStack } from './lib/fixture.mjs'
import { encodeQuery, readShape, request } from './lib/http.mjs'
import { openStream } from './lib/sse.mjs'
import { writer } from './lib/writer.mjs'
import { holdsFor, until } from './lib/wait.mjs'

const ctx = useStack({ env: { SLUICE_LONG_POLL_TIMEOUT: '4s', SLUICE_CHUNK_BYTES: '10000' } })
const sql = (text, values) => ctx.db.sql(text, values)
const streams = () => ctx.stack.metric('edge-0', 'sse_streams')
const open = (query, options) => openStream(ctx.stack.url, query, options)

/** Where a fresh shape of a new table ends. */
async function end(table, definition = 'id int primary key, v text') {
  await sql(`create table ${table} (${definition})`)
  return endOf({ table })
}

async function endOf(params, { stack } = ctx) {
  const answer = (await readShape(stack.url, params)).at(-1)
  return { ...params, handle: answer.handle, offset: answer.offset }
}

const after = (at, lsn) => ({ ...at, offset: `${lsn}_0` })

/** An idle stream lives through the whole file: what it shows takes a minute. */
let idle
/** So does one whose router does not answer. */
const silence = useStack()
const silent = {}
beforeAll(async () => {
  idle = await open(await end('idle'))
  await silence.db.sql('create table silent (id int primary key, v text)')
  silent.at = await endOf({ table: 'silent' }, silence)
  silent.stream = await openStream(silence.stack.url, silent.at)
  silent.edge = silence.stack.pid('edge-0')
  silence.stack.signal('router-0', 'SIGSTOP')
})

describe('frames', () => {
  test('#157 #158 content type, caching, the headers of a live answer, frames', async () => {
    const at = await end('framed')
    const stream = await open(at, { headers: { origin: 'https://app.example', accept: 'text/event-stream' } })
    expect(stream.status).toBe(200)
    expect(stream.headers).toMatchObject({
      'content-type': 'text/event-stream', 'cache-control': 'public, max-age=59', 'electric-handle': at.handle, 'electric-offset': at.offset,
      'electric-has-data': 'true', 'electric-up-to-date': '', etag: `"${at.handle}:${at.offset}:${at.offset}"`,
      'access-control-allow-origin': 'https://app.example',
    })
    expect(stream.headers['electric-cursor']).toMatch(/^\d+$/)
    expect(stream.headers['access-control-expose-headers']).toContain('electric-offset')
    for (const name of ['electric-schema', 'content-length', 'content-encoding']) expect(stream.headers).not.toHaveProperty(name)
    await sql("insert into framed values (1, E'two\\nlines \\u2028 and data: \\r\\n\\n \"quoted\" {braces}')")
    await stream.until((s) => s.batches.length === 1)
    const [change, upToDate] = stream.messages
    expect(change).toEqual({
      key: '"public"."framed"/"1"', value: { id: '1', v: 'two\nlines \u2028 and data: \r\n\n "quoted" {braces}' },
      headers: { operation: 'insert', relation: ['public', 'framed'], lsn: change.headers.lsn, op_position: 0, txids: change.headers.txids, last: true },
    })
    expect(upToDate).toEqual({ headers: { control: 'up-to-date', global_last_seen_lsn: change.headers.lsn } })
    expect(stream.text).not.toMatch(/^(event|id|retry):/m)
    stream.close()
  })

  test('#161 many batches on one connection, each a whole transaction that ends in up-to-date', async () => {
    const at = await end('batches')
    const stream = await open(at)
    for (let n = 1; n <= 20; n++) {
      await sql(`insert into batches select ${n} * 100 + i, 'v' from generate_series(1, ${n}) i`)
      await stream.until((s) => s.batches.length >= n)
    }
    expect(stream.batches).toHaveLength(20)
    stream.batches.forEach(({ changes, lsn }, i) => {
      expect(changes).toHaveLength(i + 1)
      expect(changes.map((c) => c.headers.lsn)).toEqual(changes.map(() => lsn))
      expect(changes.map((c) => !!c.headers.last)).toEqual(changes.map((_, k) => k === i))
    })
    expect(stream.ended).toBe(false)
    stream.close()
  })

  test('a transaction of many chunks: no up-to-date before its last entry, no pause at a chunk end', async () => {
    const at = await end('chunked')
    const stream = await open(at)
    for (let round = 1; round <= 3; round++) {
      await sql(`insert into chunked select ${round} * 1000 + i, repeat('x', 400) from generate_series(1, 200) i`)
      await stream.until((s) => s.batches.length === round, { within: 3000 })
      expect(stream.batches[round - 1].changes).toHaveLength(200)
    }
    stream.close()
  })

  test('HEAD has the head and no stream', async () => {
    const answer = await request(ctx.stack.url, { method: 'HEAD', query: { ...(await end('headed')), live: 'true', live_sse: 'true' } })
    expect([answer.status, answer.headers['content-type'], answer.text]).toEqual([200, 'text/event-stream', ''])
  })

  test('experimental_live_sse, the old name', async () => {
    const at = await end('old_name')
    const stream = await open(at, { live: { live: 'true', experimental_live_sse: 'true' } })
    expect(stream.headers['content-type']).toBe('text/event-stream')
    stream.close()
  })
})

describe('going on', () => {
  test('at <lsn>_0 of the last up-to-date, which names a transaction of one entry', async () => {
    const at = await end('resumed')
    const first = await open(at)
    await sql("insert into resumed values (1, 'a')")
    await first.until((s) => s.batches.length === 1)
    const second = await open(after(at, first.batches[0].lsn))
    await sql("insert into resumed values (2, 'b')")
    await second.until((s) => s.batches.length === 1)
    expect(second.changes.map((c) => c.value.id)).toEqual(['2'])
    for (const s of [first, second]) s.close()
  })

  test('at <lsn>_0 of a transaction of several entries: the rest of it comes again, as it was, and the stream stays open', async () => {
    const at = await end('resumed_late')
    const first = await open(at)
    await sql("insert into resumed_late select -i, repeat('x', 400) from generate_series(1, 100) i") // of several chunks
    await first.until((s) => s.batches.length === 1)
    const second = await open(after(at, first.batches[0].lsn))
    await second.until((s) => s.batches.length === 1)
    expect(second.messages).toEqual(first.messages.slice(1))
    await sql("insert into resumed_late values (4, 'd'), (5, 'e')")
    await second.until((s) => s.batches.length === 2)
    expect(second.batches[1].changes.map((c) => c.value.id)).toEqual(['4', '5'])
    for (const s of [first, second]) s.close()
  })

  test('what is there already comes first, the head promises nothing of it, and the stream stays open', async () => {
    const at = await end('there')
    for (let n = 0; n < 5; n++) await sql(`insert into there select ${n} * 100 + i, repeat('x', 400) from generate_series(1, 40) i`)
    await until(async () => (await readShape(ctx.stack.url, { table: 'there' })).flatMap((a) => a.changes).length === 200, { what: 'all is in the log' })
    const stream = await open(at)
    await stream.until((s) => s.batches.length === 1, { within: 3000 })
    // A client that is cut off in the middle goes on at the offset of the head: it must not be beyond what came.
    expect(stream.headers['electric-offset']).toBe(at.offset)
    expect(stream.headers).not.toHaveProperty('electric-up-to-date')
    expect(stream.changes).toHaveLength(200)
    expect(stream.batches[0].lsn).toBe(stream.changes.at(-1).headers.lsn)
    await sql("insert into there values (1000, 'live')")
    await stream.until((s) => s.batches.length === 2)
    expect(stream.batches[1].changes.map((c) => c.value.id)).toEqual(['1000'])
    stream.close()
  })

  test('changes that arrive while a stream is opened are in one of the two', async () => {
    const at = await end('racing')
    let cursor = at
    const seen = []
    const work = writer((n) => sql(`insert into racing values (${n}, 'a'), (${-n}, 'b')`))
    const follow = async (enough) => {
      const stream = await open(cursor)
      await stream.until((s) => s.ended || enough(s))
      stream.close()
      for (const batch of stream.batches) seen.push(...batch.changes.map((c) => Number(c.value.id)))
      if (stream.batches.length) cursor = after(at, stream.batches.at(-1).lsn)
    }
    for (let round = 0; round < 30; round++) await follow((s) => s.batches.length >= 2)
    const n = await work.stop()
    const isLast = (s) => s.changes.some((c) => Number(c.value.id) === -n)
    while (!seen.includes(-n)) await follow(isLast)
    // All in order; of the transaction at whose beginning a stream went on, the rest comes twice.
    expect(seen.filter((id, i) => id !== seen[i - 1])).toEqual(Array.from({ length: n }, (_, i) => [i + 1, -i - 1]).flat())
  })
})

describe('ends', () => {
  test('#162 an unknown handle: 409 JSON, no stream', async () => {
    const at = await end('unknown')
    const stream = await open({ ...at, handle: '1-1' })
    await stream.end()
    expect(stream.status).toBe(409)
    expect(stream.headers).toMatchObject({ 'content-type': 'application/json; charset=utf-8', 'electric-handle': at.handle, 'cache-control': 'public, max-age=60, must-revalidate' })
    expect(stream.headers).not.toHaveProperty('electric-cursor')
    expect(stream.json()).toEqual([{ headers: { control: 'must-refetch' } }])
  })

  test('what is wrong is told in JSON', async () => {
    const at = await end('wrong')
    for (const [query, live, errors] of [
      [{ table: 'wrong', offset: '-1' }, undefined, { live: ["can't be true when offset == -1"] }],
      [{ table: 'wrong', offset: 'now' }, undefined, { live: ["can't be true when offset is 'now'"] }],
      [at, { live_sse: 'true' }, { live_sse: ["can't be true unless live is also true"] }],
    ]) {
      const answer = await open(query, { live: live ?? { live: 'true', live_sse: 'true' } })
      await answer.end()
      expect([answer.status, answer.headers['content-type'], answer.headers['cache-control']]).toEqual([400, 'application/json; charset=utf-8', 'no-store'])
      expect(answer.json()).toEqual({ message: 'Invalid request', errors })
    }
  })

  for (const [how, rotate] of [
    ['deleted', (at) => request(ctx.stack.url, { method: 'DELETE', query: { table: at.table } })],
    ['truncated', (at) => sql(`truncate ${at.table}`)],
  ]) {
    test(`#163 the shape is ${how}: the stream ends without a word, the next request gets 409`, async () => {
      const at = await end(`rotated_${how}`)
      await sql(`insert into ${at.table} values (1, 'a')`)
      const now = await until(async () => {
        const found = await endOf({ table: at.table })
        return found.offset !== at.offset && found
      }, { what: 'the row is in the log' })
      const stream = await open(now)
      await rotate(at)
      await stream.end(5000)
      expect(stream.complete).toBe(true)
      expect(stream.messages).toEqual([])
      const next = await open(now)
      await next.end()
      expect([next.status, next.headers['content-type']]).toEqual([409, 'application/json; charset=utf-8'])
      expect(next.headers['electric-handle']).not.toBe(now.handle)
    })
  }

  test('out of bounds: a stream without frames that ends after half of the timeout', async () => {
    const at = await end('beyond')
    const stream = await open({ ...at, offset: '999999999999_0' })
    expect(stream.headers).toMatchObject({ 'content-type': 'text/event-stream', 'electric-offset': at.offset, etag: `"${at.handle}:999999999999_0:${at.offset}"` })
    expect(stream.headers).not.toHaveProperty('electric-up-to-date')
    await stream.end()
    expect(stream.endedAt - stream.began).toBeGreaterThan(1500)
    expect(stream.endedAt - stream.began).toBeLessThan(3900)
    expect([stream.status, stream.messages]).toEqual([200, []])
  })

  test('out of bounds, and the log gets there meanwhile: it goes on as a stream', async () => {
    const at = await end('catches_up')
    const [{ lsn }] = await sql("select (pg_current_wal_insert_lsn() - '0/0')::text lsn")
    const stream = await open(after(at, lsn))
    await sql("insert into catches_up values (1, 'a')")
    await stream.until((s) => s.batches.length === 1)
    await sql("insert into catches_up values (2, 'b')")
    await stream.until((s) => s.batches.length === 2)
    expect(stream.changes.map((c) => c.value.id)).toEqual(['1', '2'])
    stream.close()
  })

  test('the edge drains: streams end whole', async () => {
    const at = await end('drained')
    const [stream, other] = [await open(at), await open(at)]
    ctx.stack.signal('edge-0', 'SIGTERM')
    for (const s of [stream, other]) {
      await s.end(5000)
      expect(s.complete).toBe(true)
    }
    await until(() => ctx.stack.health().then((status) => status === 200), { what: 'another edge answers' })
    idle = await open(await endOf({ table: 'idle' }))
  })
})

describe('trouble behind the edge', () => {
  for (const service of ['router-0', 'ingest']) {
    test(`${service} is killed again and again: the edge lives, and what a client puts together is whole`, async () => {
      const at = await end(`killed_${service.replace('-', '_')}`)
      const edge = ctx.stack.pid('edge-0')
      const rows = new Map()
      let cursor = at
      const work = writer((n) => sql(`insert into ${at.table} select ${n} * 10 + i, repeat('x', 500) from generate_series(1, 9) i`))
      let all = Infinity
      const reader = (async () => {
        while (rows.size < all) {
          const stream = await open(cursor).catch(() => undefined)
          if (!stream) continue
          await stream.until((s) => s.ended || rows.size + s.changes.length >= all, { within: 20000 })
          stream.close()
          if (stream.status !== 200) {
            if (stream.status !== 503) throw new Error(`${stream.status} ${stream.text}`)
            continue
          }
          for (const batch of stream.batches) for (const c of batch.changes) rows.set(c.key, c.value)
          if (stream.batches.length) cursor = after(at, stream.batches.at(-1).lsn)
        }
      })()
      for (let n = 0; n < 4; n++) {
        await work.moreWritten(20)
        await ctx.stack.kill(service)
        await ctx.stack.ready()
      }
      await work.moreWritten(20)
      all = (await work.stop()) * 9
      await reader
      const [{ count }] = await sql(`select count(*)::int count from ${at.table}`)
      expect(rows.size).toBe(count)
      expect(ctx.stack.pid('edge-0')).toBe(edge)
    })
  }
})

describe('many', () => {
  test('300 streams of one shape are told everything; those that vanish are forgotten', async () => {
    const at = await end('popular')
    const before = await streams()
    const all = await Promise.all(Array.from({ length: 300 }, () => open(at)))
    expect(await streams()).toBe(before + 300)
    for (let n = 1; n <= 10; n++) await sql(`insert into popular values (${n}, 'v'), (${-n}, 'w')`)
    for (const s of all) await s.until((x) => x.changes.length === 20)
    for (const s of all) expect(s.batches.map((b) => b.changes.length).reduce((x, y) => x + y)).toBe(20)
    for (const s of all) s.close()
    await until(async () => (await streams()) === before, { what: async () => `${before} streams are open, there are ${await streams()}` })
  })

  test('a client that does not read costs the edge one batch, not what is written; others are not disturbed', async () => {
    const at = await end('slow')
    const deaf = await Promise.all(Array.from({ length: 10 }, () => deafClient(at)))
    const stream = await open(at)
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${ctx.stack.pid('edge-0')}/status`, 'utf8'))[1]) / 1024
    const before = rss()
    let most = 0
    for (let n = 0; n < 60; n++) {
      await sql(`insert into slow select ${n} * 10000 + i, repeat('x', 1000) from generate_series(1, 1000) i`)
      most = Math.max(most, rss() - before)
    }
    await stream.until((s) => s.changes.length === 60000, { within: 30000 })
    expect(stream.messages.at(-1).headers.control).toBe('up-to-date')
    expect(most).toBeLessThan(80) // MB, of 10 x 60 MB that were written
    expect(await streams()).toBeGreaterThanOrEqual(10)
    stream.close()
    // Nothing is taken: TCP_USER_TIMEOUT ends the connection after 30 s.
    await until(() => deaf.every((c) => c.isCut()), { within: 60000, every: 500, what: () => `all of the clients are cut, not all but ${deaf.filter((c) => !c.isCut()).length}` })
    for (const c of deaf) c.close()
  }, 180000)
})

/** Asks for a stream and takes nothing of it. The kernel knows when the other side has given up. */
async function deafClient(at) {
  const socket = net.connect({ port: Number(new URL(ctx.stack.url).port), host: '127.0.0.1' })
  socket.pause()
  await new Promise((resolve) => socket.once('connect', resolve))
  socket.write(`GET /v1/shape${encodeQuery({ ...at, live: 'true', live_sse: 'true' })} HTTP/1.1\r\nHost: x\r\n\r\n`)
  const port = socket.localPort.toString(16).toUpperCase().padStart(4, '0')
  const edge = socket.remotePort.toString(16).toUpperCase().padStart(4, '0')
  const states = () => readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/\s+/))
  const isOpen = () => states().some(([, local, remote, state]) => local?.endsWith(`:${edge}`) && remote.endsWith(`:${port}`) && state === '01')
  await until(isOpen, { what: 'the edge has the connection' })
  socket.on('error', () => {})
  return { isCut: () => !isOpen(), close: () => socket.destroy() }
}

test('the router does not answer: streams end at their next look at the log, the edge lives', async () => {
  try {
    await silent.stream.end(40000)
  } finally {
    silence.stack.signal('router-0', 'SIGCONT')
  }
  expect([silent.stream.complete, silent.stream.messages, silence.stack.pid('edge-0')]).toEqual([true, [], silent.edge])
  await silence.stack.ready()
  const next = await openStream(silence.stack.url, silent.at)
  await silence.db.sql("insert into silent values (1, 'a')")
  await next.until((s) => s.batches.length === 1)
  next.close()
})

// Last, when the stream that was opened in the beginning or by the drain has had its minute.
test('#159 #160 idle: a comment after 21 s and 42 s, the end after 60 s', async () => {
  await idle.end(70000)
  const seconds = (t) => (t - idle.began) / 1000
  expect(idle.complete).toBe(true)
  expect(idle.messages).toEqual([])
  expect(idle.keepAlives).toHaveLength(2)
  for (const [i, { at }] of idle.keepAlives.entries()) {
    expect(seconds(at)).toBeGreaterThan(20.5 * (i + 1))
    expect(seconds(at)).toBeLessThan(22.5 * (i + 1))
  }
  expect(seconds(idle.endedAt)).toBeGreaterThan(59)
  expect(seconds(idle.endedAt)).toBeLessThan(63)
}, 90000)
