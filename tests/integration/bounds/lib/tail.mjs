// A client that follows a shape by long poll and counts its rows without keeping or parsing them: millions would be in the way.
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { encodeQuery } from '../../lib/http.mjs'
import { until } from '../../lib/wait.mjs'

const MARK = Buffer.from('"operation":"')
const JOINT = MARK.length - 1
const RETRY_MS = 200

export class Tail {
  /** Returns when it is up to date. */
  static async start(base, params) {
    const self = new Tail()
    Object.assign(self, { base, params, count: 0, agent: new http.Agent({ keepAlive: true, maxSockets: 1 }) })
    let query = { ...params, offset: '-1' }
    while (!self.synced) query = await self.get(query)
    self.following = self.follow(query)
    self.following.catch((error) => (self.error = error))
    return self
  }

  /** A connection that fails is opened again, from the same place; what came of the answer does not count. */
  async follow(query) {
    while (!this.stopped) {
      const before = this.count
      try {
        query = await this.get(query)
      } catch (error) {
        if (!error.code) throw error
        this.count = before
        await pause(RETRY_MS)
      }
    }
  }

  /** One request; returns the query of the next. */
  async get(query) {
    const res = await new Promise((resolve, reject) => {
      this.request = http.get(new URL(`/v1/shape${encodeQuery(query)}`, this.base), { agent: this.agent }, resolve)
      this.request.on('error', reject)
    })
    let end = Buffer.alloc(0)
    for await (const part of res) end = this.look(Buffer.concat([end, part]))
    if (res.statusCode === 503) return pause(RETRY_MS, query)
    if (res.statusCode !== 200) throw new Error(`the tail was answered ${res.statusCode}: ${end}`)
    this.synced ||= 'electric-up-to-date' in res.headers
    const { 'electric-offset': offset, 'electric-handle': handle, 'electric-cursor': cursor } = res.headers
    return { ...this.params, offset, handle, ...(this.synced && { live: 'true', cursor }) }
  }

  /** Counts, and returns what may be the beginning of a mark. */
  look(bytes) {
    let at = 0
    for (let found = bytes.indexOf(MARK); found >= 0; found = bytes.indexOf(MARK, at)) {
      this.count++
      at = found + MARK.length
    }
    return bytes.subarray(Math.max(at, bytes.length - JOINT))
  }

  /** Until it has exactly so many. */
  async has(rows, within) {
    await until(() => {
      if (this.error) throw this.error
      return this.count >= rows
    }, { within, what: () => `a client has ${rows} rows, not ${this.count}` })
    if (this.count !== rows) throw new Error(`a client has ${this.count} rows instead of ${rows}`)
  }

  stop() {
    this.stopped = true
    this.request?.destroy()
    if (this.error) throw this.error
  }
}
