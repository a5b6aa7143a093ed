// Postgres restarts, dies, and loses or forgets its sessions.
import { alive } from '../../integration/lib/process.mjs'
import { pause, until } from '../../integration/lib/wait.mjs'
import { STOPPED_MS } from './times.mjs'

export async function backends(world, where) {
  const rows = await world.postgres.query(`select pid from pg_stat_activity where backend_type in ('client backend', 'walsender') and pid <> pg_backend_pid() and ${where}`)
  return rows.map((r) => r.pid)
}

export const OURS = "application_name in ('writer', 'tick', 'test', 'oracle')"

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

export const postgres = [[1, postgresRestart], [1, postgresKill], [2, postgresTerminate], [1, postgresStop]]
