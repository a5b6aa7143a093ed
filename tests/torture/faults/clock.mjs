// Clocks that jump: libfaketime's, one for each service, read again at every look.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../../integration/lib/wait.mjs'

const LIBRARY = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'].map((dir) => `${dir}/faketime/libfaketimeMT.so.1`).find(existsSync)

/** Sanitizers want to be loaded first and bring their own clock_gettime. */
export const clocksMissing = () =>
  /asan|tsan/.test(process.env.SLUICE_VARIANT) ? 'libfaketime and sanitizers exclude each other' : !LIBRARY && 'there is no libfaketime (Debian: faketime)'

const fileOf = (world, service) => join(world.dir, `clock-${service}`)

/** The environment that gives a service a clock of its own, which is right to begin with. */
export function ownClock(world, service) {
  writeFileSync(fileOf(world, service), '+0\n')
  return { LD_PRELOAD: LIBRARY, FAKETIME_TIMESTAMP_FILE: fileOf(world, service), FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', FAKETIME_DONT_RESET: '1' }
}

const JUMPS_S = [-86400 * 30, -3600, -60, -2, -0.3, 0.3, 5, 120, 7200, 86400 * 400]

async function jump(world, rng) {
  const services = world.stack.services().filter(() => rng.chance(0.5))
  const by = rng.pick(JUMPS_S)
  const back = rng.chance(0.6)
  world.event(`clock of ${services.join(', ') || 'nobody'} jumps by ${by} s${back ? ', and back' : ''}`)
  for (const service of services) writeFileSync(fileOf(world, service), `${by < 0 ? '' : '+'}${by}\n`)
  await pause(rng.int(100, 5000))
  if (back) for (const service of services) writeFileSync(fileOf(world, service), '+0\n')
}

export const clock = [[1, jump]]
