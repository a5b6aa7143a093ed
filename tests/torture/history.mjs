// Everything that was ever committed, in order, with LSNs: the rows of all tables, what each definition's clients must see of
// them, and a file from which a story can be told afterwards.
import { createWriteStream, createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { rowKey } from './schema.mjs'
import { concerns, EFFECTS, isDescribed, isPossible } from './moody.mjs'
import { UNCHANGED } from './replication.mjs'
import { View } from './view.mjs'
import { hash48 } from './sum.mjs'

const KEEP_MS = 600_000
const BOOL = 16

export class History {
  /** @param catalog name of a table → {columns, pk}, the primary key's columns in order */
  constructor(catalog, file, now = Date.now) {
    this.catalog = { ...catalog }
    this.file = file
    this.now = now
    this.out = createWriteStream(file)
    this.rows = new Map() // table → key → row
    this.relations = new Map() // table → relation
    this.views = new Map() // table → views
    this.byName = new Map()
    this.recent = [] // transactions: lsn, xid, seen
    this.lsn = 0 // everything that committed up to here is known
    this.waiting = []
    this.snapshots = new Map() // handle → what its snapshot sees
    this.ticks = 0
    this.heard = 0
    this.over = false // nothing comes any more
    this.before = [] // files of what it goes on from, and up to where
    this.transactions = 0
    this.changes = 0
  }

  /** Before anything is committed that it would see. */
  watch(definition) {
    const known = this.byName.get(definition.name)
    if (known) return known
    return this.add(new View(definition, this.relationOf(definition.table)))
  }

  relationOf(table) {
    return this.catalog[table] && { schema: 'public', table, ...this.catalog[table] }
  }

  // ------------------------------------------------------------------ what is committed

  take({ lsn, xid, changes }) {
    const seen = this.now()
    for (const { ops } of changes.filter(({ kind }) => kind === 'ddl')) for (const op of ops) this.alter({ lsn, xid, seen }, op)
    const byTable = new Map()
    for (const raw of changes) {
      const change = this.apply(raw)
      if (!change) continue
      const list = byTable.get(change.table) ?? []
      if (!list.length) byTable.set(change.table, list)
      list.push(change)
    }
    this.lsn = lsn
    this.transactions++
    this.changes += changes.length
    if (byTable.size) {
      this.recent.push({ lsn, xid, seen })
      for (const [table, list] of byTable) for (const view of this.views.get(table) ?? []) view.apply({ lsn, xid, seen }, list)
      this.write({ lsn, xid, seen, changes: [...byTable.values()].flat() })
      if (this.transactions % 5000 === 0) this.prune(seen - KEEP_MS)
    }
    this.wake()
  }

  /** What a message of moody.mjs says. */
  alter(at, op) {
    const [table, rows] = [this.catalog[op.table], this.rows.get(op.table) ?? new Map()]
    const touched = [op.table]
    if (op.do === 'created') this.become(op.table, { columns: op.columns, pk: op.pk }, [])
    else if (op.do === 'gone') this.become(op.table, undefined, [])
    else if (op.do === 'away') {
      touched.push(op.to)
      this.become(op.to, table, [...rows.values()].map((row) => row.values))
      this.become(op.table, undefined, [])
    } else {
      const effect = EFFECTS[op.do]
      this.become(op.table, effect.table(table, op), [...rows.values()].map((row) => effect.row(row.values, op)))
    }
    for (const name of touched) for (const view of this.views.get(name) ?? []) this.redefine(at, view, op)
    this.write({ ...at, changes: touched.map((name) => ({ table: name, ddl: op, rows: this.catalog[name] && [...this.rows.get(name).values()] })) })
  }

  /** A table is like this from now on, with rows of these values. */
  become(name, table, values) {
    this.catalog[name] = table
    const described = this.relationOf(name)
    this.rows.set(name, new Map(values.map((v) => ({ key: rowKey(described, v), values: v, hashes: new Map() })).map((row) => [row.key, row])))
  }

  redefine(at, view, op) {
    const { table } = view.definition
    const possible = isPossible(this.catalog[table], view.definition)
    const relation = possible ? this.relationOf(table) : undefined
    if (concerns(op, view.definition)) view.alter(at, relation, this.rows.get(table).values(), op.table === table && isDescribed(op) ? 'described' : 'found')
    else if (relation) view.define(relation)
  }

  apply({ kind, relation, old, new: tuple }) {
    if (kind === 'ddl') return undefined
    const table = relation.table
    if (!this.catalog[table]) return undefined
    const rows = this.rows.get(table) ?? new Map()
    this.rows.set(table, rows)
    if (kind === 'T') {
      rows.clear()
      return { table, truncate: true }
    }
    const change = { table }
    const described = { schema: relation.schema, table, pk: this.catalog[table].pk, columns: relation.columns.map((c) => c.name) }
    if (kind !== 'I') change.old = this.find(rows, described, relation, old?.tuple ?? tuple)
    if (kind !== 'D') change.new = this.row(described, relation, tuple, change.old)
    if (change.old) rows.delete(change.old.key)
    if (change.new) {
      if (rows.has(change.new.key)) throw new Error(`history: ${change.new.key} is there twice`)
      rows.set(change.new.key, change.new)
    }
    return change
  }

  find(rows, described, relation, tuple) {
    const { key } = this.row(described, relation, tuple, undefined)
    const row = rows.get(key)
    if (!row) throw new Error(`history: ${key} changes and is not there`)
    return row
  }

  row(described, relation, tuple, old) {
    const values = {}
    relation.columns.forEach(({ name, type }, i) => {
      let value = tuple[i]
      if (value === UNCHANGED) value = old?.values[name]
      if (type === BOOL && value) value = value === 't' ? 'true' : 'false'
      values[name] = value
    })
    return { key: rowKey(described, values), values, hashes: new Map() }
  }

  prune(before) {
    let n = 0
    while (this.recent[n]?.seen < before) n++
    this.recent.splice(0, n)
    for (const views of this.views.values()) for (const view of views) view.prune(before)
  }

  // ------------------------------------------------------------------ waiting for it

  /** Resolves when all that committed before this call is known. */
  afterNow() {
    if (this.over) return Promise.resolve()
    const tick = this.ticks + 1 // the next one to be sent
    return new Promise((resolve) => this.waiting.push({ ready: () => this.heard >= tick, resolve }))
  }

  /** Resolves when all that committed up to `lsn` is known. */
  reaches(lsn) {
    if (this.over || this.lsn >= lsn) return Promise.resolve()
    return new Promise((resolve) => this.waiting.push({ ready: () => this.lsn >= lsn, resolve }))
  }

  /** The message of pg_logical_emit_message() came by; `lsn`: where it ends, which may be where a commit begins. */
  tick(number, lsn) {
    this.heard = Math.max(this.heard, number)
    if (lsn - 1 > this.lsn) this.lsn = lsn - 1
    this.wake()
  }

  wake() {
    const ready = this.waiting.filter((w) => this.over || w.ready())
    if (!ready.length) return
    this.waiting = this.waiting.filter((w) => !ready.includes(w))
    for (const w of ready) w.resolve()
  }

  // ------------------------------------------------------------------ going back

  /** What has to be known of the present to return to it. */
  save() {
    return { lsn: this.lsn, catalog: { ...this.catalog }, rows: new Map([...this.rows].map(([table, rows]) => [table, new Map(rows)])) }
  }

  /** What was committed since `point` has not happened: another history goes on from there, this one is over. */
  goBack(point, file) {
    const next = new History(point.catalog, file, this.now)
    Object.assign(next, { rows: point.rows, lsn: point.lsn, ticks: this.ticks, transactions: this.transactions, changes: this.changes })
    next.recent = this.recent.filter(({ lsn }) => lsn <= point.lsn)
    next.before = [...this.before, { file: this.file, upTo: point.lsn }]
    for (const view of this.byName.values()) {
      const { table } = view.definition
      const relation = isPossible(next.catalog[table], view.definition) ? next.relationOf(table) : undefined
      next.add(view.upToOnly(point.lsn, relation))
    }
    for (const [handle, snapshot] of this.snapshots) if ([snapshot.before, ...snapshot.ahead].every((lsn) => lsn <= point.lsn)) next.snapshots.set(handle, snapshot)
    this.over = true
    this.wake()
    return next
  }

  add(view) {
    const { table, name } = view.definition
    this.views.set(table, [...(this.views.get(table) ?? []), view])
    this.byName.set(name, view)
    return view
  }

  // ------------------------------------------------------------------ snapshots

  /** Of a shape, once it is known what has become of those who committed before it was taken. */
  async learnSnapshot(handle, words) {
    if (this.snapshots.has(handle)) return this.snapshots.get(handle)
    await this.afterNow()
    if (!this.snapshots.has(handle)) this.snapshots.set(handle, this.snapshot(words))
    return this.snapshots.get(handle)
  }

  /**
   * What a snapshot sees, in terms of LSNs: everything up to `before`, and of what comes later the transactions in `ahead`: such as
   * were visible though one that had committed earlier was not yet.
   */
  snapshot({ xmin, xmax, xip_list }) {
    const [low, high, open] = [Number(xmin), Number(xmax), new Set(xip_list.map(Number))]
    const visible = (xid) => xid < low || (xid < high && !open.has(xid))
    let before = this.lsn
    let n = this.recent.length
    const first = this.recent.findIndex(({ xid }) => !visible(xid))
    if (first >= 0) [before, n] = [this.recent[first].lsn - 1, first]
    const ahead = this.recent.slice(n).filter(({ xid }) => visible(xid)).map(({ lsn }) => lsn)
    return { before, ahead, xmin: low, xmax: high, open: [...open] }
  }

  // ------------------------------------------------------------------ the file

  write({ lsn, xid, seen, changes }) {
    const short = (row) => row && { key: row.key, values: Object.fromEntries(Object.entries(row.values).map(([k, v]) => [k, abbreviate(v)])) }
    this.out.write(`${JSON.stringify({ lsn, xid, seen, changes: changes.map((c) => ({ ...c, old: short(c.old), new: short(c.new), rows: c.rows?.map(short) })) })}\n`)
  }

  /** Every transaction again, long values abbreviated. */
  async *read() {
    await new Promise((resolve) => this.out.write('', resolve))
    for (const { file, upTo } of [...this.before, { file: this.file, upTo: Infinity }]) {
      for await (const line of createInterface({ input: createReadStream(file) })) {
        if (!line.startsWith('{') || !line.endsWith('}')) continue
        const transaction = JSON.parse(line)
        if (transaction.lsn <= upTo) yield transaction
      }
    }
  }

  close() {
    return new Promise((resolve) => this.out.end(resolve))
  }
}

const LONG = 60
/** Short enough for a file and still telling values apart. */
export function abbreviate(value) {
  return typeof value === 'string' && value.length > LONG ? `${value.slice(0, 16)}…${value.length}#${hash48(value).toString(16)}` : value
}
