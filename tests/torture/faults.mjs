// What is done to the stack in the middle of everything. A fault returns when it is over: what it broke runs again, or is about
// to by itself.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause, until } from '../integration/lib/wait.mjs'
import { alive } from '../integration/lib/process.mjs'

const BETWEEN_MS = [1500, 7000]
const STOPPED_MS = [50, 100, 500, 1500, 4000, 12_000]

const someService = (world, rng) => rng.pick(world.stack.services())

async function kill(world, rng) {
  const services = rng.chance(0.3) ? world.stack.services().filter(() => rng.chance(0.6)) : [someService(world, rng)]
  for (const service of services) {
    world.event(`kill -9 ${service}`)
    await world.stack.kill(service)
    if (rng.chance(0.5)) await pause(rng.int(0, 500))
  }
}

/** Everything at once, as when the machine dies and its disk does not. */
async function crash(world) {
  world.event('kill -9 of everything')
  await world.stack.crash()
  await world.stack.launch()
}

async function stop(world, rng) {
  const service = someService(world, rng)
  const ms = rng.pick(STOPPED_MS)
  world.event(`SIGSTOP ${service} for ${ms} ms`)
  const pid = world.stack.signal(service, 'SIGSTOP')
  await pause(ms)
  if (alive(pid)) process.kill(pid, 'SIGCONT')
}

async function terminate(world, rng) {
  const service = someService(world, rng)
  world.event(`SIGTERM ${service}`)
  const old = world.stack.signal(service, 'SIGTERM')
  await until(() => world.stack.pid(service) !== old && alive(world.stack.pid(service)), { what: `${service} is started again`, within: 30_000 })
}

// ------------------------------------------------------------------ Postgres

async function backends(world, where) {
  const rows = await world.postgres.query(`select pid from pg_stat_activity where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid() and ${where}`)
  return rows.map((r) => r.pid)
}

const OURS = "application_name in ('writer', 'tick', 'test', 'oracle')"

async function postgresRestart(world, rng) {
  const mode = rng.pick(['INT', 'QUIT'])
  world.event(`Postgres restarts (${mode === 'INT' ? 'fast' : 'immediate'})`)
  await world.postgres.stop(mode)
  if (rng.chance(0.4)) await pause(rng.int(0, 4000))
  await world.postgres.launch()
}

/** The server ends all sessions and recovers when one of its processes is killed. */
async function postgresKill(world, rng) {
  const pids = await backends(world, `not ${OURS}`)
  if (!pids.length) return
  world.event('kill -9 of a Postgres backend that serves Sluice')
  process.kill(rng.pick(pids), 'SIGKILL')
  await until(() => world.postgres.query('select 1').catch(() => null), { what: 'Postgres has recovered', within: 60_000 })
}

async function postgresTerminate(world, rng) {
  const pids = await backends(world, `not ${OURS}`)
  if (!pids.length) return
  world.event('pg_terminate_backend of one of Sluice’s sessions')
  await world.postgres.query(`select pg_terminate_backend(${rng.pick(pids)})`)
}

async function postgresStop(world, rng) {
  const pids = [...await backends(world, `not ${OURS}`)]
  const ms = rng.pick(STOPPED_MS)
  const chosen = rng.chance(0.5) ? pids : [rng.pick(pids)]
  world.event(`SIGSTOP of ${chosen.length} Postgres backends for ${ms} ms`)
  for (const pid of chosen) if (alive(pid)) process.kill(pid, 'SIGSTOP')
  await pause(ms)
  for (const pid of chosen) if (alive(pid)) process.kill(pid, 'SIGCONT')
}

// ------------------------------------------------------------------ fault points

const DURABLE_STEPS = [...readFileSync(new URL('../../common/fault/points.def', import.meta.url), 'utf8').matchAll(/^POINT\(\w+,\s*"([\w.]+)"/gm)].map((m) => m[1])
const UNTIL_REACHED_MS = 4000

/** The process that gets there next dies there; some steps come at a start only. */
async function pointReached(world, rng) {
  const point = rng.pick(DURABLE_STEPS)
  const order = join(world.faultDir, point)
  world.event(`kill at ${point}`)
  writeFileSync(order, 'kill')
  if (rng.chance(0.3)) await world.stack.kill(point.startsWith('ingest') ? 'ingest' : `router-${rng.int(0, world.stack.routers - 1)}`)
  await until(() => !existsSync(order), { within: UNTIL_REACHED_MS }).catch(() => rmSync(order, { force: true }))
}

/** Kind → what can happen; FAULTS= chooses among the kinds. */
export const FAULTS = {
  kill: [[6, kill], [1, crash]],
  stop: [[1, stop]],
  terminate: [[1, terminate]],
  points: [[3, pointReached]],
  postgres: [[1, postgresRestart], [1, postgresKill], [2, postgresTerminate], [1, postgresStop]],
}

export class Faults {
  constructor(world, rng, kinds) {
    Object.assign(this, { world, rng })
    this.choices = kinds.flatMap((kind) => FAULTS[kind])
    this.count = 0
  }

  start() {
    this.going = this.choices.length > 0
    this.loop = this.run().catch((error) => this.world.fail(error, {}))
  }

  async run() {
    while (this.going) {
      await pause(this.rng.int(...BETWEEN_MS))
      if (!this.going) return
      await this.one(this.rng.weighted(this.choices))
    }
  }

  async one(fault) {
    this.count++
    this.world.disturb(Infinity)
    await fault(this.world, this.rng)
    this.world.quiet = Date.now()
  }

  async stop() {
    this.going = false
    await this.loop
  }
}
