// HTTP as it is on the wire: node:http and plain sockets; nothing is followed, retried or hidden.
import http from 'node:http'
import net from 'node:net'
import { within } from './wait.mjs'

export function encodeQuery(query = {}) {
  const parts = []
  for (const [k, v] of Object.entries(query)) {
    if (v === undefined || v === null) continue
    parts.push(`${encodeURIComponent(k)}=${encodeURIComponent(String(v))}`)
  }
  return parts.length ? `?${parts.join('&')}` : ''
}

/** Sends one request on a connection of its own; `answer` is a promise, `abort()` hangs up. */
export function begin(base, { method = 'GET', path = '/v1/shape', query, headers = {}, body } = {}) {
  const url = new URL(base)
  const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
  const req = http.request({
    agent: false, host: url.hostname, port: url.port, method, path: path + encodeQuery(query), headers: { ...length, ...headers },
  })
  const answer = new Promise((resolve, reject) => {
    req.once('error', reject)
    req.once('response', (res) => {
      const chunks = []
      res.on('data', (c) => chunks.push(c))
      res.once('error', reject)
      res.once('close', () => res.complete || reject(new Error('the answer was cut off')))
      res.once('end', () => resolve(shaped(res, Buffer.concat(chunks))))
    })
  })
  answer.catch(() => {})
  req.end(body)
  return { answer, abort: () => req.destroy(), sent: new Promise((resolve) => req.once('finish', resolve)) }
}

export async function request(base, spec, ms = 15000) {
  const { answer, abort } = begin(base, spec)
  try {
    return await within(answer, ms, `${spec.method ?? 'GET'} ${spec.path ?? '/v1/shape'}${encodeQuery(spec.query)} answers`)
  } finally {
    abort()
  }
}

function shaped(res, buffer) {
  const text = buffer.toString('utf8')
  const json = parse(text)
  const messages = Array.isArray(json) ? json : []
  const h = res.headers
  return {
    status: res.statusCode,
    headers: h,
    rawHeaders: res.rawHeaders,
    text,
    buffer,
    bytes: buffer.length,
    json,
    messages,
    changes: messages.filter((m) => m?.headers?.operation),
    control: messages.filter((m) => m?.headers?.control).map((m) => m.headers.control),
    handle: h['electric-handle'],
    offset: h['electric-offset'],
    etag: h.etag,
    upToDate: 'electric-up-to-date' in h,
  }
}

function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Writes bytes to a TCP port or a unix socket and gathers what comes back until the peer hangs up, `done(text)`, or the deadline. */
export function raw(target, bytes, { ms = 5000, done = () => false, end = false } = {}) {
  const socket = typeof target === 'string' ? net.connect(target) : net.connect(target, '127.0.0.1')
  return new Promise((resolve) => {
    const state = { text: '', closed: false, error: undefined }
    const finish = () => {
      clearTimeout(timer)
      socket.destroy()
      resolve(state)
    }
    const timer = setTimeout(finish, ms)
    socket.on('connect', () => {
      for (const piece of [].concat(bytes)) socket.write(piece)
      if (end) socket.end()
    })
    socket.on('data', (d) => {
      state.text += d.toString('latin1')
      if (done(state.text)) finish()
    })
    socket.on('error', (e) => (state.error = e))
    socket.on('close', () => {
      state.closed = true
      finish()
    })
  })
}

/** Reads a shape by hand from `offset` until it is up to date: the list of answers. */
export async function readShape(base, params, { offset = '-1', handle } = {}) {
  const answers = []
  for (let n = 0; n < 10000; n++) {
    const answer = await request(base, { query: { ...params, offset, handle } }, 30000)
    if (answer.status !== 200) throw new Error(`${answer.status} at ${offset}: ${answer.text.slice(0, 300)}`)
    answers.push({ ...answer, requested: offset })
    if (answer.upToDate) return answers
    offset = answer.offset
    handle = answer.handle
  }
  throw new Error('a shape without an end')
}
