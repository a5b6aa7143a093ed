// What is done to the stack in the middle of everything. A fault returns when it is over: what it broke runs again, or is about
// to by itself.
import { deadlineMs, pause } from '../integration/lib/wait.mjs'
import { bus } from './faults/bus.mjs'
import { clock, clocksMissing } from './faults/clock.mjs'
import { connections } from './faults/connections.mjs'
import { ddl } from './faults/ddl.mjs'
import { disk, disksMissing } from './faults/disk.mjs'
import { postgres } from './faults/postgres.mjs'
import { promotions, restorations } from './faults/rewind.mjs'
import { kills, points, stops, terminations } from './faults/services.mjs'
import { slot } from './faults/slot.mjs'

const BETWEEN_MS = [1500, 7000]
/** Now and then it is calm for long enough to see that nobody waits for what is there. */
const LULL_CHANCE = 0.06
const LULL_MS = deadlineMs(28_000)

/** Kind → how often among all that are chosen with FAULTS=, and what can happen, each with a weight of its own. */
export const FAULTS = {
  kill: [6, kills],
  stop: [2, stops],
  terminate: [1, terminations],
  points: [4, points],
  postgres: [4, postgres],
  bus: [4, bus],
  slot: [4, slot],
  connections: [3, connections],
  clock: [1, clock],
  ddl: [5, ddl],
  disk: [3, disk],
  restore: [1, restorations],
  promote: [1, promotions],
}

/** Kind → why it cannot be had on this machine, or with this build. */
export const missing = () => ({ clock: clocksMissing(), disk: disksMissing() })

export class Faults {
  constructor(world, rng, kinds) {
    Object.assign(this, { world, rng })
    this.choices = kinds.map((kind) => FAULTS[kind])
    this.count = 0
  }

  start() {
    this.going = this.choices.length > 0
    this.loop = this.run().catch((error) => this.world.fail(error, {}))
  }

  async run() {
    while (this.going) {
      await pause(this.rng.int(...BETWEEN_MS))
      if (this.rng.chance(LULL_CHANCE)) await this.lull()
      if (!this.going) return
      await this.one(this.rng.weighted(this.rng.weighted(this.choices)))
    }
  }

  /** Nobody comes or goes meanwhile. */
  async lull() {
    this.world.event('calm')
    this.world.crowd.rest(true)
    for (const end = Date.now() + LULL_MS; this.going && Date.now() < end; ) await pause(200)
    this.world.crowd.rest(false)
  }

  async one(fault) {
    this.count++
    if (fault.calm) return fault(this.world, this.rng)
    this.world.disturb(Infinity)
    await fault(this.world, this.rng)
    this.world.quiet = Date.now()
    return undefined
  }

  async stop() {
    this.going = false
    await this.loop
  }
}
