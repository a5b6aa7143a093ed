// The bus over TLS: the services started one by one, as on hosts of their own. Who cannot show a certificate of the bus' CA
// can neither read nor write.
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import net from 'node:net'
import tls from 'node:tls'
import { join } from 'node:path'
import { Authority } from './lib/certificates.mjs'
import { readShape, request } from './lib/http.mjs'
import { addParty, logPath } from './lib/parties.mjs'
import { freePorts } from './lib/ports.mjs'
import { Postgres } from './lib/postgres.mjs'
import { end, start } from './lib/process.mjs'
import { binary } from './lib/stack.mjs'
import { until, within } from './lib/wait.mjs'

const dir = mkdtempSync('/tmp/sluice-tls-')
const log = logPath('bus-tls')
const authority = new Authority(dir, 'bus')
const stranger = new Authority(dir, 'stranger')
const own = authority.issue('localhost')
const children = []
let db, ports, common

const knobs = ({ ca, cert, key }) => ({ SLUICE_BUS_CA_FILE: ca, SLUICE_BUS_CERT_FILE: cert, SLUICE_BUS_KEY_FILE: key })
const at = (i, scheme = 'tls+tcp') => `${scheme}://localhost:${ports + i}`

function service(name, env) {
  const child = start(binary(name), [], { log, env: { PATH: process.env.PATH, ...common, ...env } })
  children.push(child)
  return child
}

const edge = (env, port) =>
  service('edge', {
    SLUICE_INSECURE: 'true', SLUICE_HTTP_HOST: '127.0.0.1', SLUICE_HTTP_PORT: String(port), SLUICE_LONG_POLL_TIMEOUT: '2s',
    SLUICE_ROUTER_NOTICES_URLS: at(2), SLUICE_ROUTER_FETCH_URLS: at(3), ...env,
  })

const url = () => `http://127.0.0.1:${ports + 4}`
const health = async (port) => {
  try {
    return (await request(`http://127.0.0.1:${port}`, { path: '/v1/health' }, 2000)).status
  } catch {
    return 0
  }
}
const text = () => readFileSync(log, 'utf8')

beforeAll(async () => {
  addParty('bus-tls', log)
  db = await Postgres.attach(inject('postgres')).database()
  ports = await freePorts(10)
  common = { DATABASE_URL: db.url, SLUICE_STREAM_ID: `it_${randomBytes(5).toString('hex')}`, SLUICE_DRAIN_TIMEOUT: '2s' }
  await db.sql('create table kept (id int primary key, note text)')
  await db.sql("insert into kept values (1, 'secret of the tenant')")
  service('ingest', { ...knobs(own), SLUICE_INGEST_CHANGES_URL: at(0), SLUICE_INGEST_CONTROL_URL: at(1) })
  service('router', {
    ...knobs(own), SLUICE_ROUTER_DIR: join(dir, 'router'), SLUICE_INGEST_CHANGES_URLS: at(0), SLUICE_INGEST_CONTROL_URLS: at(1),
    SLUICE_ROUTER_NOTICES_URL: at(2), SLUICE_ROUTER_FETCH_URL: at(3),
  })
  edge(knobs(own), ports + 4)
  await until(async () => (await health(ports + 4)) === 200, { what: () => `the edge is active\n${text()}` })
})

afterAll(async () => {
  for (const child of children.reverse()) await end(child, 'SIGTERM', 15000, 'a service')
  await db?.sql(`select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name like '%${common.SLUICE_STREAM_ID}'`)
  rmSync(dir, { recursive: true, force: true })
})

async function works() {
  const answers = await readShape(url(), { table: 'kept' })
  const last = answers.at(-1)
  const id = Math.floor(Math.random() * 1e9)
  const live = request(url(), { query: { table: 'kept', handle: last.handle, offset: last.offset, live: 'true' } })
  await db.sql(`insert into kept values (${id}, 'again')`)
  expect((await live).changes.map((c) => c.value.id)).toEqual([String(id)])
}

/** What a peer hears that sends the greeting of NNG's protocol `number` and waits for the other end to hang up. */
const heardBy = (socket, number) =>
  within(
    new Promise((resolve) => {
      const heard = []
      socket.on('data', (bytes) => heard.push(bytes))
      socket.on('error', () => {})
      socket.on('close', () => resolve(Buffer.concat(heard)))
      socket.write(Buffer.from([0, 0x53, 0x50, 0, 0, number, 0, 0]))
      socket.write(Buffer.alloc(64))
    }),
    15000, 'the bus hangs up',
  )
const SUB = 0x21, REQ = 0x30

describe('a bus over TLS', () => {
  test('carries everything', works)

  test('who shows a certificate of the CA is greeted', async () => {
    const socket = tls.connect({ host: '127.0.0.1', port: ports + 2, servername: 'localhost', ca: readFileSync(own.ca), cert: readFileSync(own.cert), key: readFileSync(own.key) })
    const first = await within(new Promise((resolve, reject) => socket.once('data', resolve).once('error', reject)), 15000, 'a greeting')
    expect(first.subarray(0, 3)).toEqual(Buffer.from('\0SP'))
    socket.destroy()
  })

  test('plain TCP hears nothing of the bus', async () => {
    for (const [port, protocol] of [[0, SUB], [1, REQ], [2, SUB], [3, REQ]]) {
      const heard = await heardBy(net.connect(ports + port, '127.0.0.1'), protocol)
      expect(heard.includes(Buffer.from('SP'))).toBe(false)
      expect(heard.length).toBeLessThan(64) // an alert of TLS
    }
    await works()
  })

  const refused = {
    'no certificate': () => ({}),
    'a certificate of another CA': () => stranger.issue('localhost'),
    'a certificate that has ended': () => authority.issue('localhost', { days: -1 }),
  }
  for (const [what, make] of Object.entries(refused)) {
    test(`${what}: hears nothing`, async () => {
      const { cert, key } = make()
      for (const [port, protocol] of [[0, SUB], [1, REQ], [2, SUB], [3, REQ]]) {
        const socket = tls.connect({
          host: '127.0.0.1', port: ports + port, servername: 'localhost', ca: readFileSync(authority.file), maxVersion: 'TLSv1.2',
          cert: cert && readFileSync(cert), key: key && readFileSync(key),
        })
        expect((await heardBy(socket, protocol)).length).toBe(0)
      }
      await works()
    })
  }

  test('an edge with strange certificates serves nothing, says so, and disturbs nobody', async () => {
    const lone = edge(knobs(stranger.issue('localhost', { name: 'lone' })), ports + 5)
    await until(() => /svc=edge.*event=bus_unconnected/.test(text()), { within: 30000, what: () => `a line about it\n${text().slice(-2000)}` })
    expect(await health(ports + 5)).not.toBe(200)
    const answer = await request(`http://127.0.0.1:${ports + 5}`, { query: { table: 'kept', offset: '-1' } })
    expect(answer.status).toBe(503)
    expect(answer.text).not.toContain('secret of the tenant')
    await end(lone, 'SIGTERM', 15000, 'the lone edge')
    children.splice(children.indexOf(lone), 1)
    await works()
  })

  test('who dials demands the name: a certificate for another host is refused', async () => {
    const impostor = authority.issue('elsewhere')
    const server = tls.createServer({ cert: readFileSync(impostor.cert), key: readFileSync(impostor.key) })
    const alerts = []
    server.on('tlsClientError', (error) => alerts.push(error.code))
    const secured = new Promise((resolve) => server.on('secureConnection', resolve))
    await new Promise((resolve) => server.listen(ports + 6, '127.0.0.1', resolve))
    const fooled = edge({ ...knobs(own), SLUICE_ROUTER_NOTICES_URLS: at(6), SLUICE_ROUTER_FETCH_URLS: at(6) }, ports + 7)
    const outcome = await Promise.race([secured.then(() => 'trusted'), until(() => alerts.length > 2 && 'refused', { what: 'three refusals' })])
    expect(outcome).toBe('refused')
    await end(fooled, 'SIGTERM', 15000, 'the fooled edge')
    children.splice(children.indexOf(fooled), 1)
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('settings that would leave the bus open', () => {
  const fails = (env) => {
    try {
      execFileSync(binary('edge'), { env: { PATH: process.env.PATH, SLUICE_INSECURE: 'true', SLUICE_HTTP_PORT: String(ports + 8), ...env }, stdio: 'pipe' })
    } catch (error) {
      return `${error.status} ${error.stderr}`
    }
    return 'it ran'
  }
  const urls = (scheme) => ({ SLUICE_ROUTER_NOTICES_URLS: at(2, scheme), SLUICE_ROUTER_FETCH_URLS: at(3, scheme) })

  test('tls+tcp:// without certificates', () => expect(fails(urls('tls+tcp'))).toMatch(/^2 .*SLUICE_BUS_CA_FILE/))
  test('tcp:// with certificates', () => expect(fails({ ...urls('tcp'), ...knobs(own) })).toMatch(/^2 .*tls\+tcp/))
  test('one of three files', () => expect(fails({ ...urls('tls+tcp'), SLUICE_BUS_CA_FILE: own.ca })).toMatch(/^2 .*all three/))
  test('a file that is not there', () => expect(fails({ ...urls('tls+tcp'), ...knobs({ ...own, key: '/nowhere.key' }) })).toMatch(/^2 .*nowhere\.key/))
  test('a key that is not a key', () => expect(fails({ ...urls('tls+tcp'), ...knobs({ ...own, key: own.cert }) })).toMatch(/^2 .*not a CA/))
})
