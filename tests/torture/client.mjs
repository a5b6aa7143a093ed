// One reader of one shape: catch-up, long polls or an event stream. It believes nothing: what it is told goes through the Checker.
import { add, rowHash, sub } from './sum.mjs'
import { messageHash } from './view.mjs'
import { ask, compare, events, position } from './wire.mjs'
import { pause } from '../integration/lib/wait.mjs'

const RING = 40
const DEAF_MS = 45_000 // the official client's patience with one request
const BACKOFF_MS = [20, 50, 100, 200, 400]

let count = 0

export class Client {
  /** @param saved a state to go on from, made by save() */
  constructor(world, definition, { mode, base, saved, rng }) {
    Object.assign(this, { world, definition, mode, base, rng })
    this.name = `client ${++count} (${mode}) of ${definition.name}`
    this.abort = new AbortController()
    this.story = [] // the last requests and answers
    this.told = [] // the last transactions: lsn, entries
    this.failures = 0
    this.progressed = Date.now()
    this.begin()
    if (saved) Object.assign(this, saved, { rows: new Map(saved.rows) })
  }

  get view() {
    return this.world.history.byName.get(this.definition.name)
  }

  begin() {
    this.rows = new Map()
    this.state = 0 // sums of rows and entries, see sum.mjs
    this.entries = 0
    this.handle = undefined
    this.offset = '-1'
    this.at = [-1, 0] // the last entry
    this.snapshot = undefined // snapshot-end's words
    this.upToDate = false
    this.cursor = undefined
    this.columns = undefined // as the first answer's schema says
    this.doubtful = false // has been told what may lack something
  }

  save() {
    const { handle, offset, rows, state, entries, at, snapshot, columns, doubtful } = this
    return { handle, offset, rows: new Map(rows), state, entries, at, snapshot, columns, doubtful, upToDate: false }
  }

  note(text) {
    this.story.push(`${new Date().toISOString().slice(11, 23)} ${text}`)
    if (this.story.length > RING) this.story.shift()
  }

  // ------------------------------------------------------------------ going on

  async run() {
    while (!this.abort.signal.aborted) {
      try {
        await this.step()
        this.failures = 0
      } catch (error) {
        if (this.abort.signal.aborted) return
        if (error.violation) throw error
        this.note(`failed: ${error.message}`)
        this.world.checker.troubled(this, error)
        await this.backOff()
      }
    }
  }

  async backOff() {
    this.base = this.world.edge(this.rng)
    const ms = BACKOFF_MS[Math.min(this.failures++, BACKOFF_MS.length - 1)]
    await pause(ms, undefined, { signal: this.abort.signal }).catch(() => {})
  }

  query() {
    const live = this.upToDate && this.mode !== 'catch-up'
    return {
      ...this.definition.params, offset: this.offset, handle: this.handle, live: live ? 'true' : undefined,
      live_sse: live && this.mode === 'sse' ? 'true' : undefined, cursor: live ? this.cursor : undefined,
    }
  }

  async step() {
    const query = this.query()
    const asked = Date.now()
    this.asking = { since: asked }
    const answer = await ask(this.base, { query, signal: this.abort.signal, patience: DEAF_MS })
    this.asking = undefined
    this.note(`${query.handle ?? ''} ${query.offset}${query.live ? ' live' : ''} → ${answer.status} ${answer.handle ?? ''} ${answer.offset ?? ''}${answer.upToDate ? ' up-to-date' : ''}`)
    this.world.checker.answered(this, { query, asked, answer })
    if (answer.status === 409) return this.refetch(answer)
    if (answer.status !== 200) {
      if (answer.response.complete === false) answer.response.destroy()
      throw new Error(`${answer.status} ${answer.text ?? ''}`)
    }
    this.handle = answer.handle
    if (!this.columns && answer.headers['electric-schema']) this.columns = Object.keys(JSON.parse(answer.headers['electric-schema'])).sort()
    this.cursor = answer.cursor
    if (answer.text === undefined) return this.stream(answer)
    await this.read(answer, query, asked)
    if (this.mode === 'catch-up' && this.upToDate) await pause(this.rng.int(50, 600), undefined, { signal: this.abort.signal })
    return undefined
  }

  async read(answer, query, asked) {
    const messages = JSON.parse(answer.text)
    this.world.checker.body(this, { query, asked, answer })
    for (const m of messages) this.take(m)
    if (compare(position(answer.offset), position(this.offset)) < 0) this.wrong(`went back from ${this.offset} to ${answer.offset}`)
    if (answer.offset === this.offset && messages.some((m) => m.headers.operation)) this.wrong(`entries, but still at ${answer.offset}`)
    if (compare(position(answer.offset), this.at) < 0) this.wrong(`an entry at ${this.at} in an answer that ends at ${answer.offset}`)
    if (answer.offset !== this.offset) this.progressed = Date.now()
    this.offset = answer.offset
    this.upToDate = answer.upToDate
    if (messages.some((m) => m.headers.control === 'up-to-date') !== answer.upToDate) this.wrong('header and body differ about up-to-date')
  }

  async stream(answer) {
    const stop = () => answer.response.destroy()
    this.abort.signal.addEventListener('abort', stop)
    this.asking = { since: Date.now(), stream: true }
    try {
      for await (const m of events(answer.response)) {
        this.take(m)
        if (m.headers.lsn !== undefined) this.offset = `${m.headers.lsn}_${m.headers.op_position}`
        // The official client goes on from here: what it has of that transaction may come again.
        this.upToDate = m.headers.control === 'up-to-date'
        if (this.upToDate) this.again = `${m.headers.global_last_seen_lsn}_0`
      }
    } finally {
      this.abort.signal.removeEventListener('abort', stop)
      this.asking = undefined
    }
    this.note(`stream ended at ${this.offset}`)
    if (this.again && this.rng.chance(0.3) && position(this.again)[0] <= this.at[0]) {
      this.offset = this.again
      this.repeats = this.at
    }
    this.again = undefined
  }

  refetch() {
    this.begin()
  }

  // ------------------------------------------------------------------ messages

  take(m) {
    const { control, operation } = m.headers
    if (control === 'snapshot-end') this.snapshotEnd(m.headers)
    else if (control === 'up-to-date') this.world.checker.upToDate(this, m.headers)
    else if (operation) this.change(m)
    else this.wrong(`what is that: ${JSON.stringify(m).slice(0, 200)}`)
  }

  snapshotEnd(headers) {
    this.snapshot = headers
    this.world.checker.snapshot(this)
  }

  change(m) {
    if (m.headers.lsn === undefined) {
      if (this.snapshot) this.wrong(`a row of the snapshot behind its end: ${m.key}`)
      return this.put(m, { operation: 'insert' })
    }
    const at = [Number(m.headers.lsn), m.headers.op_position]
    if (this.repeats && compare(at, this.repeats) <= 0) return undefined
    this.repeats = undefined
    if (compare(at, this.at) <= 0) this.wrong(`${m.key} at ${at.join('_')} after ${this.at.join('_')}`)
    this.at = at
    this.progressed = Date.now()
    const hash = messageHash(m.headers.lsn, m.headers.txids.join(), {
      operation: m.headers.operation, key: m.key, value: m.value, old: m.old_value, to: m.headers.key_change_to, from: m.headers.key_change_from,
      last: m.headers.last,
    })
    this.entries = add(this.entries, hash)
    this.remember(at[0], hash, m)
    return this.put(m, m.headers)
  }

  remember(lsn, hash, m) {
    if (this.told.at(-1)?.lsn !== lsn) this.told.push({ lsn, entries: 0, messages: [] })
    const last = this.told.at(-1)
    last.entries = add(last.entries, hash)
    if (last.messages.length < 20) last.messages.push(m)
    if (this.told.length > 3 * RING) this.told.shift()
  }

  put({ key, value }, { operation }) {
    if (this.definition.log === 'changes_only') return
    const known = this.rows.get(key)
    if (operation === 'insert' && known) this.doubt(`insert of ${key}, which is there`)
    if (operation !== 'insert' && !known) this.doubt(`${operation} of ${key}, which is not there`)
    if (known) this.state = sub(this.state, known.hash)
    this.rows.delete(key)
    if (operation === 'delete') return
    const values = { ...known?.values, ...value }
    const hash = rowHash(key, this.columns, values)
    this.state = add(this.state, hash)
    this.rows.set(key, { values, hash })
  }

  /** Wrong, unless something may be missing just now; then whether it ends in time is seen at the next up-to-date. */
  doubt(what) {
    this.doubtful ||= this.world.excuses.staleness(this.definition, Date.now())
    if (!this.doubtful) this.wrong(what)
  }

  wrong(what) {
    this.world.checker.violation(what, { client: this })
  }

  stop() {
    this.abort.abort()
  }
}
