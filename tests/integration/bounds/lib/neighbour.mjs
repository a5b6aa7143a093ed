// A client of another shape, who should notice nothing.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { expect } from 'vitest'
import { until } from '../../lib/wait.mjs'

/** Delays below this are noise on a shared machine: three times as much is still nothing. */
const FLOOR_MS = 5

export class Neighbour {
  static async start(db, base, table = 'neighbour') {
    const self = new Neighbour()
    await db.sql(`create table ${table} (id int primary key)`)
    self.table = table
    self.delays = []
    self.sent = 0
    self.worker = new Worker(new URL('./neighbour-worker.mjs', import.meta.url), { workerData: { base, databaseUrl: db.url, table } })
    self.worker.on('message', (m) => {
      if (m.sent !== undefined) self.sent = m.sent + 1
      if (m.seen !== undefined) self.delays[m.seen] = m.ms
    })
    self.worker.on('error', (error) => (self.error = error))
    await once(self.worker, 'message')
    return self
  }

  /** Milliseconds, sorted, of the rows written while `work` goes on; they are waited for. */
  async during(work, within = 60000) {
    const from = this.sent
    const result = await work()
    await until(() => this.sent > from + 20, { what: 'the neighbour writes' })
    const to = this.sent
    await until(() => {
      if (this.error) throw this.error
      return this.seenUpTo(from, to)
    }, { within, what: () => `the neighbour has seen rows ${from} to ${to}` })
    return { delays: this.delays.slice(from, to).sort((a, b) => a - b), result }
  }

  seenUpTo(from, to) {
    for (let i = to - 1; i >= from; i--) if (this.delays[i] === undefined) return false
    return true
  }

  async stop() {
    await this.worker.terminate()
    if (this.error) throw this.error
  }
}

export const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]

const say = (d) => [0.5, 0.95, 1].map((q) => quantile(d, q).toFixed(1)).join(' / ')

/** Half of the rows are seen within three times of what half of them are in quiet times. */
export function noticedNothing(quiet, busy, what) {
  console.log(`${what}: a neighbour's rows seen after their commits (p50 / p95 / max ms): quiet ${say(quiet)}, meanwhile ${say(busy)}`)
  expect(quantile(busy, 0.5), `a neighbour's delay: ${what}`).toBeLessThanOrEqual(3 * Math.max(quantile(quiet, 0.5), FLOOR_MS))
}
