// What one definition's clients have to see: for every transaction that concerns it, what it does to the set of rows and which
// entries it puts into the log, as sums (sum.mjs). Kept in order of commit, so that the state at an LSN is a binary search.
import { add, canonical, hash48, rowHash, sub } from './sum.mjs'
import { allColumns } from './shapes.mjs'

const pick = (values, names) => Object.fromEntries(names.map((name) => [name, values[name]]))

export class View {
  constructor(definition, relation) {
    this.definition = definition
    this.define(relation)
    this.full = definition.replica === 'full'
    this.pruned = 0
    // One element per transaction; sums are cumulative, up to and including it.
    this.lsn = []
    this.xid = []
    this.seen = []
    this.state = []
    this.entries = []
    this.ends = [] // of whoever began before: {lsn, seen, how}
  }

  /** The table is like this from now on; undefined: there is none, or none that has such a shape. */
  define(relation) {
    this.relation = relation
    if (!relation) return
    this.columns = allColumns(relation, this.definition.columns)
    this.columnsId = this.columns.join()
    this.keys = relation.pk.length ? relation.pk : this.columns
  }

  /** The table was altered so that shapes of it end: `rows` are what it is now. `how`: 'described' by the stream, or 'found' out. */
  alter({ lsn, xid, seen }, relation, rows, how) {
    const entries = this.sums(this.lsn.length).entries
    this.define(relation)
    let state = 0
    if (relation) for (const row of rows) if (this.has(row)) state = add(state, this.hash(row))
    if (this.lsn.at(-1) === lsn) this.forgetLast()
    this.push({ lsn, xid, seen }, state, entries)
    this.ends.push({ lsn, seen, how })
  }

  forgetLast() {
    for (const list of [this.lsn, this.xid, this.seen, this.state, this.entries]) list.pop()
  }

  push({ lsn, xid, seen }, state, entries) {
    this.lsn.push(lsn)
    this.xid.push(xid)
    this.seen.push(seen)
    this.state.push(state)
    this.entries.push(entries)
  }

  hash(row) {
    let hash = row.hashes.get(this.columnsId)
    if (hash === undefined) row.hashes.set(this.columnsId, (hash = rowHash(row.key, this.columns, row.values)))
    return hash
  }

  has(row) {
    return row !== undefined && this.relation !== undefined && this.definition.where.js(row.values) === true
  }

  /** What a change is to this shape: a list of messages without lsn and last. Old and new may be undefined. */
  messages({ old, new: now }, was, is) {
    if (was && is) return old.key === now.key && this.relation.pk.length ? this.update(old, now) : this.move(old, now)
    if (is) return [{ operation: 'insert', key: now.key, value: pick(now.values, this.columns) }]
    return [this.deletion(old)]
  }

  deletion(old, to) {
    return { operation: 'delete', key: old.key, value: pick(old.values, this.full ? this.columns : this.keys), to }
  }

  update(old, now) {
    const changed = this.columns.filter((name) => old.values[name] !== now.values[name])
    if (!changed.length) return []
    if (!this.full) return [{ operation: 'update', key: now.key, value: pick(now.values, [...new Set([...this.keys, ...changed])]) }]
    return [{ operation: 'update', key: now.key, value: pick(now.values, this.columns), old: pick(old.values, changed) }]
  }

  move(old, now) {
    if (old.key === now.key) return []
    return [this.deletion(old, now.key), { operation: 'insert', key: now.key, value: pick(now.values, this.columns), from: old.key }]
  }

  /** Takes what a committed transaction did to the table. */
  apply({ lsn, xid, seen }, changes) {
    const messages = []
    let delta = 0
    let truncated = false
    for (const change of changes) {
      if (change.truncate) {
        truncated = true
        delta = sub(0, this.sums(this.state.length).state)
        continue
      }
      const was = this.has(change.old)
      const is = this.has(change.new)
      if (!was && !is) continue
      if (was) delta = sub(delta, this.hash(change.old))
      if (is) delta = add(delta, this.hash(change.new))
      messages.push(...this.messages(change, was, is))
    }
    if (!messages.length && delta === 0 && !truncated) return
    let sum = this.entries.at(-1) ?? this.base?.entries ?? 0
    messages.forEach((m, i) => (sum = add(sum, messageHash(lsn, xid, { ...m, last: i === messages.length - 1 }))))
    this.push({ lsn, xid, seen }, add(this.state.at(-1) ?? this.base?.state ?? 0, delta), sum)
    if (truncated) this.ends.push({ lsn, seen, how: 'truncated' })
  }

  /** The number of transactions with a commit LSN of at most `lsn`. */
  upTo(lsn) {
    let low = 0
    let high = this.lsn.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.lsn[middle] <= lsn) low = middle + 1
      else high = middle
    }
    return low
  }

  /** The sums after the first `n` transactions. */
  sums(n) {
    if (n === 0) return this.base ?? { state: 0, entries: 0 }
    return { state: this.state[n - 1], entries: this.entries[n - 1] }
  }

  /** What the transaction that committed at `lsn` did; undefined if nothing here. */
  effect(lsn) {
    const n = this.upTo(lsn)
    if (n === 0 || this.lsn[n - 1] !== lsn) return undefined
    const [before, after] = [this.sums(n - 1), this.sums(n)]
    return { state: sub(after.state, before.state), entries: sub(after.entries, before.entries) }
  }

  /** What a client that began with `snapshot` (history.mjs) must have when it has everything up to `lsn`. */
  expected(snapshot, lsn) {
    const begin = this.sums(this.upTo(snapshot.before))
    const at = lsn > snapshot.before ? this.sums(this.upTo(lsn)) : begin
    let state = at.state
    let entries = sub(at.entries, begin.entries)
    for (const x of snapshot.ahead) {
      const effect = this.effect(x)
      if (!effect) continue
      if (x > lsn) state = add(state, effect.state)
      else entries = sub(entries, effect.entries)
    }
    return { state, entries }
  }

  /** The first end that `snapshot` does not see and that came at or before `lsn`: {lsn, seen, how}. */
  endedSince(snapshot, lsn) {
    return this.ends.find((end) => end.lsn > snapshot.before && end.lsn <= lsn && !snapshot.ahead.includes(end.lsn))
  }

  /** Are there entries after `from`, up to `lsn`? */
  hasEntries(from, lsn) {
    return this.sums(this.upTo(from)).entries !== this.sums(this.upTo(lsn)).entries
  }

  /** The first transaction after `lsn` that puts an entry into the log of a shape that began with `snapshot`. */
  nextEntry(snapshot, lsn) {
    const from = Math.max(lsn, snapshot.before)
    for (let i = this.upTo(from); i < this.lsn.length; i++) {
      if (snapshot.ahead.includes(this.lsn[i])) continue
      if (this.ends.some((end) => end.lsn === this.lsn[i])) return undefined
      const effect = sub(this.entries[i], this.sums(i).entries)
      if (effect !== 0) return { lsn: this.lsn[i], seen: this.seen[i] }
    }
    return undefined
  }

  /** The same up to `lsn`, of a table that is as `relation` says. */
  upToOnly(lsn, relation) {
    const out = new View(this.definition, relation)
    const n = this.upTo(lsn)
    for (const name of ['lsn', 'xid', 'seen', 'state', 'entries']) out[name] = this[name].slice(0, n)
    out.ends = this.ends.filter((end) => end.lsn <= lsn)
    out.base = this.base
    return out
  }

  /** Forgets transactions seen before `time`. */
  prune(time) {
    let n = 0
    while (n < this.seen.length && this.seen[n] < time) n++
    if (n < 1000) return
    this.base = this.sums(n)
    this.ends = this.ends.filter((end) => end.lsn >= this.lsn[n])
    for (const list of [this.lsn, this.xid, this.seen, this.state, this.entries]) list.splice(0, n)
  }
}

/** An entry's place in the sum: all that the protocol fixes of it but op_position, which only has to grow. */
export function messageHash(lsn, xid, m) {
  return hash48(`${lsn} ${xid} ${m.operation} ${m.key} ${canonical(m.value)} ${canonical(m.old)} ${m.to ?? ''} ${m.from ?? ''} ${m.last ? 'last' : ''}`)
}
