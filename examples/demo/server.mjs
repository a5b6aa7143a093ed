// The write side of the demo: a small API over the table `todos`. Sluice only reads; an application's
// writes go their own way, and this is that way. Environment:
//   DATABASE_URL   where to write
//   DEMO_PORT      port to listen on (PORT also does; default 3100), on 127.0.0.1
//   SLUICE_URL     where the page reads (default http://127.0.0.1:3000)
// It also serves the page itself below /demo/, for when no edge does.
import http from 'node:http'
import { readFile } from 'node:fs/promises'

const PORT = Number(process.env.DEMO_PORT ?? process.env.PORT ?? 3100)
const SLUICE_URL = process.env.SLUICE_URL ?? 'http://127.0.0.1:3000'
const TITLE_MAX = 500
const BODY_MAX = 16 * 1024
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const PAGE = {
  'index.html': 'text/html; charset=utf-8',
  'main.js': 'text/javascript; charset=utf-8',
  'style.css': 'text/css; charset=utf-8',
}

class Refused extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

function fail(message) {
  console.error(`demo: ${message}`)
  process.exit(1)
}

async function connect() {
  if (!process.env.DATABASE_URL) fail('DATABASE_URL is not set')
  const { default: pg } = await import('pg').catch(() => fail('run `npm ci && npm run build` in examples/demo first'))
  const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 4 })
  pool.on('error', (error) => console.error(`demo: database: ${error.message}`))
  return pool
}

/** Two servers may start at once: `if not exists` alone does not make that safe. */
async function createTable(pool) {
  await pool.query(`do $$ begin
    if to_regclass('public.todos') is null then
      create table public.todos (
        id uuid primary key default gen_random_uuid(),
        title text not null,
        done boolean not null default false,
        created_at timestamptz not null default now());
    end if;
  exception when duplicate_table or unique_violation then null;
  end $$`)
}

// ---------------------------------------------------------------- input

async function readJson(req) {
  let size = 0
  const chunks = []
  for await (const chunk of req) {
    size += chunk.length
    if (size > BODY_MAX) throw new Refused(413, `the body is larger than ${BODY_MAX} bytes`)
    chunks.push(chunk)
  }
  let body
  try {
    body = JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new Refused(400, 'the body is not JSON')
  }
  if (body === null || typeof body !== 'object' || Array.isArray(body)) throw new Refused(400, 'the body is not an object')
  return body
}

function titleOf(value) {
  if (typeof value !== 'string' || !value.trim()) throw new Refused(400, 'title must be a text')
  if (value.length > TITLE_MAX) throw new Refused(400, `title is longer than ${TITLE_MAX} characters`)
  if (value.includes('\0')) throw new Refused(400, 'title contains a NUL')
  return value.trim()
}

function doneOf(value) {
  if (typeof value !== 'boolean') throw new Refused(400, 'done must be true or false')
  return value
}

// ---------------------------------------------------------------- the API

const api = {
  async POST(pool, id, req) {
    if (id !== undefined) throw new Refused(404, 'not found')
    const { title } = await readJson(req)
    const { rows } = await pool.query('insert into public.todos (title) values ($1) returning id', [titleOf(title)])
    return [201, { id: rows[0].id }]
  },

  async PATCH(pool, id, req) {
    const body = await readJson(req)
    const title = body.title === undefined ? null : titleOf(body.title)
    const done = body.done === undefined ? null : doneOf(body.done)
    if (title === null && done === null) throw new Refused(400, 'neither title nor done')
    const { rowCount } = await pool.query(
      'update public.todos set title = coalesce($2, title), done = coalesce($3, done) where id = $1', [uuid(id), title, done])
    if (!rowCount) throw new Refused(404, 'no such todo')
    return [200, { id }]
  },

  async DELETE(pool, id) {
    const { rowCount } = await pool.query('delete from public.todos where id = $1', [uuid(id)])
    if (!rowCount) throw new Refused(404, 'no such todo')
    return [200, { id }]
  },
}

function uuid(id) {
  if (!UUID.test(id ?? '')) throw new Refused(404, 'not found')
  return id
}

// ---------------------------------------------------------------- HTTP

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

/** Pages of this machine and of Sluice's own origin may write; another site that the user happens to visit may not. */
function mayWrite(origin) {
  if (origin === undefined || origin === new URL(SLUICE_URL).origin) return true
  try {
    return LOOPBACK.has(new URL(origin).hostname)
  } catch {
    return false
  }
}

function allow(req, res) {
  const { origin } = req.headers
  res.setHeader('vary', 'origin')
  if (!mayWrite(origin)) throw new Refused(403, `pages of ${origin} may not use this server`)
  if (origin === undefined) return
  res.setHeader('access-control-allow-origin', origin)
  res.setHeader('access-control-allow-methods', 'GET, POST, PATCH, DELETE, OPTIONS')
  res.setHeader('access-control-allow-headers', 'content-type')
  res.setHeader('access-control-max-age', '86400')
}

function answer(res, status, body, headers = { 'content-type': 'application/json; charset=utf-8' }) {
  res.writeHead(status, { 'cache-control': 'no-store', ...headers })
  res.end(body === undefined ? undefined : headers['content-type']?.startsWith('application/json') ? JSON.stringify(body) : body)
}

async function servePage(res, name) {
  if (name === 'config.json') return answer(res, 200, { sync: SLUICE_URL, api: '' })
  const file = name || 'index.html'
  if (!PAGE[file]) throw new Refused(404, 'not found')
  const bytes = await readFile(new URL(`dist/${file}`, import.meta.url)).catch(() => {
    throw new Refused(503, 'the page is not built: npm ci && npm run build')
  })
  answer(res, 200, bytes, { 'content-type': PAGE[file] })
}

async function handle(pool, req, res) {
  const { pathname } = new URL(req.url, 'http://localhost')
  allow(req, res)
  if (req.method === 'OPTIONS') return answer(res, 204, undefined, {})
  const todo = /^\/api\/todos(?:\/([^/]+))?$/.exec(pathname)
  if (todo && Object.hasOwn(api, req.method)) {
    const [status, body] = await api[req.method](pool, todo[1], req)
    return answer(res, status, body)
  }
  if (req.method !== 'GET' && req.method !== 'HEAD') throw new Refused(404, 'not found')
  if (pathname === '/health') {
    await pool.query('select 1')
    return answer(res, 200, { status: 'active' })
  }
  if (pathname === '/' || pathname === '/demo') return answer(res, 302, undefined, { location: '/demo/' })
  if (pathname.startsWith('/demo/')) return servePage(res, pathname.slice('/demo/'.length))
  throw new Refused(404, 'not found')
}

function refuse(req, res, error) {
  const status = error.status ?? (error.code === 'ERR_INVALID_URL' ? 400 : 503)
  if (!error.status) console.error(`demo: ${req.method} ${req.url}: ${error.message}`)
  if (res.headersSent) return res.destroy()
  if (status === 413) res.setHeader('connection', 'close')
  answer(res, status, { error: error.status ? error.message : 'the database does not answer' })
}

const pool = await connect()
await createTable(pool).catch((error) => fail(`cannot create the table todos: ${error.message}`))
const server = http.createServer((req, res) => handle(pool, req, res).catch((error) => refuse(req, res, error)))
server.on('error', (error) => fail(`cannot listen on port ${PORT}: ${error.message}`))
server.listen(PORT, '127.0.0.1', () => console.error(`demo: http://127.0.0.1:${PORT}/demo/`))
for (const signal of ['SIGTERM', 'SIGINT']) {
  process.on(signal, () => {
    server.close(() => pool.end())
    server.closeAllConnections()
  })
}
