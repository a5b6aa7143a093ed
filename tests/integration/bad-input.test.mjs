// I8: bad input costs a clear line and nothing else.
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, openSync, rmSync, writeSync, closeSync, readFileSync, writeFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import net from 'node:net'
import { gunzipSync } from 'node:zlib'
import { useStack } from './lib/fixture.mjs'
import { Postgres } from './lib/postgres.mjs'
import { Stack, binary } from './lib/stack.mjs'
import { raw, readShape, request } from './lib/http.mjs'
import { syncClient } from './lib/client.mjs'
import { deadlineMs, holdsFor, until } from './lib/wait.mjs'

/** A sound LMDB file with one entry, some → thing, in its main database; gzip, base64. */
const FOREIGN_LMDB =
  'H4sIAAAAAAACA+3YMQrCQBAF0L9BIV3EO4paqIWeTzyJR4hHUAhGoghamEJ4r/gzCwsL0+0kvbrL8+lyLBmaPUqdz653+VJ/vwQAAAAYSxn1/1/evPN8rl6qPQAAAAD8XjXo5mmbtjETAAAA+G/TLifZ7zaLw2q9XeYG/PklEwAwAAA='

const opened = []
/** Closes everything, in the reverse order, also when one of them fails; that failure is the test's. */
afterEach(async () => {
  const failures = []
  for (const close of opened.splice(0).reverse()) await Promise.resolve().then(close).catch((error) => failures.push(error))
  if (failures.length) throw failures[0]
})

describe('DATABASE_URL', () => {
  let shared
  beforeAll(() => (shared = Postgres.attach(inject('postgres'))))

  /** Starts a stack that cannot work; it has to say so and must not be active. */
  async function refuses(url, line) {
    const stack = new Stack({ url })
    opened.push(() => stack.destroy())
    await stack.launch()
    const said = await stack.says(line)
    expect(said).not.toContain('wavelet')
    expect(await stack.health()).not.toBe(200)
    stack.assertSound()
    return stack
  }

  test('malformed', () => refuses('postgresql://:::::/?nonsense', /DATABASE_URL/))
  test('not a URL at all', () => refuses('banana', /DATABASE_URL/))
  test('nobody listens there', () => refuses('postgresql://postgres:x@127.0.0.1:1/postgres', /refused/i))
  test('a host that does not exist', () => refuses('postgresql://postgres:x@no-such-host.invalid/postgres', /no-such-host\.invalid|resolve|translate host/i))
  test('wrong password', () => refuses(shared.url('postgres', { password: 'wrong' }), /password authentication failed/))
  test('no such database', () => refuses(shared.url('no_such_database'), /no_such_database.*does not exist/))

  test('without the REPLICATION privilege, and mended while it runs', async () => {
    const db = await shared.database()
    const user = `plain_${process.pid}`
    await db.sql(`create role ${user} login password 'plain'; grant all on database ${db.name} to ${user}`)
    const stack = await refuses(shared.url(db.name, { user, password: 'plain' }), /REPLICATION/)
    await db.sql(`alter role ${user} replication`)
    await stack.ready()
    await stack.stop()
    await db.sql(`select pg_drop_replication_slot('${stack.slot}')`)
    await db.sql(`drop publication electric_publication_${stack.streamId}; drop owned by ${user}; drop role ${user}`)
    await db.close()
  })

  test('#230 wal_level=replica', async () => {
    const own = await Postgres.start({ name: 'replica-level', settings: { wal_level: 'replica' } })
    opened.push(() => own.destroy())
    await refuses(own.url(), /wal_level/)
  })

  test('a standby', async () => {
    const own = await Postgres.start({ name: 'primary' })
    opened.push(() => own.destroy())
    const standby = await Postgres.standbyOf(own)
    opened.push(() => standby.destroy())
    await refuses(standby.url(), /standby|recovery/i)
  })

  test('a server that speaks something else', async () => {
    const server = net.createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')).listen(0, '127.0.0.1')
    opened.push(() => server.close())
    await until(() => server.listening)
    await refuses(`postgresql://postgres:x@127.0.0.1:${server.address().port}/postgres`, /postgres|database|SSL|protocol|connect/i)
  })
})

describe('the HTTP port', () => {
  test('in use: one line that names it', async () => {
    const postgres = Postgres.attach(inject('postgres'))
    const db = await postgres.database()
    const server = net.createServer().listen(0, '0.0.0.0')
    opened.push(() => server.close())
    await until(() => server.listening)
    const stack = new Stack({ database: db })
    stack.port = server.address().port
    opened.push(() => stack.destroy(db))
    await stack.launch()
    expect(await stack.says(/in use/i)).toContain(String(stack.port))
    stack.assertSound()
  })
})

describe('every other port', () => {
  const listening = []
  afterAll(() => listening.forEach((server) => server.close()))
  async function taken(host) {
    const server = net.createServer().listen(0, host)
    listening.push(server)
    await until(() => server.listening)
    return server.address().port
  }
  const bus = (name) => `ipc:///tmp/sluice-bad-${process.pid}-${name}`
  const env = {
    PATH: process.env.PATH, DATABASE_URL: 'postgresql://x:y@127.0.0.1:1/d', SLUICE_INSECURE: 'true', SLUICE_ROUTER_DIR: `/tmp/sluice-bad-${process.pid}`, SLUICE_HTTP_PORT: '0',
    SLUICE_INGEST_CHANGES_URL: bus('a'), SLUICE_INGEST_CONTROL_URL: bus('b'), SLUICE_INGEST_CHANGES_URLS: bus('a'), SLUICE_INGEST_CONTROL_URLS: bus('b'),
    SLUICE_ROUTER_NOTICES_URL: bus('c'), SLUICE_ROUTER_FETCH_URL: bus('d'), SLUICE_ROUTER_NOTICES_URLS: bus('c'), SLUICE_ROUTER_FETCH_URLS: bus('d'),
  }
  afterAll(() => rmSync(env.SLUICE_ROUTER_DIR, { recursive: true, force: true }))
  for (const [service, ...knobs] of [['ingest', 'ADMIN_PORT', 'CHANGES_URL', 'CONTROL_URL'], ['router', 'ADMIN_PORT', 'NOTICES_URL', 'FETCH_URL'], ['edge', 'ADMIN_PORT']])
    for (const knob of knobs)
      test(`${service}'s ${knob} is in use: one line that names it, and the end`, async () => {
        const admin = knob === 'ADMIN_PORT'
        const port = await taken(admin ? '0.0.0.0' : '127.0.0.1')
        const more = { [`SLUICE_${service.toUpperCase()}_${knob}`]: admin ? String(port) : `tcp://127.0.0.1:${port}` }
        const { status, stdout, stderr } = spawnSync(binary(service), { env: { ...env, ...more }, encoding: 'utf8', timeout: deadlineMs(15000) })
        const errors = `${stdout}${stderr}`.split('\n').filter((line) => /level=error/.test(line))
        expect([status, errors.length]).toEqual([1, 1])
        expect(errors[0]).toMatch(new RegExp(`event=start_failed .*${port}.* in use`))
      })
})

describe('a running stack', () => {
  const ctx = useStack()
  const sql = (text) => ctx.db.sql(text)
  let pids
  beforeAll(async () => {
    await sql("create table steady (id int primary key, v text); insert into steady select n, 'v' || n from generate_series(1, 100) n")
    pids = ctx.stack.services().map((s) => ctx.stack.pid(s))
  })

  /** After every attack: the same processes, and a client that gets what it should. */
  async function unharmed() {
    expect(ctx.stack.services().map((s) => ctx.stack.pid(s))).toEqual(pids)
    const client = ctx.client({ table: 'steady' })
    await client.upToDate()
    await sql(`update steady set v = 'after ${randomBytes(4).toString('hex')}' where id = 1`)
    await client.converges(ctx.db, 'steady')
    ctx.stack.assertSound()
  }

  describe('malformed HTTP', () => {
    const attacks = {
      'random bytes': [randomBytes(4096)],
      'a TLS hello': [Buffer.from('16030100c8010000c40303', 'hex'), randomBytes(200)],
      'no method': ['\r\n\r\n\r\n'],
      'no version': ['GET /v1/shape\r\n\r\n'],
      'a version of the future': ['GET / HTTP/9.9\r\nHost: x\r\n\r\n'],
      'nul in the path': ['GET /v1/sha\0pe?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n'],
      'bad escapes': ['GET /v1/shape?table=%zz%&offset=%-1 HTTP/1.1\r\nHost: x\r\n\r\n'],
      'bad UTF-8 in a name': ['GET /v1/shape?table=%ff%fe&offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n'],
      'nul in a name': ['GET /v1/shape?table=a%00b&offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n'],
      'header without colon': ['GET /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost x\r\n\r\n'],
      'a negative length': ['POST /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\nhello'],
      'an absurd length': ['POST /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\nhello'],
      'a bad chunk': ['POST /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n'],
    }
    for (const [name, bytes] of Object.entries(attacks)) {
      test(name, async () => {
        const answer = await raw(ctx.stack.port, bytes, { ms: 3000, end: true })
        expect(answer.text, 'an answer that is not one of 4xx').toMatch(/^$|^HTTP\/1\.[01] 4\d\d |^HTTP\/1\.1 200 /)
        if (answer.text.includes(' 200 ')) expect(['no version', 'header without colon', 'a version of the future']).not.toContain(name)
      })
    }

    test('nothing of it did harm', () => unharmed())

    test('offsets and handles of absurd size', async () => {
      for (const offset of ['99999999999999999999999_0', '18446744073709551615_18446744073709551615', `${'9'.repeat(3000)}_1`, '0_99999999999999999999']) {
        const answer = await ctx.stack.shape({ table: 'steady', offset, handle: '1-1' })
        expect([400, 409], offset.slice(0, 40)).toContain(answer.status)
      }
      for (const handle of ['9'.repeat(5000), '-', '1-', '../../etc/passwd', 'ü', '\u0000']) {
        expect([400, 409], JSON.stringify(handle.slice(0, 40))).toContain((await ctx.stack.shape({ table: 'steady', offset: '0_0', handle })).status)
      }
    })
  })

  describe('oversized HTTP', () => {
    test('a request line over 10,000 bytes: 414', async () => {
      const answer = await raw(ctx.stack.port, [`GET /v1/shape?table=${'x'.repeat(20000)} HTTP/1.1\r\nHost: x\r\n\r\n`], { done: (t) => t.includes('\r\n\r\n') })
      expect(answer.text).toMatch(/^HTTP\/1\.1 414 /)
    })

    test('a header line over 10,000 bytes: 431', async () => {
      const answer = await raw(ctx.stack.port, [`GET /v1/health HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20000)}\r\n\r\n`], { done: (t) => t.includes('\r\n\r\n') })
      expect(answer.text).toMatch(/^HTTP\/1\.1 431 /)
    })

    test('ten thousand headers: 431 or hung up', async () => {
      const many = Array.from({ length: 10000 }, (_, i) => `x-${i}: ${i}\r\n`).join('')
      const answer = await raw(ctx.stack.port, [`GET /v1/health HTTP/1.1\r\nHost: x\r\n${many}\r\n`], { done: (t) => t.includes('\r\n\r\n') })
      expect(answer.text).toMatch(/^$|^HTTP\/1\.1 (431|400) /)
    })

    test('#71 a body over 8,000,000 bytes: 413', async () => {
      const answer = await raw(ctx.stack.port, ['POST /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n', Buffer.alloc(9000000, 32)], { done: (t) => t.includes('\r\n\r\n') })
      expect(answer.text).toMatch(/^HTTP\/1\.1 413 /)
    })

    test('nothing of it did harm', () => unharmed())
  })

  describe('slow and cut-off HTTP', () => {
    test('two hundred connections that never finish their request', async () => {
      const sockets = Array.from({ length: 200 }, () => net.connect(ctx.stack.port, '127.0.0.1'))
      for (const s of sockets) s.on('error', () => {}).write('GET /v1/shape?table=ste')
      await unharmed()
      for (const s of sockets) s.destroy()
    })

    test('a body that ends early', async () => {
      for (let i = 0; i < 20; i++) await raw(ctx.stack.port, ['POST /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"half":'], { ms: 50, end: true })
      await unharmed()
    })

    test('clients that do not read their answer', async () => {
      await sql("create table big (id int primary key, v text); insert into big select n, repeat('x', 1000) from generate_series(1, 20000) n")
      const { handle } = await ctx.stack.shape({ table: 'big', offset: '-1' })
      expect(handle).toBeDefined()
      const sockets = Array.from({ length: 20 }, () => net.connect(ctx.stack.port, '127.0.0.1'))
      for (const s of sockets) s.on('error', () => {}).pause().write('GET /v1/shape?table=big&offset=-1 HTTP/1.1\r\nHost: x\r\n\r\n')
      await unharmed()
      for (const s of sockets) s.destroy()
    })

    test('one connection is never used after a request that claims two lengths', async () => {
      const smuggled = 'GET /v1/health HTTP/1.1\r\nHost: x\r\n\r\n'
      for (const head of [
        `Content-Length: ${smuggled.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
        `Content-Length: 0\r\nContent-Length: ${smuggled.length}\r\n\r\n${smuggled}`,
        `Content-Length: 2\r\n\r\n{}${smuggled}`,
      ]) {
        const answer = await raw(ctx.stack.port, [`POST /v1/shape?table=steady&offset=-1 HTTP/1.1\r\nHost: x\r\n${head}`], { ms: 2000 })
        expect(answer.text.split(/HTTP\/1\.1 \d/).length - 1, head.slice(0, 60)).toBeLessThanOrEqual(1)
        expect(answer.text).not.toContain('"active"')
      }
      await unharmed()
    })
  })

  describe('garbage on the bus', () => {
    const HELLO = (protocol) => Buffer.from([0, 0x53, 0x50, 0, 0, protocol, 0, 0])
    const frame = (body, length = body.length) => {
      const head = Buffer.alloc(9)
      head[0] = 1
      head.writeBigUInt64BE(BigInt(length), 1)
      return Buffer.concat([head, body])
    }
    const REQ = 0x30
    const SUB = 0x21
    const request_ = (body) => frame(Buffer.concat([Buffer.from([0x80, 0, 0, 1]), body]))
    const bodies = {
      'not the protocol': [randomBytes(512)],
      'an HTTP request': ['GET / HTTP/1.1\r\n\r\n'],
      'a request of random bytes': [HELLO(REQ), request_(randomBytes(300))],
      'an empty request': [HELLO(REQ), request_(Buffer.alloc(0))],
      'a request without its id': [HELLO(REQ), frame(Buffer.from([1, 2]))],
      'an array that claims four billion elements': [HELLO(REQ), request_(Buffer.from('dd7fffffff', 'hex'))],
      'a string that claims four gigabytes': [HELLO(REQ), request_(Buffer.from('9301dbffffffff', 'hex'))],
      'nesting without end': [HELLO(REQ), request_(Buffer.alloc(100000, 0x91))],
      'another version': [HELLO(REQ), request_(Buffer.from([0x92, 99, 1]))],
      'a message nobody sends': [HELLO(REQ), request_(Buffer.from([0x92, 1, 127]))],
      'a frame of 2^60 bytes': [HELLO(REQ), frame(Buffer.alloc(10), 2n ** 60n)],
      'half a frame': [HELLO(REQ), frame(Buffer.alloc(10), 1000n)],
      'a subscriber that talks': [HELLO(SUB), frame(randomBytes(100))],
    }
    for (const [name, bytes] of Object.entries(bodies)) {
      test(name, async () => {
        const sockets = ctx.stack.sockets()
        expect(sockets.length, 'the bus has sockets below the data directory').toBeGreaterThanOrEqual(4)
        for (const path of sockets) await raw(path, bytes, { ms: 100 })
      })
    }
    test('random messages by the thousand', async () => {
      for (const path of ctx.stack.sockets()) {
        const many = Array.from({ length: 1000 }, (_, i) => request_(Buffer.concat([Buffer.from([0x92 + (i % 10), 1, i % 64]), randomBytes(i % 200)])))
        await raw(path, [HELLO(REQ), ...many], { ms: 300 })
      }
    })
    test('nothing of it did harm', () => unharmed())
  })
})

describe('the disk', () => {
  let postgres
  beforeAll(() => (postgres = Postgres.attach(inject('postgres'))))

  async function filledStack(options) {
    const db = await postgres.database()
    await db.sql("create table kept (id int primary key, v text); insert into kept select n, 'v' || n from generate_series(1, 500) n")
    const stack = await Stack.start({ database: db, ...options })
    opened.push(() => stack.destroy(db))
    await readShape(stack.url, { table: 'kept' })
    return { db, stack }
  }

  /** Stops a stack, does something to its log, and starts it again; the path of the log and where the log lines of the new start begin. */
  async function damaged({ stack }, damage) {
    await stack.stop()
    const [path] = stack.databasesOnDisk()
    expect(path, 'an .mdb file below the data directory').toBeDefined()
    damage(path)
    const from = stack.logText().length
    await stack.launch()
    return { path, said: () => stack.logText().slice(from) }
  }

  /** Shapes that were in a damaged log begin again, under another handle; the client that had them ends right. */
  async function beginsAgain(made, damage, { line = /event=store_renewed/ } = {}) {
    const { db, stack } = made
    const client = syncClient(stack, { table: 'kept' })
    opened.push(() => client.close())
    await client.converges(db, 'kept')
    const [{ handle }] = await readShape(stack.url, { table: 'kept' })
    const { path, said } = await damaged(made, damage)
    await stack.ready()
    await db.sql("update kept set v = 'after' where id < 10; delete from kept where id > 490")
    await client.converges(db, 'kept', { within: 40000 })
    expect(said()).toMatch(line)
    const [again] = await readShape(stack.url, { table: 'kept' })
    expect(again.handle).not.toBe(handle)
    const old = await request(stack.url, { query: { table: 'kept', offset: '0_0', handle } })
    expect([old.status, old.handle]).toEqual([409, again.handle])
    stack.assertSound()
    return path
  }

  const overwrite = (path, at, step, bytes) => {
    const size = statSync(path).size
    const fd = openSync(path, 'r+')
    for (; at < size; at += step) writeSync(fd, randomBytes(bytes), 0, bytes, at)
    closeSync(fd)
  }

  test('a log that is garbage from its first byte is set aside', async () => {
    const path = await beginsAgain(await filledStack(), (p) => writeFileSync(p, randomBytes(65536)), { line: /event=store_set_aside/ })
    expect(statSync(`${path}.damaged`).size).toBe(65536)
  })
  test('a log cut to half a page', async () => {
    await beginsAgain(await filledStack(), (path) => writeFileSync(path, readFileSync(path).subarray(0, 2048)))
  })
  test('a log cut in the middle', async () => {
    await beginsAgain(await filledStack(), (path) => writeFileSync(path, readFileSync(path).subarray(0, 4096 * 5)))
  })
  test('every page but the first two is garbage', async () => {
    const made = await filledStack()
    await beginsAgain(made, (path) => overwrite(path, 8192, 4096, 4096), { line: /event=(store_corrupt|store_renewed)/ })
  })
  test('the machine went down before the log was synced', async () => {
    await beginsAgain(await filledStack(), (path) => writeFileSync(join(dirname(path), 'store.state'), 'open 01234567-89ab-cdef-0123-456789abcdef\n'))
  })
  test('a log of another version', async () => {
    await beginsAgain(await filledStack(), (path) => {
      const bytes = readFileSync(path)
      const name = Buffer.from('sluice-router ')
      let hits = 0
      for (let at = 0; (at = bytes.indexOf(name, at)) >= 0; hits++) bytes[(at += name.length)] = 'x'.charCodeAt(0)
      expect(hits).toBeGreaterThan(0)
      writeFileSync(path, bytes)
    })
  })

  test('pages of a row are torn under a running router: nothing wrong is served, its shapes begin again', async () => {
    const made = await filledStack()
    const { db, stack } = made
    await db.sql("create table wide (id int primary key, v text); insert into wide select n, repeat('w', 9000) from generate_series(1, 300) n")
    const before = await readShape(stack.url, { table: 'wide' })
    const [path] = stack.databasesOnDisk()
    const bytes = readFileSync(path)
    const fd = openSync(path, 'r+')
    let torn = 0
    for (let at = 8192; at < bytes.length; at += 4096)
      if (bytes.subarray(at, at + 4096).every((b) => b === 0x77)) torn += writeSync(fd, randomBytes(4096), 0, 4096, at) > 0
    closeSync(fd)
    expect(torn).toBeGreaterThan(0)
    await stack.kill('edge-0') // it has a copy
    await until(async () => {
      const answer = await request(stack.url, { query: { table: 'wide', offset: '-1', again: Math.random() } }).catch(() => ({}))
      if (answer.status === 200) for (const row of answer.changes) expect(row.value.v).toMatch(/^w{9000}$/)
      return answer.status === 200 && answer.handle !== before[0].handle
    }, { within: 30000, what: () => `the shape has a new handle\n${stack.logTail()}` })
    await stack.ready()
    await stack.says(/event=store_renewed/)
    const client = syncClient(stack, { table: 'wide' })
    opened.push(() => client.close())
    await client.converges(db, 'wide')
    stack.assertSound()
  })

  /** A file that another program left there: the router says so in one line, and does not touch it. */
  async function refusesFile(damage) {
    const made = await filledStack()
    const { path, said } = await damaged(made, damage)
    const before = readFileSync(path)
    const line = await until(() => said().split('\n').find((l) => /svc=router/.test(l) && l.includes(dirname(path))), { what: () => `a line about ${path}\n${made.stack.logTail()}` })
    expect(line).toMatch(/not a store of this program|not ours/)
    await holdsFor(500, async () => (await made.stack.health()) !== 200, 'a stack whose log is foreign is not active')
    expect(readFileSync(path).equals(before)).toBe(true)
    made.stack.assertSound()
  }

  test('another program’s LMDB file', () =>
    refusesFile((path) => writeFileSync(path, gunzipSync(Buffer.from(FOREIGN_LMDB, 'base64')))))
  test('another program’s file, and none of our own', () =>
    refusesFile((path) => {
      writeFileSync(path, 'This is not the log you are looking for.\n'.repeat(500))
      rmSync(join(dirname(path), 'store.state'))
    }))

  /** Fills the disk, looks whether reads go on, makes room, and looks whether everything comes back. */
  async function survivesFullDisk({ db, stack }, makeRoom) {
    const client = syncClient(stack, { table: 'kept' })
    opened.push(() => client.close())
    await client.converges(db, 'kept')
    const { handle, offset } = (await readShape(stack.url, { table: 'kept' })).at(-1)
    for (let n = 0; n < 40; n++) await db.sql(`update kept set v = repeat('${n % 10}', 1000)`)
    await stack.says(/no space|disk.*full|full.*disk|map.*full|MDB_MAP_FULL|ENOSPC/i, 30000)
    const old = await request(stack.url, { query: { table: 'kept', offset: '-1' } })
    expect([old.status, old.handle]).toEqual([200, handle])
    const at = await request(stack.url, { query: { table: 'kept', offset, handle } })
    expect(at.status).toBe(200)
    const slot = async () => (await db.sql("select (pg_current_wal_lsn() - confirmed_flush_lsn)::int8::text behind from pg_replication_slots where slot_name = $1", [stack.slot]))[0].behind
    expect(Number(await slot())).toBeGreaterThan(0)
    await makeRoom()
    await client.converges(db, 'kept', { within: 60000 })
    expect([client.refetches, client.handles.length]).toEqual([0, 1])
    expect(stack.logLines(/no space|disk.*full|full.*disk|map.*full|MDB_MAP_FULL|ENOSPC/i).length, 'not a line for every attempt').toBeLessThan(50)
  }

  test('the map is full (SLUICE_MAP_BYTES), and is made larger', async () => {
    const made = await filledStack({ env: { SLUICE_MAP_BYTES: '4m' } })
    await survivesFullDisk(made, async () => {
      await made.stack.stop()
      await made.stack.launch({ SLUICE_MAP_BYTES: '1g' })
      await made.stack.ready()
    })
  }, deadlineMs(120000))

  test('the file system is full, and there is room again', async (context) => {
    const root = process.getuid() === 0
    const stackDir = `/tmp/sluice-full-${process.pid}`
    const disk = join(stackDir, 'router-0')
    mkdirSync(disk, { recursive: true })
    opened.push(() => rmSync(stackDir, { recursive: true, force: true }))
    try {
      if (!root) throw new Error('not root')
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'none', disk])
    } catch (error) {
      return context.skip(`a small file system cannot be mounted here: ${error.message}`)
    }
    opened.push(() => execFileSync('umount', ['-l', disk]))
    const made = await filledStack({ dataDir: stackDir })
    await survivesFullDisk(made, () => execFileSync('mount', ['-o', 'remount,size=512m', disk]))
  }, deadlineMs(120000))
})
