// What somebody else does to Sluice's slot, publication and replica identities.
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { postgresBin } from '../../integration/lib/postgres.mjs'
import { alive } from '../../integration/lib/process.mjs'
import { pause, until } from '../../integration/lib/wait.mjs'
import { STATIC_TABLES } from '../schema.mjs'

const LOCK_MS = 1000

const publication = (world) => `electric_publication_${world.stack.streamId}`

async function slotOf(world, name = world.stack.slot) {
  const [slot] = await world.sql(
    'select active_pid, wal_status, pg_wal_lsn_diff(restart_lsn, $2)::int8 restart, pg_wal_lsn_diff(confirmed_flush_lsn, $2)::int8 confirmed from pg_replication_slots where slot_name = $1',
    [name, '0/0'],
  )
  return slot
}

/** Holds ingest, so that the slot can be taken from it; `work` is done with the slot free. */
async function withoutIngest(world, work) {
  const pid = world.stack.signal('ingest', 'SIGSTOP')
  try {
    await until(async () => {
      const slot = await slotOf(world)
      if (slot?.active_pid) await world.sql('select pg_terminate_backend($1)', [slot.active_pid])
      return !slot?.active_pid
    }, { what: 'nobody uses the slot' })
    await work()
  } finally {
    if (alive(pid)) process.kill(pid, 'SIGCONT')
  }
}

// ------------------------------------------------------------------ the slot

/** Everything begins again: what was committed meanwhile cannot be known. */
async function dropped(world, rng) {
  const again = rng.chance(0.4)
  world.event(`slot dropped${again ? ' and made again by somebody' : ''}`)
  const over = world.excuses.begin({})
  await withoutIngest(world, async () => {
    await world.sql('select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1', [world.stack.slot])
    if (again) await world.sql("select pg_create_logical_replication_slot($1, 'pgoutput')", [world.stack.slot])
    await pause(rng.int(0, 1000))
  })
  over()
}

async function advanced(world, rng) {
  world.event('slot moved on by somebody')
  const over = world.excuses.begin({})
  await withoutIngest(world, async () => {
    await pause(rng.int(0, 500))
    if (await slotOf(world)) await world.sql('select pg_replication_slot_advance($1, pg_current_wal_lsn())', [world.stack.slot])
  })
  over()
}

/** Postgres removes WAL that the slot needs, and none that the oracle needs: nobody writes meanwhile. */
async function invalidated(world) {
  world.event('slot invalidated, max_slot_wal_keep_size')
  const over = world.excuses.begin({})
  await world.writers.rest(() => withoutIngest(world, async () => {
    if (!(await slotOf(world))) return
    await passed(world)
    await world.sql("alter system set max_slot_wal_keep_size = '1MB'")
    await world.sql('select pg_reload_conf()')
    await until(async () => {
      await world.sql('checkpoint')
      return (await slotOf(world)).wal_status === 'lost'
    }, { what: 'the slot is invalidated', every: 200 })
    await world.sql('alter system reset max_slot_wal_keep_size')
    await world.sql('select pg_reload_conf()')
  }))
  if ((await slotOf(world, 'oracle')).wal_status === 'lost') throw new Error('the oracle’s slot is lost, too')
  over()
}

/** The oracle's slot has left the segment that Sluice's slot is in, and the next one. */
async function passed(world) {
  for (let i = 0; i < 2; i++) {
    await world.sql("select pg_logical_emit_message(false, 'fill', 'a segment that is not empty')")
    await world.sql('select pg_switch_wal()')
  }
  const [{ at }] = await world.sql("select (pg_current_wal_insert_lsn() - '0/0')::int8 at")
  await until(async () => {
    await world.sql('checkpoint') // logs what a slot's restart_lsn can be moved to
    await world.history.afterNow()
    return Number((await slotOf(world, 'oracle')).restart) >= Number(at)
  }, { what: 'the oracle’s slot has moved on', every: 200, within: 30_000 })
}

/** A program that has the slot and confirms nothing: when it goes, everything continues. */
async function inUse(world, rng) {
  const ms = rng.int(500, 5000)
  const name = rng.pick(['somebody else', 'sluice-ingest'])
  world.event(`slot in use by '${name}' for ${ms} ms`)
  const over = world.excuses.begin({})
  let other
  await withoutIngest(world, async () => {
    other = spawn(join(postgresBin(), 'pg_recvlogical'), [
      '-d', world.database.url, '-S', world.stack.slot, '--start', '-f', '/dev/null', '-n', '-o', 'proto_version=1', '-o', `publication_names=${publication(world)}`,
    ], { env: { ...process.env, PGAPPNAME: name }, stdio: 'ignore' })
    await until(async () => (await slotOf(world))?.active_pid || other.exitCode !== null, { what: 'the other one has the slot' })
  })
  await pause(ms)
  other.kill('SIGKILL')
  over()
}

// ------------------------------------------------------------------ the publication

/** Runs statements that others may be in the way of. */
async function alter(world, statements) {
  const session = await world.database.session({ application_name: 'test' })
  try {
    await session.query(`set lock_timeout = ${LOCK_MS}`)
    for (const text of statements) await session.query(text)
    return true
  } catch (error) {
    if (!['55P03', '40P01', '42704', '42710', '57014'].includes(error.code)) throw error
    return false
  } finally {
    await session.end()
  }
}

async function unpublished(world, rng) {
  const rows = await world.sql('select tablename from pg_publication_tables where pubname = $1', [publication(world)])
  if (!rows.length) return
  const table = rng.pick(rows.map((r) => r.tablename))
  const tables = table.startsWith('part') ? ['part'] : [table]
  world.event(`table ${table} taken out of the publication`)
  const over = world.excuses.begin({ tables, stale: true })
  if (await alter(world, [`alter publication ${publication(world)} drop table ${table}`])) {
    await pause(rng.pick([0, 0, 100, 2000]))
    if (rng.chance(0.6)) await alter(world, [`alter publication ${publication(world)} add table ${table}`])
  }
  over()
}

async function publicationAltered(world, rng) {
  const lacking = rng.pick(['update, delete, truncate', 'insert, update', 'insert, delete, truncate'])
  world.event(`publication publishes only ${lacking}`)
  const over = world.excuses.begin({ stale: true })
  if (await alter(world, [`alter publication ${publication(world)} set (publish = '${lacking}')`])) {
    await pause(rng.pick([0, 50, 1000, 3000]))
    await alter(world, [`alter publication ${publication(world)} set (publish = 'insert, update, delete, truncate')`])
  }
  over()
}

async function publicationDropped(world) {
  world.event('publication dropped')
  const over = world.excuses.begin({})
  await alter(world, [`drop publication if exists ${publication(world)}`])
  over()
}

/** An update without its old row may end the shapes of its table. */
async function identity(world, rng) {
  const table = rng.pick(STATIC_TABLES.filter((t) => t !== 'part').concat('part_0', 'part_2'))
  const other = table === 'nopk' ? 'nothing' : rng.pick(['default', 'nothing'])
  world.event(`replica identity of ${table}: ${other}`)
  const over = world.excuses.begin({ tables: [table.startsWith('part') ? 'part' : table] })
  await alter(world, [`alter table ${table} replica identity ${other}`])
  await pause(rng.pick([0, 500, 4000]))
  over()
}

export const slot = [[2, dropped], [1, advanced], [1, invalidated], [2, inUse], [2, unpublished], [1, publicationAltered], [1, publicationDropped], [2, identity]]
