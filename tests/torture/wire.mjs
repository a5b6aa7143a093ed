// HTTP as torture's clients speak it: kept connections, nothing followed or retried, event streams read frame by frame.
import http from 'node:http'
import { encodeQuery } from '../integration/lib/http.mjs'

const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 64 })

/**
 * One request; `signal` ends it, and so does the end of `patience` (ms) without an answer. Resolves with the head and, unless it is
 * an event stream, the body.
 */
export function ask(base, { method = 'GET', path = '/v1/shape', query, body, signal, patience = 20_000 }) {
  const url = new URL(base)
  const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const req = http.request({ agent, host: url.hostname, port: url.port, method, path: path + encodeQuery(query), headers, signal })
    const timer = setTimeout(() => req.destroy(new Error(`no answer within ${patience} ms`)), patience)
    req.once('close', () => clearTimeout(timer))
    req.once('error', reject)
    req.once('response', (res) => {
      clearTimeout(timer)
      const answer = {
        status: res.statusCode, headers: res.headers, handle: res.headers['electric-handle'], offset: res.headers['electric-offset'],
        cursor: res.headers['electric-cursor'], upToDate: 'electric-up-to-date' in res.headers, response: res,
      }
      if ((res.headers['content-type'] ?? '').startsWith('text/event-stream')) return resolve(answer)
      const chunks = []
      res.on('data', (chunk) => chunks.push(chunk))
      res.once('error', reject)
      res.once('close', () => res.complete || reject(new Error('the answer was cut off')))
      res.once('end', () => {
        answer.text = Buffer.concat(chunks).toString('utf8')
        resolve(answer)
      })
    })
    req.end(body)
  })
}

/** The messages of an event stream, one by one; ends with the stream. */
export async function* events(response) {
  let rest = ''
  response.setEncoding('utf8')
  try {
    for await (const piece of response) {
      const frames = (rest + piece).split('\n\n')
      rest = frames.pop()
      for (const frame of frames) if (frame.startsWith('data: ')) yield JSON.parse(frame.slice(6))
    }
  } catch (error) {
    if (!/aborted|ECONNRESET/.test(`${error.code} ${error.message}`)) throw error
  }
}

/** <tx>_<op> as two numbers; op may be Infinity. -1 comes before everything. */
export function position(offset) {
  if (offset === '-1') return [-1, 0]
  const [tx, op] = offset.split('_')
  return [Number(tx), op === 'inf' ? Infinity : Number(op)]
}

export const compare = (a, b) => a[0] - b[0] || (a[1] === b[1] ? 0 : a[1] - b[1])
