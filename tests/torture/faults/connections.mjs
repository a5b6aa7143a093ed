// Postgres takes no more connections, ends what takes long, and the pooler goes away.
import { pause } from '../../integration/lib/wait.mjs'
import { connectionLost } from '../writers.mjs'
import { backends, OURS } from './postgres.mjs'

const AT_ONCE = 10
const MOST = 300

/** Every connection that the server has to give. `options`: of one. */
async function takeAll(world, options) {
  const held = []
  while (held.length < MOST) {
    const more = await Promise.allSettled(Array.from({ length: AT_ONCE }, () => world.database.session({ connectionTimeoutMillis: 30_000, ...options })))
    held.push(...more.filter((m) => m.value).map((m) => m.value))
    const refused = more.find((m) => m.reason)?.reason
    if (refused && !connectionLost(refused)) throw refused
    if (refused) return held
  }
  throw new Error(`Postgres has given ${MOST} connections and more`)
}

/** Sluice's sessions are ended, or only new ones cannot be had. */
async function endSome(world, rng) {
  for (const pid of await backends(world, `not ${OURS}`)) if (rng.chance(0.5)) await world.postgres.query(`select pg_terminate_backend(${pid})`)
}

async function none(world, rng) {
  const ms = rng.pick([300, 2000, 6000])
  const walsenders = rng.chance(0.5)
  const ended = rng.chance(0.7)
  world.event(`Postgres is out of ${walsenders ? 'replication ' : ''}connections for ${ms} ms${ended ? ', and sessions were ended' : ''}`)
  if (ended) await endSome(world, rng)
  const held = await takeAll(world, walsenders ? { replication: 'database' } : {})
  await pause(ms)
  await Promise.allSettled(held.map((client) => client.end()))
}

/** Of the database: for sessions that begin now. */
async function setting(world, rng) {
  const [name, value] = rng.pick([['statement_timeout', 1], ['statement_timeout', 20], ['statement_timeout', 200], ['lock_timeout', 1], ['idle_in_transaction_session_timeout', 5]])
  const ms = rng.pick([1000, 4000, 8000])
  world.event(`${name} of the database is ${value} ms for ${ms} ms`)
  await world.sql(`alter database ${world.database.name} set ${name} = ${value}`)
  await endSome(world, rng)
  await pause(ms)
  await world.sql(`alter database ${world.database.name} reset ${name}`)
  if (rng.chance(0.5)) await endSome(world, rng)
}

async function noPooler(world, rng) {
  if (!world.pooler) return none(world, rng)
  const ms = rng.pick([0, 1000, 5000])
  world.event(`pgbouncer is away for ${ms} ms`)
  await world.pooler.stop()
  await pause(ms)
  return world.pooler.launch()
}

export const connections = [[2, none], [2, setting], [1, noPooler]]
