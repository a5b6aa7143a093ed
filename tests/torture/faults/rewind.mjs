// Postgres goes back to an older copy of its files, slots and all, or is promoted to a new timeline, or both: as when a standby that
// lagged takes over. What was committed since the copy was taken has not happened.
import { execFileSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../../integration/lib/wait.mjs'

const copyFiles = (from, to) => execFileSync('cp', ['-a', '--reflink=auto', from, to])

/** Stops Postgres; resolves when the oracle has everything that it has ever sent. */
async function stopPostgres(world) {
  await world.postgres.stop()
  await world.replication.silence()
}

async function launchPromoted(world) {
  world.postgres.becomeStandby()
  await world.postgres.launch()
  await world.postgres.promote()
}

async function promote(world) {
  world.event('Postgres promoted to a new timeline')
  const over = world.excuses.begin({})
  await stopPostgres(world)
  await launchPromoted(world)
  over()
}

async function restore(world, rng) {
  const promoted = rng.chance(0.4)
  const over = world.excuses.begin({})
  const copy = join(world.postgres.dir, 'copy')
  world.event('Postgres stopped, its files copied')
  await stopPostgres(world)
  copyFiles(world.postgres.data, copy)
  const point = world.save()
  await world.postgres.launch()
  await pause(rng.pick([200, 2000, 8000]))
  world.event(`Postgres put back to its copy${promoted ? ', and promoted' : ''}`)
  await stopPostgres(world)
  rmSync(world.postgres.data, { recursive: true })
  execFileSync('mv', [copy, world.postgres.data])
  const settled = world.goBack(point)
  await (promoted ? launchPromoted(world) : world.postgres.launch())
  settled()
  over()
}

export const promotions = [[1, promote]]
export const restorations = [[1, restore]]
