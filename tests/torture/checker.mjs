// What must hold, whatever happens:
//  - a snapshot is what its transaction saw; at every up-to-date a client has what the table had at that LSN, by way of exactly
//    the entries that were due;
//  - the same URL has one body for a closed chunk, (handle, from, to) one content, and no answer crosses a chunk's end;
//  - a handle belongs to one definition, ends for a reason and never comes back;
//  - nobody waits for data that exists.
import { deadlineMs } from '../integration/lib/wait.mjs'
import { isPossible } from './moody.mjs'
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

  /** `judge` says what is wrong, {what, ...context}, if anything: it must be right in one of the histories that may be meant. */
  inSome(histories, client, judge) {
    this.later(
      (async () => {
        let first
        for (const history of histories) {
          const wrong = await judge(history)
          if (!wrong) return
          first ??= { ...wrong, history }
        }
        const { what, ...context } = first
        this.violation(what, { client, ...context })
      })(),
    )
  }

  async settled() {
    while (this.pending.size) await Promise.all(this.pending)
  }

  // ------------------------------------------------------------------ handles

  handle(name, definition) {
    let h = this.handles.get(name)
    if (!h) {
      h = { name, definition: definition.name, born: Date.now(), bodies: new Map(), frozen: new Map(), ends: [], totals: new Map() }
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

  /** The table is being altered, or is such that there is no such shape of it: for as long as it is. */
  mayRefuse(definition, asked) {
    return this.world.excuses.refusal(definition, asked) || !isPossible(this.world.history.catalog[definition.table], definition)
  }

  unexpected(client, asked, answer) {
    if (answer.status === 400 && this.mayRefuse(client.definition, asked)) {
      client.progressed = Date.now() // it is answered: nobody keeps it waiting for a handle
      return
    }
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
    const snapshot = this.world.history.snapshots.get(h.name)
    if (!snapshot && !h.words) return true // a snapshot that was not finished may be given up
    if ((this.ended.get(h.definition) ?? 0) >= h.born) return true
    if (snapshot && client.view.endedSince(snapshot, Infinity)) return true
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
    const { snapshot: words, state, definition, handle } = client
    const h = this.handle(handle, definition)
    h.words ??= words
    if (h.words.xmin !== words.xmin || h.words.xmax !== words.xmax) this.violation(`two snapshots of ${handle}: ${h.words.xmin} and ${words.xmin}`, { client })
    this.inSome(this.world.histories(Date.now()), client, async (history) => {
      const snapshot = await history.learnSnapshot(handle, words)
      if (definition.log === 'changes_only') return undefined
      if (history.byName.get(definition.name).expected(snapshot, snapshot.before).state === state) return undefined
      return { what: `the snapshot of ${handle} is not what its transaction saw`, snapshot, lsn: snapshot.before, state }
    })
  }

  /** Called with the client as the message finds it: everything before it taken. */
  upToDate(client, { global_last_seen_lsn }) {
    this.counts['up-to-date']++
    const { state, entries, definition, handle } = client
    const h = this.handle(handle, definition)
    const at = [...client.at]
    const lsn = Math.max(Number(global_last_seen_lsn), at[0])
    const told = Date.now()
    this.total(client, h, at, entries)
    this.inSome(this.world.histories(told), client, async (history) => {
      const [snapshot] = await Promise.all([history.learnSnapshot(handle, h.words), history.reaches(lsn)])
      const context = { history, snapshot, lsn, state, entries, definition, told }
      const end = history.byName.get(definition.name).endedSince(snapshot, lsn)
      if (end) return this.upToDateBeyond(end, h, context)
      if (this.matches(context) || this.world.excuses.staleness(definition, told)) return undefined
      const complete = this.matches({ ...context, lsn: at[0] })
      return { what: `up to date and ${complete ? `complete up to ${at[0]} but says it is at ${lsn}` : `not what the table had at ${lsn}`}`, ...context }
    })
  }

  /** Sluice hears of an alteration a little later: till then a shape may be what it was, as long as nothing is missing that came since. */
  upToDateBeyond(end, h, { lsn, told, ...others }) {
    const context = { ...others, lsn: end.lsn - 1 }
    const view = others.history.byName.get(others.definition.name)
    const since = `${h.name} is up to date at ${lsn}, the table was ${end.how === 'truncated' ? end.how : 'altered'} at ${end.lsn}`
    if (end.how === 'truncated') return { what: since, ...context }
    if (told - Math.max(end.seen, this.world.disturbedUntil()) > PATIENCE_MS) return { what: `${since}, ${told - end.seen} ms ago`, ...context }
    if (this.world.excuses.staleness(others.definition, told)) return undefined
    if (end.how === 'described' && view.hasEntries(end.lsn, lsn)) return { what: `${since}, and there were changes since`, ...context }
    return this.matches(context) ? undefined : { what: `${since}, and it is not what it was before`, ...context }
  }

  matches({ history, snapshot, lsn, state, entries, definition }) {
    const expected = history.byName.get(definition.name).expected(snapshot, lsn)
    return expected.entries === entries && (definition.log === 'changes_only' || expected.state === state)
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
  subset(client, definition, { metadata, data }, state) {
    this.counts.subsets++
    const { handle, definition: whole } = client
    const told = Date.now()
    this.inSome(this.world.histories(told), client, async (history) => {
      await history.afterNow()
      // the shape is about to end, its keys and columns are of before; upToDateBeyond() sees to it that it does
      const begun = history.snapshots.get(handle)
      if (begun && history.byName.get(whole.name).endedSince(begun, history.lsn)) return undefined
      if (this.world.excuses.staleness(whole, told)) return undefined
      const snapshot = history.snapshot(metadata)
      const view = history.byName.get(definition.name)
      if (view.expected(snapshot, snapshot.before).state === state) return undefined
      return { what: `a subset of ${data.length} rows is not what its snapshot saw`, view, snapshot, lsn: snapshot.before, rows: data }
    })
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
      const snapshot = this.world.history.snapshots.get(client.handle)
      if (!client.handle) this.violation(`no handle for ${PATIENCE_MS} ms`, { client })
      if (!snapshot) continue
      const end = client.view.endedSince(snapshot, Infinity)
      if (end && end.seen < late) this.violation(`has not heard for ${Date.now() - end.seen} ms that its table was altered or truncated at ${end.lsn}`, { client, lsn: end.lsn, snapshot })
      const next = client.view.nextEntry(snapshot, client.at[0])
      if (next && next.seen < late) {
        this.violation(`has waited ${Date.now() - next.seen} ms for the transaction at ${next.lsn}`, { client, lsn: next.lsn, snapshot })
      }
    }
  }
}
