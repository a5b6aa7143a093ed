// The official client, strict about what it is told: every row is inserted once, only rows that are
// there are changed, and log entries come in order.
import { ShapeStream, FetchError } from '@electric-sql/client'
import { deadlineMs } from './wait.mjs'
import { expectedRows, fingerprint } from './oracle.mjs'

/** Overrides every parser that the client has by itself: values stay the text that was sent. */
const NO_PARSING = Object.fromEntries(
  ['int2', 'int4', 'int8', 'bool', 'float4', 'float8', 'json', 'jsonb'].map((type) => [type, (value) => value]))

export class SyncClient {
  /**
   * `redelivers`: entries may come a second time, exactly as they were. After an event stream the client goes on at `<lsn>_0`, whatever
   * it has of that transaction.
   */
  constructor(base, params, { strict = true, redelivers = false, signal, ...options } = {}) {
    this.params = params
    this.rows = new Map()
    this.log = []
    this.anomalies = []
    this.refetches = 0
    this.errors = []
    this.handles = []
    this.waiting = new Set()
    this.strict = strict
    this.redelivers = redelivers
    this.redelivered = 0
    this.position = [-1n, -1n]
    this.abort = new AbortController()
    this.stream = new ShapeStream({
      url: `${base}/v1/shape`,
      params,
      signal: this.abort.signal,
      parser: NO_PARSING,
      backoffOptions: { initialDelay: 30, maxDelay: 300, multiplier: 1.5, maxRetries: Infinity },
      onError: (error) => this.failed(error),
      ...options,
    })
    this.unsubscribe = this.stream.subscribe((messages) => this.take(messages), (error) => this.failed(error))
  }

  failed(error) {
    if (this.abort.signal.aborted) return
    this.errors.push(error instanceof FetchError ? `${error.status} ${JSON.stringify(error.json ?? error.text)}` : String(error))
    this.wake()
  }

  take(messages) {
    for (const m of messages) {
      if (m.headers.control === 'must-refetch') this.refetch()
      else if (m.headers.operation) this.change(m)
    }
    const handle = this.stream.shapeHandle
    if (handle && handle !== this.handles.at(-1)) this.handles.push(handle)
    this.wake()
  }

  refetch() {
    this.refetches++
    this.rows.clear()
    this.position = [-1n, -1n]
    this.log.push({ refetch: true })
  }

  change({ key, value, headers }) {
    if (this.redelivers && this.isKnown({ key, value, headers })) return
    this.log.push({ key, value, headers })
    this.inOrder(headers, key)
    const known = this.rows.has(key)
    if (headers.operation === 'insert') {
      if (known) this.strange(`insert of ${key}, which is there`)
      this.rows.set(key, { ...value })
    } else if (headers.operation === 'update') {
      if (!known) this.strange(`update of ${key}, which is not there`)
      this.rows.set(key, { ...this.rows.get(key), ...value })
    } else {
      if (!known) this.strange(`delete of ${key}, which is not there`)
      this.rows.delete(key)
    }
  }

  isKnown(entry) {
    if (entry.headers.lsn === undefined || BigInt(entry.headers.lsn) !== this.position[0] || BigInt(entry.headers.op_position) > this.position[1]) return false
    const text = JSON.stringify(entry)
    const known = this.log.findLast((m) => m.headers?.lsn === entry.headers.lsn && m.headers.op_position === entry.headers.op_position)
    if (JSON.stringify(known) !== text) this.strange(`${text} again, but it was ${JSON.stringify(known)}`)
    this.redelivered++
    return true
  }

  inOrder(headers, key) {
    if (headers.lsn === undefined) return
    const at = [BigInt(headers.lsn), BigInt(headers.op_position)]
    const [lsn, op] = this.position
    if (at[0] < lsn || (at[0] === lsn && at[1] <= op)) this.strange(`${key} at ${at.join('_')} after ${this.position.join('_')}`)
    this.position = at
  }

  strange(what) {
    if (this.strict) this.anomalies.push(what)
  }

  wake() {
    for (const check of [...this.waiting]) check()
  }

  /** Resolves when `condition(this)` holds; looked at after every batch of messages. */
  until(condition, { within = 20000, what = 'the client sees it' } = {}) {
    return new Promise((resolve, reject) => {
      const leave = () => {
        clearTimeout(timer)
        this.waiting.delete(check)
      }
      const check = () => {
        if (!condition(this)) return
        leave()
        resolve(this)
      }
      const timer = setTimeout(() => {
        leave()
        const text = typeof what === 'function' ? what() : what
        reject(new Error(`client ${JSON.stringify(this.params)}: not within ${deadlineMs(within)} ms: ${text}${this.describe()}`))
      }, deadlineMs(within))
      this.waiting.add(check)
      check()
    })
  }

  describe() {
    const errors = this.errors.slice(-3).join('\n  ')
    return `\n  ${this.rows.size} rows, handle ${this.stream.shapeHandle}, offset ${this.stream.lastOffset}, ${this.refetches} refetches${errors && `\n  errors: ${errors}`}`
  }

  upToDate(options) {
    return this.until(() => this.stream.isUpToDate, { what: 'up to date', ...options })
  }

  /** Waits until the client's rows are the table's, which must not be written to meanwhile. `expected`: its rows, when they have been read already. */
  async converges(database, table, options = {}) {
    const expected = options.expected ?? (await expectedRows(database, table, options))
    const wanted = new Set(fingerprint(expected)) // equal rows of a table without key are one row to a client
    const difference = () => firstDifference(fingerprint([...this.rows.values()]), wanted)
    await this.until(() => this.rows.size === wanted.size && !difference(), {
      what: () => `rows equal SELECT: ${this.rows.size} here, ${wanted.size} there${difference()}`,
      ...options,
    })
    this.assertSound()
  }

  assertSound() {
    if (this.anomalies.length) throw new Error(`client ${JSON.stringify(this.params)}: ${this.anomalies.length} strange messages: ${this.anomalies.slice(0, 5).join('; ')}`)
  }

  close() {
    this.unsubscribe()
    this.abort.abort()
  }
}

function firstDifference(rows, wanted) {
  const have = new Set(rows)
  const extra = rows.filter((x) => !wanted.has(x))
  const missing = [...wanted].filter((x) => !have.has(x))
  if (!extra.length && !missing.length) return ''
  return `\n  ${missing.length} missing, first ${missing[0]?.slice(0, 1500)}\n  ${extra.length} too many, first ${extra[0]?.slice(0, 1500)}`
}

/** @param target a Stack or the URL of an edge */
export function syncClient(target, params, options) {
  return new SyncClient(typeof target === 'string' ? target : target.url, params, options)
}
