// A table is altered, renamed, dropped and made again.
import { pause } from '../../integration/lib/wait.mjs'
import { isDescribed } from '../moody.mjs'

const ATTEMPTS = 8
const LOCK_MS = 400
/** Somebody was in the way, or the rows are not such that it can be done. */
const IN_THE_WAY = ['55P03', '40P01', '57014']
const IMPOSSIBLE = ['23505', '23502']

/** In one transaction with the message that tells the oracle. False: it could not be done. */
async function carryOut(world, { sql, ops }) {
  const session = await world.database.session({ application_name: 'test' })
  try {
    for (let i = 0; i < ATTEMPTS; i++) {
      try {
        await session.query(`begin; set local lock_timeout = ${LOCK_MS}; ${sql}`)
        await session.query("select pg_logical_emit_message(true, 'oracle ddl', $1)", [JSON.stringify(ops)])
        await session.query('commit')
        return true
      } catch (error) {
        await session.query('rollback')
        if (IMPOSSIBLE.includes(error.code)) return false
        if (!IN_THE_WAY.includes(error.code)) throw error
      }
    }
    return false
  } finally {
    await session.end()
  }
}

async function alter(world, change) {
  world.event(change.sql)
  const over = world.excuses.begin({ tables: ['moody'], ends: false, requests: true, stale: !change.ops.every((op) => op.do === 'nothing' || isDescribed(op)) })
  if (await carryOut(world, change)) change.then()
  else world.event('it could not be done')
  over()
}

/** The stack is not disturbed by it: whoever waits has to be told. */
async function some(world, rng) {
  for (let i = rng.int(1, 4); i > 0; i--) {
    await alter(world, world.moody.choose(rng))
    await pause(rng.pick([0, 0, 200, 1500, 4000]))
  }
}
some.calm = true

/** It is where it was, so that its shapes can be compared with SELECT. */
export async function putBack(world) {
  const { moody } = world
  for (const end = Date.now() + 30_000; moody.place !== 'there' && Date.now() < end; ) await alter(world, moody.back())
}

export const ddl = [[1, some]]
