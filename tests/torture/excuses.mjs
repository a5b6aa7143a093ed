// What was done to the stack that may end shapes which otherwise would have to go on.
const AFTER_MS = 20_000 // how long the stack may take to find out what happened
const ROUTERS = 256 // a handle's number is a multiple of this plus the router's index

const routerOf = (handle) => Number(handle.split('-')[0]) % ROUTERS

export class Excuses {
  constructor(now = Date.now) {
    this.now = now
    this.list = []
  }

  /**
   * From now on shapes may end: all, those of some `tables` or those on a `router`; `requests`: and requests for them may be refused.
   * Returns what has to be called when it is over.
   */
  begin({ tables, router, requests = false }) {
    const excuse = { tables, router, requests, until: Infinity }
    this.list.push(excuse)
    return () => (excuse.until = this.now() + AFTER_MS)
  }

  matches(e, definition, handle) {
    return (!e.tables || e.tables.includes(definition.table)) && (e.router === undefined || (handle !== undefined && routerOf(handle) === e.router))
  }

  /** May a shape have ended that was first seen at `born`? */
  end(handle, definition, born) {
    return this.list.some((e) => e.until >= born && this.matches(e, definition, handle))
  }

  /** May a request for the definition be refused that was sent at `asked`? */
  refusal(definition, asked) {
    return this.list.some((e) => e.requests && e.until >= asked && this.matches(e, definition))
  }
}
