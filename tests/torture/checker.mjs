// What must hold, whatever happens:
//  - a snapshot is what its transaction saw; at every up-to-date a client has what the table had at that LSN, by way of exactly
//    the entries that were due;
//  - the same URL has one body for a closed chunk, (handle, from, to) one content, and no answer crosses a chunk's end;
//  - a handle belongs to one definition, ends for a reason and never comes back;
//  - nobody waits for data that exists.
import { deadlineMs } from '../integration/lib/wait.mjs'
import { hash48 } from './sum.mjs'
import { compare, position } from './wire.mjs'

const PATIENCE_MS = deadlineMs(20_000)
const AROUND_MS = 1000
const BODIES_KEPT = 3000
const UP_TO_DATE = /,?\{"headers":\{"control":"up-to-date","global_last_seen_lsn":"\d+"\}\}/

export class Violation extends Error {
  violation = true
}

export class Checker {
  constructor(world) {
    this.world = world
    this.handles = new Map()
    this.ended = new Map() // definition's name → when it was deleted, by us
    this.counts = { answers: 0, 'up-to-date': 0, snapshots: 0, subsets: 0, refetches: 0, errors: 0 }
    this.troubles = new Map()
    this.pending = new Set()
  }

  violation(what, context) {
    const error = new Violation(what)
    this.world.fail(error, context)
    throw error
  }

  /** Runs a check that needs history that has not come yet. */
  later(work) {
    const promise = work.catch((error) => {
      if (!error.violation) this.world.fail(error, {})
    })
    this.pending.add(promise)
    promise.finally(() => this.pending.delete(promise))
  }

  async settled() {
    while (this.pending.size) await Promise.all(this.pending)
  }

  // ------------------------------------------------------------------ handles

  handle(name, definition) {
    let h = this.handles.get(name)
    if (!h) {
      h = { name, definition: definition.name, born: Date.now(), bodies: new Map(), frozen: new Map(), ends: [], totals: new Map() }
      h.snapshotKnown = new Promise((resolve) => (h.knowSnapshot = resolve))
      this.handles.set(name, h)
    }
    return h
  }

  answered(client, { query, asked, answer }) {
    this.counts.answers++
    if (answer.status === 409) return this.refetch(client, { query, asked, answer })
    if (answer.status === 503) return undefined
    if (answer.status !== 200) return this.unexpected(client, asked, answer)
    if (query.handle && answer.handle !== query.handle) this.violation(`asked for ${query.handle}, got ${answer.handle}`, { client })
    return this.alive(client, answer.handle, asked)
  }

  unexpected(client, asked, answer) {
    if (answer.status === 400 && this.world.excuses.refusal(client.definition, asked)) return
    this.violation(`status ${answer.status}: ${answer.text}`, { client })
  }

  alive(client, name, asked) {
    const h = this.handle(name, client.definition)
    if (h.definition !== client.definition.name) this.violation(`handle ${name} is that of ${h.definition}`, { client })
    if (h.gone && h.gone < asked) this.violation(`handle ${name} came back ${asked - h.gone} ms after it had ended`, { client })
  }

  refetch(client, { query, asked, answer }) {
    this.counts.refetches++
    if (!query.handle) return this.lostWhileMade(client, asked, answer)
    if (answer.handle === query.handle) this.violation(`409 with the handle asked for, ${answer.handle}`, { client })
    const h = this.handle(query.handle, client.definition)
    if (!h.gone) this.later(this.explained(h, client))
    h.gone ??= Date.now()
    if (answer.handle) this.alive(client, answer.handle, asked)
  }

  /** §4.4: a shape may disappear between being found and being read; nobody has a handle of it then. */
  lostWhileMade(client, asked, answer) {
    if (answer.handle) this.violation(`409 with handle ${answer.handle}, and none in the request`, { client })
    if ((this.ended.get(client.definition.name) ?? 0) >= asked - AROUND_MS || this.world.excuses.end(undefined, client.definition, asked)) return
    this.violation('409 without a handle in the request', { client })
  }

  /** Sluice may have heard of a TRUNCATE before the oracle has. */
  async explained(h, client) {
    if (this.mayEnd(h, client)) return
    await this.world.history.afterNow()
    if (!this.mayEnd(h, client)) this.violation(`handle ${h.name} ended for no reason`, { client })
  }

  mayEnd(h, client) {
    if (!h.snapshot) return true // a snapshot that was not finished may be given up
    if ((this.ended.get(h.definition) ?? 0) >= h.born) return true
    if (client.view.endedSince(h.snapshot, Infinity)) return true
    return this.world.excuses.end(h.name, client.definition, h.born)
  }

  /** We are about to delete the definition's shape, or just have. */
  deleted(definition) {
    this.ended.set(definition.name, Date.now())
  }

  // ------------------------------------------------------------------ bodies

  body(client, { query, asked, answer }) {
    const h = this.handle(answer.handle, client.definition)
    const { offset } = query
    const content = hash48(answer.text.replace(UP_TO_DATE, ''))
    const range = `${offset} ${answer.offset}`
    const known = h.bodies.get(range)
    if (known !== undefined && known !== content) this.violation(`two bodies for ${range} of ${h.name}`, { client })
    h.bodies.set(range, content)
    if (h.bodies.size > BODIES_KEPT) h.bodies.delete(h.bodies.keys().next().value)
    const frozen = h.frozen.get(offset)
    // What was asked for before may have been answered before, too, with the chunk still open.
    if (frozen && frozen.to !== answer.offset && (frozen.known < asked || !answer.upToDate)) {
      this.violation(`${h.name} from ${offset}: ended at ${frozen.to}, now at ${answer.offset}`, { client })
    }
    const crossed = h.ends.find((end) => end.known < asked && compare(end.at, position(offset)) > 0 && compare(end.at, position(answer.offset)) < 0)
    if (crossed) this.violation(`${h.name} from ${offset} to ${answer.offset} crosses the chunk's end at ${crossed.at.join('_')}`, { client })
    if (!answer.upToDate) this.freeze(h, offset, answer.offset)
  }

  freeze(h, from, to) {
    if (h.frozen.has(from)) return
    h.ends.push({ at: position(to), known: Date.now() })
    h.frozen.set(from, { to, known: Date.now() })
    if (h.ends.length > BODIES_KEPT) h.ends.shift()
    if (h.frozen.size > BODIES_KEPT) h.frozen.delete(h.frozen.keys().next().value)
  }

  // ------------------------------------------------------------------ states

  snapshot(client) {
    this.counts.snapshots++
    const { snapshot, state, view, handle } = client
    const h = this.handle(handle, client.definition)
    this.later(
      (async () => {
        await this.world.history.afterNow()
        h.snapshot ??= this.world.history.snapshot(snapshot)
        h.knowSnapshot()
        if (h.snapshot.xmin !== Number(snapshot.xmin) || h.snapshot.xmax !== Number(snapshot.xmax)) {
          this.violation(`two snapshots of ${handle}: ${h.snapshot.xmin} and ${snapshot.xmin}`, { client })
        }
        if (client.definition.log === 'changes_only') return
        if (view.expected(h.snapshot, h.snapshot.before).state !== state) {
          this.violation(`the snapshot of ${handle} is not what its transaction saw`, { client, snapshot: h.snapshot, lsn: h.snapshot.before, state })
        }
      })(),
    )
  }

  /** Called with the client as the message finds it: everything before it taken. */
  upToDate(client, { global_last_seen_lsn }) {
    this.counts['up-to-date']++
    const { state, entries, view, handle } = client
    const h = this.handle(handle, client.definition)
    const at = [...client.at]
    const told = Date.now()
    const lsn = Math.max(Number(global_last_seen_lsn), at[0])
    this.total(client, h, at, entries)
    this.later(
      (async () => {
        await Promise.all([h.snapshotKnown, this.world.history.reaches(lsn)])
        const end = view.endedSince(h.snapshot, lsn)
        if (end) return this.upToDateBeyond(end, client, h, { lsn, told, state, entries })
        if (this.matches(client, h, lsn, state, entries)) return
        if (this.world.excuses.staleness(client.definition, told)) return
        const complete = this.matches(client, h, at[0], state, entries)
        const what = complete ? `complete up to ${at[0]} but says it is at ${lsn}` : `not what the table had at ${lsn}`
        this.violation(`up to date and ${what}`, { client, lsn, snapshot: h.snapshot, state, entries })
      })(),
    )
  }

  /** Sluice hears of an alteration a little later: till then a shape may be what it was, as long as nothing is missing that came since. */
  upToDateBeyond(end, client, h, { lsn, told, state, entries }) {
    const context = { client, lsn: end.lsn - 1, snapshot: h.snapshot, state, entries }
    const since = `${h.name} is up to date at ${lsn}, the table was ${end.how === 'truncated' ? end.how : 'altered'} at ${end.lsn}`
    if (end.how === 'truncated') this.violation(since, context)
    const late = told - Math.max(end.seen, this.world.disturbedUntil())
    if (late > PATIENCE_MS) this.violation(`${since}, ${told - end.seen} ms ago`, context)
    if (this.world.excuses.staleness(client.definition, told)) return
    if (end.how === 'described' && client.view.hasEntries(end.lsn, lsn)) this.violation(`${since}, and there were changes since`, context)
    if (!this.matches(client, h, end.lsn - 1, state, entries)) this.violation(`${since}, and it is not what it was before`, context)
  }

  matches(client, h, lsn, state, entries) {
    const expected = client.view.expected(h.snapshot, lsn)
    return expected.entries === entries && (client.definition.log === 'changes_only' || expected.state === state)
  }

  /** All who have come to the same entry of a log have been told the same, op_position and all. */
  total(client, h, at, entries) {
    const key = at.join('_')
    const known = h.totals.get(key)
    if (known !== undefined && known !== entries) this.violation(`two logs of ${h.name} up to ${key}`, { client })
    h.totals.set(key, entries)
    if (h.totals.size > BODIES_KEPT) h.totals.delete(h.totals.keys().next().value)
  }

  /** A subset's answer against what its snapshot saw. */
  subset(client, view, { metadata, data }, state) {
    this.counts.subsets++
    this.later(
      (async () => {
        await this.world.history.afterNow()
        const snapshot = this.world.history.snapshot(metadata)
        if (view.expected(snapshot, snapshot.before).state !== state) {
          this.violation(`a subset of ${data.length} rows is not what its snapshot saw`, { client, view, snapshot, lsn: snapshot.before, rows: data })
        }
      })(),
    )
  }

  // ------------------------------------------------------------------ waiting

  troubled(client, error) {
    this.counts.errors++
    const what = String(error.code ?? error.message).replace(/\d{3,}/g, 'N').slice(0, 100)
    this.troubles.set(what, (this.troubles.get(what) ?? 0) + 1)
  }

  /** Looks after clients that are left behind. */
  sweep(clients) {
    const since = Math.max(this.world.disturbedUntil(), 0)
    const late = Date.now() - PATIENCE_MS
    if (since > late) return
    for (const client of clients) {
      if (client.asking && !client.asking.stream && client.asking.since < late) this.violation(`no answer for ${PATIENCE_MS} ms`, { client })
      if (client.progressed > late || client.idle) continue
      const h = this.handles.get(client.handle)
      if (!client.handle) this.violation(`no handle for ${PATIENCE_MS} ms`, { client })
      if (!h?.snapshot) continue
      const end = client.view.endedSince(h.snapshot, Infinity)
      if (end && end.seen < late) this.violation(`has not heard for ${Date.now() - end.seen} ms that its table was altered or truncated at ${end.lsn}`, { client, lsn: end.lsn, snapshot: h.snapshot })
      const next = client.view.nextEntry(h.snapshot, client.at[0])
      if (next && next.seen < late) {
        this.violation(`has waited ${Date.now() - next.seen} ms for the transaction at ${next.lsn}`, { client, lsn: next.lsn, snapshot: h.snapshot })
      }
    }
  }
}
