// An event stream as it is on the wire: frames and comments in the order they came, with the time of each.
import http from 'node:http'
import { encodeQuery } from './http.mjs'
import { until, within } from './wait.mjs'

/** Opens a stream on a connection of its own and waits for the head of the answer. */
export async function openStream(base, query, { headers = {}, live = { live: 'true', live_sse: 'true' } } = {}) {
  const url = new URL(base)
  const req = http.request({ agent: false, host: url.hostname, port: url.port, path: `/v1/shape${encodeQuery({ ...query, ...live })}`, headers })
  const stream = new EventStream(req)
  req.on('error', (error) => stream.failed(error))
  const res = await within(
    new Promise((resolve, reject) => {
      req.once('response', resolve)
      req.once('error', reject)
      req.end()
    }), 15000, 'an event stream has a head')
  stream.take(res)
  return stream
}

class EventStream {
  constructor(req) {
    this.req = req
    this.events = [] // { at, data } or { at, comment }
    this.text = ''
    this.rest = ''
    this.ended = false
    this.began = Date.now()
  }

  take(res) {
    this.res = res
    this.status = res.statusCode
    this.headers = res.headers
    res.setEncoding('utf8')
    res.on('data', (text) => this.feed(text))
    res.on('error', (error) => this.failed(error))
    res.on('close', () => {
      this.ended = true
      this.complete = res.complete
      this.endedAt = Date.now()
    })
  }

  failed(error) {
    this.error ??= error
    this.ended = true
  }

  feed(text) {
    this.text += text
    const blocks = (this.rest + text).split('\n\n')
    this.rest = blocks.pop()
    const at = Date.now()
    for (const block of blocks) this.events.push(block.startsWith(':') ? { at, comment: block } : { at, data: block })
  }

  /** Every data frame, parsed; anything but one `data:` line of JSON in a frame is an error. */
  get messages() {
    return this.events.filter((e) => e.data !== undefined).map(({ data }) => {
      if (!data.startsWith('data: ') || data.includes('\n')) throw new Error(`not a frame: ${data.slice(0, 200)}`)
      return JSON.parse(data.slice('data: '.length))
    })
  }

  get changes() {
    return this.messages.filter((m) => m.headers.operation)
  }

  /** The changes in batches as a client takes them: each ends with an up-to-date message. */
  get batches() {
    const batches = []
    let changes = []
    for (const m of this.messages) {
      if (m.headers.operation) changes.push(m)
      else {
        batches.push({ changes, lsn: m.headers.global_last_seen_lsn })
        changes = []
      }
    }
    return batches
  }

  get keepAlives() {
    return this.events.filter((e) => e.comment === ': keep-alive')
  }

  async until(condition, options) {
    return until(() => condition(this), { what: () => `the stream has it; ${this.events.length} events, last ${JSON.stringify(this.events.at(-1))?.slice(0, 300)}`, ...options })
  }

  /** Until the server ends it. */
  async end(within = 15000) {
    await until(() => this.ended, { within, what: 'the stream ends' })
    if (this.error) throw this.error
    return this
  }

  json() {
    return JSON.parse(this.text)
  }

  close() {
    this.req.destroy()
  }
}
