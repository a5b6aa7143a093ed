// The oracle's own reading of the WAL: a logical slot with pgoutput, decoded here. It shares nothing with Sluice's.
import { EventEmitter } from 'node:events'
import { pause } from '../integration/lib/wait.mjs'

const PLUGIN_OPTIONS = "(proto_version '1', publication_names 'oracle', messages 'true')"
const DISPLAY = '-c datestyle=ISO -c timezone=UTC -c extra_float_digits=1 -c bytea_output=hex -c intervalstyle=iso_8601 -c statement_timeout=0'
const STATUS_MS = 1000

/** A cursor over a message. */
class Reader {
  constructor(buffer) {
    this.buffer = buffer
    this.at = 0
  }
  u8() { return this.buffer[this.at++] }
  u16() { return this.skip(2), this.buffer.readUInt16BE(this.at - 2) }
  u32() { return this.skip(4), this.buffer.readUInt32BE(this.at - 4) }
  u64() { return this.skip(8), Number(this.buffer.readBigUInt64BE(this.at - 8)) }
  skip(n) { this.at += n }
  char() { return String.fromCharCode(this.u8()) }
  text(n) { return this.skip(n), this.buffer.toString('utf8', this.at - n, this.at) }
  string() {
    const end = this.buffer.indexOf(0, this.at)
    const out = this.buffer.toString('utf8', this.at, end)
    this.at = end + 1
    return out
  }
}

/** A column whose value was not sent, because it did not change and is stored out of line. */
export const UNCHANGED = Symbol('unchanged')

function readTuple(r) {
  return Array.from({ length: r.u16() }, () => {
    const kind = r.char()
    if (kind === 'n') return null
    if (kind === 'u') return UNCHANGED
    return r.text(r.u32())
  })
}

function readRelation(r) {
  const relation = { oid: r.u32(), schema: r.string(), table: r.string(), identity: r.char() }
  relation.columns = Array.from({ length: r.u16() }, () => {
    const flags = r.u8()
    const column = { name: r.string(), isKey: (flags & 1) === 1, type: r.u32() }
    r.skip(4)
    return column
  })
  return relation
}

function readChange(r, kind) {
  const change = { kind, oid: r.u32() }
  for (let part; r.at < r.buffer.length && (part = r.char()); ) {
    if (part === 'N') change.new = readTuple(r)
    else change.old = { whole: part === 'O', tuple: readTuple(r) }
  }
  return change
}

/**
 * Emits 'transaction' {lsn, xid, changes}, in order of commit, each once; 'tick' (text, lsn), for pg_logical_emit_message(false, 'oracle', text);
 * a transactional message 'oracle ddl' is a change {kind: 'ddl', ops};
 * 'error' when what comes makes no sense. A lost connection is made anew from where it ended.
 */
export class Replication extends EventEmitter {
  constructor(connect, slot) {
    super()
    this.connect = connect // () → a client of pg with replication: 'database', connected
    this.slot = slot
    this.relations = new Map()
    this.last = 0 // commit LSN of the last transaction emitted
    this.end = 0 // what need not be sent again
  }

  static display = DISPLAY

  async start() {
    this.going = true
    this.loop = this.follow()
    this.timer = setInterval(() => this.feedback(), STATUS_MS)
  }

  async follow() {
    while (this.going) {
      try {
        const client = await this.connect()
        this.client = client
        client.connection.on('copyData', ({ chunk }) => this.take(chunk))
        await client.query(`START_REPLICATION SLOT ${this.slot} LOGICAL 0/0 ${PLUGIN_OPTIONS}`)
      } catch (error) {
        this.lastError = error
      }
      this.transaction = undefined
      this.client?.end().catch(() => {})
      this.client = undefined
      this.emit('silent')
      // A server that is away says nothing when it is back: it is asked again, not at full speed.
      if (this.going) await pause(50)
    }
  }

  /** Resolves when the connection has ended and nothing of it comes any more. The server is down. */
  async silence() {
    while (this.client) await new Promise((resolve) => this.once('silent', resolve))
  }

  /** Where it stands, and back to there: the server is another one. */
  save() {
    return { last: this.last, end: this.end }
  }

  goBack({ last, end }) {
    Object.assign(this, { last, end })
  }

  feedback() {
    if (!this.client || this.end === 0) return
    const status = Buffer.alloc(34)
    status[0] = 'r'.charCodeAt(0)
    for (const at of [1, 9, 17]) status.writeBigUInt64BE(BigInt(this.end), at)
    this.client.connection.sendCopyFromChunk(status)
  }

  take(chunk) {
    try {
      const r = new Reader(chunk)
      const kind = r.char()
      if (kind === 'k') {
        const end = r.u64()
        if (!this.transaction && end > this.end) this.end = end
        r.skip(8)
        if (r.u8()) this.feedback()
      } else if (kind === 'w') {
        r.skip(24)
        this.message(r)
      }
    } catch (error) {
      this.emit('error', error)
    }
  }

  message(r) {
    const kind = r.char()
    if (kind === 'B') {
      const lsn = r.u64()
      r.skip(8)
      this.transaction = { lsn, xid: r.u32(), changes: [] }
    } else if (kind === 'C') {
      r.skip(9)
      this.end = r.u64()
      const done = this.transaction
      this.transaction = undefined
      if (done.lsn > this.last) {
        this.last = done.lsn
        this.emit('transaction', done)
      }
    } else if (kind === 'R') {
      const relation = readRelation(r)
      this.relations.set(relation.oid, relation)
    } else if (kind === 'I' || kind === 'U' || kind === 'D') {
      const change = readChange(r, kind)
      change.relation = this.relations.get(change.oid)
      this.transaction.changes.push(change)
    } else if (kind === 'T') {
      const n = r.u32()
      r.skip(1)
      for (let i = 0; i < n; i++) this.transaction.changes.push({ kind, relation: this.relations.get(r.u32()) })
    } else if (kind === 'M') {
      r.skip(1)
      const lsn = r.u64()
      const prefix = r.string()
      if (prefix === 'oracle') this.emit('tick', r.text(r.u32()), lsn)
      else if (prefix === 'oracle ddl') this.transaction.changes.push({ kind: 'ddl', ops: JSON.parse(r.text(r.u32())) })
    }
  }

  async stop() {
    this.going = false
    clearInterval(this.timer)
    this.client?.connection.stream.destroy()
    await this.loop
  }
}
