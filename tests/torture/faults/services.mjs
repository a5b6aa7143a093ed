// Services that are killed, stopped and ended, also at a durable step.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { alive } from '../../integration/lib/process.mjs'
import { pause, until } from '../../integration/lib/wait.mjs'
import { STOPPED_MS } from './times.mjs'

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

// ------------------------------------------------------------------ fault points

const DURABLE_STEPS = [...readFileSync(new URL('../../../common/fault/points.def', import.meta.url), 'utf8').matchAll(/^POINT\(\w+,\s*"([\w.]+)"/gm)].map((m) => m[1])
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

export const kills = [[6, kill], [1, crash]]
export const stops = [[1, stop]]
export const terminations = [[1, terminate]]
export const points = [[1, pointReached]]
