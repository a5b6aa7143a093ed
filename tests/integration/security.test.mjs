// What docs/security.md claims of the edge's HTTP, of secrets and of snapshots, each claim by an attack on it.
import { execFile } from 'node:child_process'
import net from 'node:net'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { CODINGS } from './lib/coding.mjs'
import { useStack } from './lib/fixture.mjs'
import { begin, encodeQuery, raw, readShape, request } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { Postgres } from './lib/postgres.mjs'
import { Proxy } from './lib/proxy.mjs'
import { alive } from './lib/process.mjs'
import { SERVICES, Stack, binary } from './lib/stack.mjs'
import { deadlineMs, until } from './lib/wait.mjs'

const run = promisify(execFile)
const residentKb = (stack, service) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${stack.pid(service)}/status`, 'utf8'))[1])
/** AddressSanitizer keeps what is freed for a while. */
const SANITIZED = /asan|tsan/.test(process.env.SLUICE_VARIANT)
const READ_TIMEOUT_MS = 1000

describe('HTTP', () => {
  const ctx = useStack({ env: { SLUICE_CHUNK_BYTES: '20000', SLUICE_TCP_READ_TIMEOUT: `${READ_TIMEOUT_MS}ms`, SLUICE_LONG_POLL_TIMEOUT: '2s' } })
  const sql = (text) => ctx.db.sql(text)
  const send = (bytes, options) => raw(ctx.stack.port, bytes, options)
  const answersIn = (text) => text.split(/HTTP\/1\.[01] \d/).length - 1
  const wholeHead = { done: (text) => text.includes('\r\n\r\n') }

  beforeAll(() => sql("create table items (id int primary key, v text); insert into items select n, 'row ' || n || repeat(' again', 10) from generate_series(1, 1000) n"))

  describe('request smuggling', () => {
    const smuggled = 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n'
    const n = smuggled.length
    const chunked = `0\r\n\r\n${smuggled}`
    const bodies = {
      'a length and chunks': `Content-Length: ${n}\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
      'chunks and a length': `Transfer-Encoding: chunked\r\nContent-Length: ${n}\r\n\r\n${chunked}`,
      'two lengths': `Content-Length: 0\r\nContent-Length: ${n}\r\n\r\n${smuggled}`,
      'twice the same length': `Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}${smuggled}`,
      'a list of lengths': `Content-Length: 0, ${n}\r\n\r\n${smuggled}`,
      'a length with a sign': `Content-Length: +0\r\n\r\n${smuggled}`,
      'a negative length': `Content-Length: -1\r\n\r\n${smuggled}`,
      'a length in hexadecimal': `Content-Length: 0x0\r\n\r\n${smuggled}`,
      'a length with a blank before its colon': `Content-Length : 0\r\n\r\n${smuggled}`,
      'a length that is too large for a number': `Content-Length: 18446744073709551616\r\n\r\n${smuggled}`,
      'a length of nothing': `Content-Length:\r\n\r\n${smuggled}`,
      'a right length': `Content-Length: 2\r\n\r\n{}${smuggled}`,
      'a length of 0': `Content-Length: 0\r\n\r\n${smuggled}`,
      'an unknown coding': `Transfer-Encoding: xchunked\r\n\r\n${chunked}`,
      'a blank before the colon': `Transfer-Encoding : chunked\r\n\r\n${chunked}`,
      'a tab': `Transfer-Encoding:\tchunked\r\n\r\n${chunked}`,
      'a vertical tab': `Transfer-Encoding: \x0bchunked\r\n\r\n${chunked}`,
      'capitals': `TRANSFER-ENCODING: CHUNKED\r\n\r\n${chunked}`,
      'a folded line': `Transfer-Encoding:\r\n chunked\r\n\r\n${chunked}`,
      'two codings': `Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n${chunked}`,
      'a list of codings': `Transfer-Encoding: chunked, identity\r\n\r\n${chunked}`,
      'a line that ends in LF alone': `X: y\nContent-Length: 0\r\n\r\n${smuggled}`,
      'a line that ends in CR alone': `X: y\rContent-Length: 0\r\n\r\n${smuggled}`,
      'a NUL in a name': `Content-Length\0: 0\r\n\r\n${smuggled}`,
      'a chunk that is no number': `Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n${smuggled}`,
      'a chunk of 2^64 bytes': `Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n${smuggled}`,
      'a chunk without its end': `Transfer-Encoding: chunked\r\n\r\n1\r\n{XX0\r\n\r\n${smuggled}`,
      'an upgrade': `Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: 0\r\n\r\n${smuggled}`,
    }
    for (const method of ['POST', 'GET', 'OPTIONS'])
      test(`after a ${method} that has or claims a body nothing is a request`, async () => {
        await Promise.all(Object.entries(bodies).map(async ([what, head]) => {
          const answer = await send(`${method} /v1/shape?table=items&offset=-1 HTTP/1.1\r\nHost: x\r\n${head}`, { ms: 8000 })
          expect([what, answersIn(answer.text) <= 1, answer.text.includes('"active"'), answer.closed]).toEqual([what, true, false, true])
        }))
      })

    test('requests without a body follow one another, each with its answer', async () => {
      const answer = await send(smuggled.repeat(3), { done: (text) => answersIn(text) === 3 && text.endsWith('}') })
      expect(answer.text.match(/"active"/g)).toHaveLength(3)
    })

    test('HTTP/2 is not spoken: neither asked for nor at once', async () => {
      const upgrade = await send('GET /v1/health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n', { done: (text) => text.endsWith('}') })
      expect(upgrade.text).toMatch(/^HTTP\/1\.1 200 /)
      const preface = await send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', { ms: 3000 })
      expect(preface.text).toMatch(/^$|^HTTP\/1\.1 4/)
    })
  })

  describe('slow requests', () => {
    /** Sends a beginning and then a byte of `rest` at a time, for ever; how long the connection lived, and what came. */
    async function trickle(beginning, rest) {
      const began = Date.now()
      const socket = net.connect(ctx.stack.port, '127.0.0.1')
      let text = ''
      let i = 0
      const drip = setInterval(() => socket.write(rest[i++ % rest.length]), 50)
      try {
        socket.on('error', () => {}).on('data', (d) => (text += d)).write(beginning)
        await until(() => socket.closed, { within: 10 * READ_TIMEOUT_MS, what: 'the connection is closed' })
      } finally {
        clearInterval(drip)
        socket.destroy()
      }
      return { ms: Date.now() - began, text }
    }
    const slow = {
      'a request line': ['GET /v1/shape?table=', 'x'],
      headers: ['GET /v1/health HTTP/1.1\r\nHost: x\r\n', 'x: y\r\n'],
      'a body': ['POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n', ' '],
      'a body in chunks': ['POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n', ['1\r\n \r\n']],
    }
    for (const [what, [beginning, rest]] of Object.entries(slow))
      test(`${what}, a byte at a time, is cut off however busy it keeps the connection`, async () => {
        const { text } = await trickle(beginning, rest)
        expect(text).not.toMatch(/^HTTP\/1\.1 200 /)
      })

    test('a thousand of them keep nobody else waiting', async () => {
      const sockets = Array.from({ length: 1000 }, () => net.connect(ctx.stack.port, '127.0.0.1').on('error', () => {}))
      for (const socket of sockets) socket.write('GET /v1/shape?table=items HTTP/1.1\r\nHost: x\r\nX-Slow: ')
      try {
        const began = Date.now()
        expect((await ctx.stack.shape({ table: 'items', offset: '-1' })).status).toBe(200)
        expect(Date.now() - began).toBeLessThan(deadlineMs(1000))
        await until(() => sockets.every((s) => s.closed), { what: 'all are cut off' })
      } finally {
        for (const socket of sockets) socket.destroy()
      }
    })
  })

  describe('bodies', () => {
    const post = 'POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

    test('#71 in chunks that come to more than 8,000,000 bytes: 413, and no more is read', async () => {
      const chunk = `f4240\r\n${' '.repeat(1000000)}\r\n`
      const answer = await send([`${post}Transfer-Encoding: chunked\r\n\r\n`, ...Array(9).fill(chunk), '0\r\n\r\n'], wholeHead)
      expect(answer.text).toMatch(/^HTTP\/1\.1 413 /)
    })
    test('one that says that it is far too large is refused before it comes', async () => {
      const answer = await send(`${post}Content-Length: 100000000\r\n\r\n`, wholeHead)
      expect(answer.text).toMatch(/^HTTP\/1\.1 413 /)
    })
    test('a bomb of 200 MB in 200 KB is not unpacked', async () => {
      const bomb = gzipSync(Buffer.alloc(200 << 20, 32))
      const before = residentKb(ctx.stack, 'edge-0')
      for (const coding of ['gzip', 'GZIP', 'x-gzip', 'identity, gzip', 'deflate', 'br', 'zstd', 'nonsense']) {
        const answer = await request(ctx.stack.url, { method: 'POST', query: { table: 'items', offset: '-1' }, headers: { 'content-encoding': coding }, body: bomb })
        expect([coding, answer.status]).toEqual([coding, 415])
      }
      expect(residentKb(ctx.stack, 'edge-0') - before).toBeLessThan(100 << 10)
      const packed = await send(`${post}Transfer-Encoding: gzip, chunked\r\n\r\n`, { ms: 3000 })
      expect(packed.text).toMatch(/^$|^HTTP\/1\.1 [45]/)
    })
  })

  describe('paths', () => {
    test('no spelling of a path leaves the directory of the demo, or reaches a file', async () => {
      const up = ['..', '%2e%2e', '.%2e', '%2E.', '%252e%252e', '..;', '..%00', '..%5c', '..\\', '%c0%ae%c0%ae', '....//']
      const targets = up.flatMap((dots) => [1, 3, 8].flatMap((depth) => [`/demo/${`${dots}/`.repeat(depth)}etc/passwd`, `/demo/x/${`${dots}%2f`.repeat(depth)}etc%2fpasswd`]))
      targets.push('/demo//etc/passwd', '//etc/passwd', '/demo/%2fetc/passwd', 'http://x/demo/../../etc/passwd', '/demo/server.mjs', '/demo/../server.mjs', '/etc/passwd', '/demo/.', '/demo/%00')
      for (const target of targets) {
        const answer = await send(`GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
        expect([target, /root:|node:http/.test(answer.text)]).toEqual([target, false])
        expect([target, /^HTTP\/1\.1 (200|301|400|404) /.test(answer.text)]).toEqual([target, true])
      }
    })
  })

  describe('header injection', () => {
    const evil = 'x%0d%0aX-Evil: 1%0d%0a%0d%0a<script>'
    const isClean = (answer) => {
      const head = answer.text.slice(0, answer.text.indexOf('\r\n\r\n'))
      return answersIn(answer.text) === 1 && !/^x-evil/im.test(head) && !/[\0\r]/.test(head.replaceAll('\r\n', ''))
    }

    test('by a parameter', async () => {
      const { handle } = await endOf(ctx.stack, { table: 'items' })
      for (const name of ['table', 'offset', 'handle', 'columns', 'where', 'params[1]', 'params[x]', 'live', 'cursor', 'replica', 'log', 'secret', evil]) {
        const wanted = new URLSearchParams({ table: 'items', offset: '0_0', handle })
        wanted.delete(name)
        const answer = await send(`GET /v1/shape?${wanted}&${name}=${evil.replaceAll(' ', '+')} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
        expect([name, isClean(answer)]).toEqual([name, true])
      }
    })

    test('by what is echoed: origin, request id, wanted headers', async () => {
      for (const value of ['a\rX-Evil: 1', 'a\nX-Evil: 1', 'a\r X-Evil: 1', 'a\0X-Evil: 1', '\x7f\x01', '\xff\xfe', 'if-none-match\rX-Evil: 1', `${'x'.repeat(30)}\rX-Evil: 1`])
        for (const header of ['Origin', 'X-Request-Id', 'Access-Control-Request-Headers'])
          for (const method of ['GET', 'OPTIONS']) {
            const answer = await send(Buffer.from(`${method} /v1/shape?table=items&offset=-1 HTTP/1.1\r\nHost: x\r\n${header}: ${value}\r\nConnection: close\r\n\r\n`, 'latin1'))
            const what = JSON.stringify([method, header, value])
            // LF alone ends a line of a request: what follows is a header of the request, and is not echoed
            expect([what, answer.text === '' || isClean(answer)]).toEqual([what, true])
          }
    })

    test('by names in the database', async () => {
      await sql('create table "a\r\nX-Evil: 1" ("id\r\nX-Evil: 2" int primary key, "v\u2028ü" text); insert into "a\r\nX-Evil: 1" values (1, \'x\')')
      const answer = await send(`GET /v1/shape${encodeQuery({ table: '"a\r\nX-Evil: 1"', offset: '-1' })} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      expect(answer.text).toMatch(/^HTTP\/1\.1 200 /)
      expect(isClean(answer)).toBe(true)
      const schema = /^electric-schema: (.*)\r$/m.exec(answer.text)[1]
      expect(Object.keys(JSON.parse(Buffer.from(schema, 'latin1').toString()))).toContain('id\r\nX-Evil: 2')
    })

    test('nothing of it begins a line of the log', () => {
      expect(ctx.stack.logLines(/^\s*X-Evil/i)).toEqual([])
    })
  })

  describe('cache poisoning: the URL and accept-encoding are all that an answer depends on', () => {
    const CHANGES_NOTHING = {
      host: 'evil.example:1', forwarded: 'for=1.2.3.4;host=evil.example;proto=http', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', 'x-forwarded-for': '1.2.3.4', 'x-forwarded-port': '1',
      'x-forwarded-prefix': '/evil', 'x-forwarded-scheme': 'http', 'x-host': 'evil.example', 'x-original-url': '/v1/health', 'x-rewrite-url': '/v1/health', 'x-original-host': 'evil.example',
      'x-http-method-override': 'DELETE', 'x-http-method': 'DELETE', 'x-method-override': 'DELETE', accept: 'text/event-stream', 'accept-language': 'de', 'accept-charset': 'utf-16', 'accept-ranges': 'bytes',
      range: 'bytes=0-10', 'if-range': '"x"', 'if-match': '"x"', 'if-none-match': '"x"', 'if-modified-since': 'Fri, 31 Dec 2099 23:59:59 GMT', 'if-unmodified-since': 'Thu, 01 Jan 1970 00:00:00 GMT',
      'cache-control': 'no-cache, no-store, max-age=0', pragma: 'no-cache', cookie: 'secret=x; handle=1-1', authorization: 'Bearer x', 'user-agent': 'evil', referer: 'https://evil.example/', te: 'trailers',
      'content-type': 'application/json', 'electric-handle': '1-1', 'electric-offset': '-1', 'electric-cursor': '1', 'x-request-id': 'y'.repeat(30), 'last-event-id': '0_inf', 'sec-fetch-mode': 'navigate',
      'upgrade-insecure-requests': '1', upgrade: 'websocket', 'access-control-request-headers': 'if-none-match', 'access-control-request-method': 'DELETE', via: '1.1 x', 'surrogate-capability': 'x="ESI/1.0"',
      secret: 'x', 'x-secret': 'x', table: 'other', origin: 'https://evil.example',
    }
    /** What a cache would keep; the time, how far the database is, the request's id and the echoed origin are no part of it: docs/security.md. */
    const kept = ({ status, headers, text }) => {
      const { date, 'content-length': length, 'electric-cursor': time, 'x-request-id': _, 'access-control-allow-origin': origin, connection, 'keep-alive': __, ...rest } = headers
      return { status, text: text.replace(/"global_last_seen_lsn":"\d+"/, '"global_last_seen_lsn":"…"'), headers: rest }
    }
    let urls
    beforeAll(async () => {
      const at = await endOf(ctx.stack, { table: 'items' })
      await sql("create table other (id int primary key); insert into items values (2000, 'late')")
      await until(async () => (await request(ctx.stack.url, { query: at })).changes.length === 1, { what: 'the row is in the log' })
      urls = {
        'a closed chunk': { query: { table: 'items', offset: '-1' } },
        'the open chunk': { query: at },
        'a live answer': { query: { ...at, live: 'true', cursor: '1' } },
        'a 409': { query: { table: 'items', offset: '0_0', handle: '1-1' } },
        'a 400': { query: { table: 'items', offset: 'x' } },
        health: { path: '/v1/health' },
        'a 404': { path: '/v1/nothing' },
      }
    })
    for (const what of ['a closed chunk', 'the open chunk', 'a live answer', 'a 409', 'a 400', 'health', 'a 404'])
      test(`${what} is the same whatever else a request says`, async () => {
        const ask = async (spec) => kept(await request(ctx.stack.url, { ...urls[what], ...spec }))
        const plain = await ask({})
        for (const [name, value] of Object.entries(CHANGES_NOTHING)) expect([name, await ask({ headers: { [name]: value } })]).toEqual([name, plain])
        const all = await ask({ headers: CHANGES_NOTHING })
        expect(all).toEqual(plain)
      })

    test('a body is no part of a GET', async () => {
      const plain = kept(await request(ctx.stack.url, urls['a closed chunk']))
      for (const body of ['{"limit":1,"order_by":"id"}', '{"where":"id = 1"}', '{"subset":{"limit":1,"order_by":"id"}}', 'table=other', '{'])
        expect([body, kept(await request(ctx.stack.url, { ...urls['a closed chunk'], headers: { 'content-type': 'application/json' }, body }))]).toEqual([body, plain])
    })

    test('only & parts parameters; the last of one name counts; what is not known is no part of a shape', async () => {
      const ask = async (query) => (await send(`GET /v1/shape?${query} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)).text
      const handle = (text) => /^electric-handle: (\S+)/m.exec(text)?.[1]
      const items = handle(await ask('table=items&offset=-1'))
      const other = handle(await ask('table=other&offset=-1'))
      expect(await ask('table=items;table=other&offset=-1'), 'a semicolon is part of a value').toMatch(/^HTTP\/1\.1 400 /)
      expect([handle(await ask('table=items&table=other&offset=-1')), handle(await ask('table=other&table=items&offset=-1'))]).toEqual([other, items])
      expect(handle(await ask('table=items&offset=-1&utm_content=x;table=other'))).toBe(items)
      expect(handle(await ask('table=items&offset=-1&_method=DELETE&callback=evil'))).toBe(items)
    })

    test('a condition that holds is answered 304 without a body, under the same etag; codings are told apart by vary', async () => {
      const { etag, headers } = await request(ctx.stack.url, urls['a closed chunk'])
      expect(headers.vary).toBe('accept-encoding')
      for (const coding of [undefined, ...CODINGS]) {
        const answer = await request(ctx.stack.url, { ...urls['a closed chunk'], headers: { 'if-none-match': etag, ...(coding && { 'accept-encoding': coding }) } })
        expect([answer.status, answer.bytes, answer.etag, answer.headers.vary]).toEqual([304, 0, etag, 'accept-encoding'])
      }
    })
  })
})

describe('bodies of many requests', () => {
  const BUDGET = 32 << 20
  const ctx = useStack({ env: { SLUICE_EDGE_BODY_BYTES: String(BUDGET), SLUICE_EDGE_THREADS: '1' } })
  const post = 'POST /v1/shape?table=items&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

  test('nearly whole, and the rest never comes: bounded together, others are served', async () => {
    const before = residentKb(ctx.stack, 'edge-0')
    const nearly = Buffer.alloc(15 << 20, 32)
    const sockets = Array.from({ length: 60 }, () => net.connect(ctx.stack.port, '127.0.0.1').on('error', () => {}))
    const open = () => sockets.filter((s) => !s.closed).length
    let most = 0
    try {
      for (const socket of sockets) {
        socket.write(`${post}Content-Length: ${nearly.length + 1}\r\n\r\n`)
        socket.write(nearly)
      }
      await until(async () => {
        most = Math.max(most, residentKb(ctx.stack, 'edge-0') - before)
        expect((await request(ctx.stack.url, { path: '/v1/health' })).status).toBe(200)
        return open() <= BUDGET / nearly.length
      }, { what: () => `no more are open than there is room for, ${open()} are, with ${most} KB` })
      if (!SANITIZED) expect(most, 'KB, also for what comes before it is looked at again').toBeLessThan(256 << 10)
    } finally {
      for (const socket of sockets) socket.destroy()
    }
  }, deadlineMs(60000))
})

describe('bodies of many requests, come whole', () => {
  const ctx = useStack({ env: { SLUICE_EDGE_BODY_BYTES: String(32 << 20) } })

  test('those that find no room are refused, and there is room again', async () => {
    await ctx.db.sql('create table items (id int primary key, v text)')
    const session = await ctx.db.session()
    const large = JSON.stringify({ where: 'v = $1', params: { 1: 'x'.repeat(7500000) }, limit: 1, order_by: 'id' })
    const post = (body) => begin(ctx.stack.url, { method: 'POST', query: { table: 'items', offset: '-1' }, headers: { 'content-type': 'application/json' }, body })
    await session.query('begin; lock table items in access exclusive mode')
    const polls = Array.from({ length: 8 }, () => post(large))
    const ended = []
    for (const { answer } of polls) answer.then((a) => ended.push(a), (e) => ended.push(e))
    try {
      await until(() => ended.length >= 4, { what: () => `half of them are refused, ${ended.length} ended` })
      for (const answer of ended) if (answer.status) expect([answer.status, answer.json]).toEqual([503, { message: 'Too many large requests' }])
      expect((await request(ctx.stack.url, { path: '/v1/health' })).status).toBe(200)
    } finally {
      await session.query('commit')
      for (const poll of polls) poll.abort()
    }
    await until(async () => (await post('{"limit":1,"order_by":"id"}').answer).status === 200, { what: 'a small one is answered' })
    await until(async () => [200, 400].includes((await post(large).answer).status), { what: 'a large one is judged by what it says' })
  })
})

describe('secrets', () => {
  const SECRET = 'hunter2-of-the-clients'
  const PASSWORD = 'hunter2-of-the-database'
  const shown = (text) => [SECRET, PASSWORD].filter((s) => text.includes(s))
  let postgres, db, stack, user
  beforeAll(async () => {
    postgres = await Postgres.start({ name: 'own-postgres' })
    db = await postgres.database()
    user = 'keeper'
    await db.sql(`create role ${user} superuser login password '${PASSWORD}'; create table items (id int primary key, v text); insert into items values (1, 'x')`)
    stack = new Stack({ url: postgres.url(db.name, { user, password: PASSWORD }), env: { SLUICE_INSECURE: 'false', SLUICE_SECRET: SECRET, SLUICE_POOLED_DATABASE_URL: postgres.url(db.name, { user, password: PASSWORD }) } })
    await stack.launch()
    await stack.ready()
  })
  afterAll(async () => {
    await stack?.stop()
    await db?.close()
    await postgres?.destroy()
  })
  const env = (more) => ({ PATH: process.env.PATH, DATABASE_URL: postgres.url(db.name, { user, password: PASSWORD }), SLUICE_SECRET: SECRET, SLUICE_INSECURE: 'false', ...more })
  /** What a program says, however it ends. */
  const says = (service, args, more) => run(binary(service), args, { env: env(more), timeout: 20000 }).then(({ stdout, stderr }) => stdout + stderr, (e) => `${e.stdout}${e.stderr}`)

  for (const service of SERVICES) {
    test(`${service} --help names the variables and not their values`, async () => {
      const text = await says(service, ['--help'])
      expect(text).toMatch(service === 'edge' ? /SLUICE_SECRET/ : /DATABASE_URL/)
      expect(shown(text)).toEqual([])
    })

    test(`${service} complains of what it was given without repeating it`, async () => {
      const wrong = [
        { DATABASE_URL: `postgresql://u:${PASSWORD}@[::bad/x?${SECRET}` }, { DATABASE_URL: `nonsense ${PASSWORD}` }, { DATABASE_URL: `postgresql://u:${PASSWORD}@h/d?sslmode=nonsense` },
        { SLUICE_LOG_LEVEL: 'nonsense' }, { SLUICE_INSECURE: 'true' }, { SLUICE_INSECURE: 'maybe' },
      ]
      for (const more of wrong) {
        const text = await says(service, service === 'supervisor' ? ['--nonsense', SECRET] : [], { SLUICE_DATA_DIR: '/proc/nowhere', SLUICE_ROUTER_DIR: '/proc/nowhere', ...more })
        expect([more, text.length > 0, shown(text)]).toEqual([more, true, []])
      }
    })
  }

  test('requests of every kind, and failures of the database, put them in no log', async () => {
    const query = { table: 'items', offset: '-1', secret: SECRET }
    expect((await stack.shape(query)).status).toBe(200)
    for (const spec of [{ query: { ...query, secret: `${SECRET}x` } }, { query: { ...query, table: 'nope' } }, { query: { ...query, where: `v = '${SECRET}'` } }, { query: { ...query, where: `nonsense ${SECRET}` } }, { method: 'POST', query, body: `{"secret":"${SECRET}",` }, { method: 'BREW', query }, { query, path: `/v1/${SECRET}/../shape` }])
      await request(stack.url, spec)
    await raw(stack.port, `GET /v1/shape?secret=${SECRET} HTTP/9.9\r\n\r\n`, { ms: 1000 })
    await raw(stack.port, `GET /v1/shape?secret=${SECRET}\0 HTTP/1.1\r\nCookie: ${SECRET}\r\n\r\n`, { ms: 1000 })
    await db.sql(`alter role ${user} password 'another'; select pg_terminate_backend(pid) from pg_stat_activity where usename = '${user}'`)
    await stack.says(/password authentication failed/)
    await db.sql(`alter role ${user} password '${PASSWORD}'`)
    await stack.ready()
    expect(shown(stack.logText())).toEqual([])
  })

  test('nor does the end of a process, by whatever signal', async () => {
    stack.tolerates.push(/signal (6|11)\b|SIGABRT|SIGSEGV|AddressSanitizer|ThreadSanitizer/)
    const running = (service, old = 0) => until(() => stack.pid(service) !== old && alive(stack.pid(service)), { what: `${service} runs` })
    for (const service of stack.services())
      for (const signal of ['SIGABRT', 'SIGSEGV', 'SIGKILL']) {
        await running(service)
        await running(service, stack.signal(service, signal))
        await stack.ready()
      }
    expect(shown(stack.logText())).toEqual([])
  }, deadlineMs(90000))

  test('they are in no list of processes, no metric and no reason', async () => {
    for (const [i, service] of stack.services().entries()) {
      expect(shown(readFileSync(`/proc/${stack.pid(service)}/cmdline`, 'utf8'))).toEqual([])
      for (const path of ['/metrics', '/readyz', '/healthz']) expect(shown((await request(`http://127.0.0.1:${stack.adminPort + i}`, { path })).text)).toEqual([])
    }
    expect(shown(readFileSync(`/proc/${stack.supervisor.pid}/cmdline`, 'utf8'))).toEqual([])
  })
})

describe('a snapshot holds nothing for ever', () => {
  let proxy, ctx
  const postgres = () => Postgres.attach(inject('postgres'))
  beforeAll(async () => {
    proxy = await Proxy.start(`http://127.0.0.1:${postgres().port}`)
    const db = await postgres().database()
    const through = new URL(db.url)
    through.port = new URL(proxy.url).port
    ctx = { db, stack: await Stack.start({ database: db, env: { SLUICE_POOLED_DATABASE_URL: through.href, SLUICE_SNAPSHOT_STALL_TIMEOUT: '1s' } }) }
    await db.sql("create table large (id int primary key, v text); insert into large select n, repeat('x', 1000) from generate_series(1, 5000) n; create table small (id int primary key); insert into small values (1)")
  })
  afterAll(async () => {
    await ctx?.stack.destroy(ctx.db)
    await proxy?.close()
  })
  const statements = async () => (await ctx.db.sql("select query, xact_start from pg_stat_activity where application_name = 'sluice-snapshot' and backend_xmin is not null and datname = current_database()"))

  test('rows come, and then nothing more: 503 in the words of the protocol, its transaction ends, other shapes go on', async () => {
    proxy.stallAfter = 1000000
    const began = Date.now()
    const stalled = begin(ctx.stack.url, { query: { table: 'large', offset: '-1' } })
    await until(() => proxy.stalled > 0, { what: 'the snapshot stands still' })
    proxy.stallAfter = undefined
    expect((await ctx.stack.shape({ table: 'small', offset: '-1' })).status).toBe(200)
    const answer = await stalled.answer
    expect([answer.status, answer.json?.message]).toEqual([503, expect.stringMatching(/^Snapshot query took too long to return data \(cancelled after \d+ms\)/)])
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(Date.now() - began).toBeLessThan(deadlineMs(10000))
    await until(async () => (await statements()).length === 0, { what: 'no snapshot holds back the vacuum' })
    const again = await readShape(ctx.stack.url, { table: 'large' })
    expect(again.flatMap((a) => a.changes)).toHaveLength(5000)
  })
})
