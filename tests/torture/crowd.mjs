// Who reads: clients of all kinds that come, go on from where somebody stopped, arrive in herds and leave; and who deletes shapes.
import { Client } from './client.mjs'
import { PIECE_COUNT, pieceOf } from './shapes.mjs'
import { add, rowHash } from './sum.mjs'
import { ask } from './wire.mjs'
import { pause } from '../integration/lib/wait.mjs'

const SAVED_MAX = 150
const LIFE_MS = [200, 15_000]
const HERD = 15

export class Crowd {
  constructor(world, rng, count) {
    Object.assign(this, { world, rng, count })
    this.clients = new Set()
    this.saved = []
    this.runs = new Set()
  }

  start() {
    this.going = true
    this.loops = [this.renew(), this.stampede(), this.deletions(), this.subsets(), this.saves()]
    for (const loop of this.loops) loop.catch((error) => error.violation || this.world.fail(error, {}))
  }

  // ------------------------------------------------------------------ coming and going

  begin(definition, { saved, mode = this.mode(), life } = {}) {
    const client = new Client(this.world, definition, { mode, saved, base: this.world.edge(this.rng), rng: this.rng.fork(`client ${this.rng.int(0, 1e9)}`) })
    client.ends = Date.now() + (life ?? this.rng.int(...LIFE_MS))
    this.clients.add(client)
    const run = client.run().catch((error) => error.violation || this.world.fail(error, { client }))
    this.runs.add(run)
    run.finally(() => this.runs.delete(run))
    return client
  }

  end(client) {
    this.clients.delete(client)
    client.stop()
  }

  mode() {
    return this.rng.weighted([[5, 'poll'], [4, 'sse'], [2, 'catch-up']])
  }

  /** Whoever is here stays until rest(false). */
  rest(resting) {
    this.resting = resting
  }

  async renew() {
    while (this.going) {
      if (!this.resting) for (const client of this.clients) if (client.ends < Date.now()) this.end(client)
      while (this.clients.size < this.count) {
        const saved = this.rng.chance(0.4) && this.saved.length ? this.rng.pick(this.saved) : undefined
        this.begin(saved?.definition ?? this.rng.pick(this.world.definitions), { saved: saved?.state })
      }
      await pause(100)
    }
  }

  async stampede() {
    while (this.going) {
      await pause(this.rng.int(2000, 6000))
      if (this.resting) continue
      const saved = this.rng.chance(0.5) && this.saved.length ? this.rng.pick(this.saved) : undefined
      const definition = saved?.definition ?? this.rng.pick(this.world.definitions)
      const mode = this.mode()
      for (let i = 0; this.going && i < HERD; i++) this.begin(definition, { saved: saved?.state, mode, life: 3000 })
    }
  }

  /** Positions to go on from later. */
  async saves() {
    while (this.going) {
      await pause(200)
      const clients = [...this.clients].filter((c) => c.upToDate && c.mode !== 'sse')
      if (!clients.length) continue
      const client = this.rng.pick(clients)
      const entry = { definition: client.definition, state: client.save() }
      if (this.saved.length < SAVED_MAX) this.saved.push(entry)
      else this.saved[this.rng.int(0, SAVED_MAX - 1)] = entry
    }
  }

  // ------------------------------------------------------------------ other requests

  async deletions() {
    while (this.going) {
      await pause(this.rng.int(500, 4000))
      const definition = this.rng.pick(this.world.definitions)
      this.world.checker.deleted(definition)
      const asked = Date.now()
      try {
        const { status } = await ask(this.world.edge(this.rng), { method: 'DELETE', query: definition.params })
        if (![202, 404, 503].includes(status) && !(status === 400 && this.world.checker.mayRefuse(definition, asked))) this.world.checker.violation(`DELETE of ${definition.name}: ${status}`, {})
      } catch (error) {
        if (error.violation) throw error
      }
      this.world.checker.deleted(definition)
    }
  }

  async subsets() {
    while (this.going) {
      await pause(this.rng.int(100, 800))
      const clients = [...this.clients].filter((c) => c.handle && c.snapshot)
      if (clients.length) await this.subset(this.rng.pick(clients)).catch((error) => { if (error.violation) throw error })
    }
  }

  async subset(client) {
    const { definition, handle, offset, columns } = client
    const asked = Date.now()
    const { piece, definition: both } = pieceOf(definition, this.rng.int(0, PIECE_COUNT - 1))
    const params = Object.fromEntries((piece.params ?? []).map((value, i) => [i + 1, value]))
    const answer = await ask(this.world.edge(this.rng), {
      method: 'POST', query: { ...definition.params, handle, offset }, body: JSON.stringify({ where: piece.sql, params }),
    })
    if (answer.status === 409 || answer.status === 503 || (answer.status === 400 && this.world.checker.mayRefuse(both, asked))) return
    if (answer.status !== 200) this.world.checker.violation(`a subset: ${answer.status} ${answer.text}`, { client })
    const body = JSON.parse(answer.text)
    const state = body.data.reduce((sum, { key, value }) => add(sum, rowHash(key, columns, value)), 0)
    this.world.checker.subset(client, both, body, state)
  }

  // ------------------------------------------------------------------ the end

  /** No more coming and going: those who are here stay, and one of every shape joins them. */
  settle() {
    this.going = false
    const follow = new Set([...this.clients].map((c) => c.definition.name))
    for (const client of this.clients) client.ends = Infinity
    for (const definition of this.world.definitions) if (!follow.has(definition.name)) this.begin(definition, { mode: 'poll', life: Infinity })
  }

  async stop() {
    this.going = false
    for (const client of this.clients) client.stop()
    await Promise.allSettled([...this.loops, ...this.runs])
  }
}
