// What was done to the stack that may end shapes which otherwise would have to go on.
import { deadlineMs } from '../integration/lib/wait.mjs'

const AFTER_MS = deadlineMs(20_000) // how long the stack may take to find out what happened
const STALE_MS = deadlineMs(5_000) // and how long, where nothing in the stream can tell it: it looks every second
const ROUTERS = 256 // a handle's number is a multiple of this plus the router's index

const routerOf = (handle) => Number(handle.split('-')[0]) % ROUTERS

export class Excuses {
  constructor(now = Date.now) {
    this.now = now
    this.list = []
  }

  /**
   * From now on shapes may end (`ends`): all, those of some `tables` or those on a `router`. `requests`: and requests for them may be refused;
   * `stale`: and what the stream does not tell may be missing, until it is found out: then they must end.
   * Returns what has to be called when it is over.
   */
  begin({ tables, router, ends = true, requests = false, stale = false }) {
    const excuse = { tables, router, ends, requests, stale, until: Infinity, over: Infinity }
    this.list.push(excuse)
    return () => Object.assign(excuse, { over: this.now(), until: this.now() + AFTER_MS })
  }

  matches(e, definition, handle) {
    return (!e.tables || e.tables.includes(definition.table)) && (e.router === undefined || handle === undefined || routerOf(handle) === e.router)
  }

  /** May a shape have ended that was first seen at `born`? */
  end(handle, definition, born) {
    return this.list.some((e) => e.ends && e.until >= born && this.matches(e, definition, handle))
  }

  /** May something be missing of what a client was `told` then? */
  staleness(definition, told) {
    return this.list.some((e) => e.stale && e.over + STALE_MS >= told && this.matches(e, definition))
  }

  /** May a request for the definition be refused that was sent at `asked`? */
  refusal(definition, asked) {
    return this.list.some((e) => e.requests && e.until >= asked && this.matches(e, definition))
  }
}
