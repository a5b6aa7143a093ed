// Time zones by name in where clauses: the router's rules are the database's, or there is no shape.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { begin } from './lib/http.mjs'
import { endOf } from './lib/log.mjs'
import { until } from './lib/wait.mjs'

const SYSTEM = '/usr/share/zoneinfo'
const OTHER = (zone) =>
  `the time zone database (tzdata) of the database's host has other rules for "${zone}" than that of the router's host`

/** A directory with the zones as the system has them. */
function ownZones(...zones) {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-zones-'))
  for (const zone of zones) {
    mkdirSync(dirname(join(dir, zone)), { recursive: true })
    cpSync(join(SYSTEM, zone), join(dir, zone), { dereference: true })
  }
  return dir
}

/** Summer time begins a week earlier. */
function doctor(dir, zone) {
  const file = join(dir, zone)
  const text = readFileSync(file, 'latin1')
  expect(text).toContain(',M3.5.0')
  writeFileSync(file, text.replace(',M3.5.0', ',M3.4.0'), 'latin1')
}

const refusal = async (stack, query) => {
  const { status, json } = await stack.shape({ ...query, offset: '-1' })
  return [status, json]
}
const refused = (text) => [400, { message: 'Invalid request', errors: { where: [text] } }]

describe('the same rules', () => {
  const ctx = useStack({ env: { SLUICE_SCHEMA_PERIOD: '300ms' } })
  const sql = (text, values) => ctx.db.sql(text, values)

  test('the snapshot and the log are what Postgres says, for a constant and for a parameter', async () => {
    await sql('create table moments (id int primary key, tz timestamptz, ts timestamp)')
    const moments = ['2024-03-31 00:59:59Z', '2024-03-31 01:00:00Z', '2024-10-27 00:30:00Z', '2024-10-27 01:30:00Z', '2011-12-30 11:00:00Z', '2024-04-06 15:15:00Z',
      '1883-11-18 17:00:00Z', '0044-03-15 12:00:00Z BC', '2500-07-01 00:00:00Z', 'infinity', '-infinity', null]
    async function insert(from) {
      for (const [i, at] of moments.entries()) await sql('insert into moments values ($1, $2, $3)', [from + i, at, at?.replace('Z', '') ?? null])
    }
    await insert(0)
    const zones = ['Europe/Berlin', 'America/New_York', 'Australia/Lord_Howe', 'Pacific/Apia', 'Africa/Casablanca']
    const clauses = zones.flatMap((zone) => [
      `tz AT TIME ZONE '${zone}' < '2024-03-31 03:00:00'`,
      `ts AT TIME ZONE '${zone}' >= '2024-03-31 01:30:00+00'`,
      `(tz AT TIME ZONE '${zone}')::date = '2024-10-27'`,
      `timezone('${zone}', ts) = tz`,
      `ts > timestamptz '2024-10-27 00:30:00+00' AT TIME ZONE '${zone}'`,
    ])
    const clients = clauses.map((where) => [where, ctx.client({ table: 'moments', where })])
    clients.push([clauses[0], ctx.client({ table: 'moments', where: `tz AT TIME ZONE $1 < '2024-03-31 03:00:00'`, params: { 1: zones[0] } })])
    for (const [, client] of clients) await client.upToDate()
    await insert(100)
    await sql(`update moments set tz = tz + interval '1 hour', ts = ts + interval '30 minutes'`)
    for (const [where, client] of clients) await client.converges(ctx.db, 'moments', { where })
  })

  test('names that are none, and columns, are refused', async () => {
    await sql('create table named (id int primary key, tz timestamptz, zone text)')
    const answer = (zone) => refusal(ctx.stack, { table: 'named', where: `tz AT TIME ZONE ${zone} < '2024-01-01 00:00:00'` })
    for (const zone of ['europe/berlin', '../zoneinfo/Europe/Berlin', 'PST'])
      expect(await answer(`'${zone}'`)).toEqual(refused(
        `At location 16: time zone "${zone}" is not UTC, not an offset, and not in the time zone database (in which upper and lower case differ)`))
    expect(await answer('zone')).toEqual(refused('At location 16: a time zone must be a constant'))
  })

  test('a subset may name a zone for its columns; a constant in one is refused', async () => {
    await sql(`create table part (id int primary key, tz timestamptz); insert into part values (1, '2024-06-30 22:30Z'), (2, '2024-06-30 21:30Z')`)
    const at = await endOf(ctx.stack, { table: 'part' })
    const subset = (where) => ctx.stack.shape({ ...at, subset__where: where })
    const { status, json } = await subset(`tz AT TIME ZONE 'Europe/Berlin' >= '2024-07-01 00:00:00'`)
    expect([status, json.data.map((row) => row.value.id)]).toEqual([200, ['1']])
    const other = await subset(`tz >= timestamp '2024-07-01 00:00:00' AT TIME ZONE 'Europe/Berlin'`)
    expect([other.status, other.json.errors]).toEqual([400,
      { subset: { where: ['a constant in a time zone that has a name is not supported in a subset, where it must be given in UTC'] } }])
  })

  // An abbreviation comes before a zone of that name: so a setting of the database changes what EST is.
  test('a shape ends when the database has other rules from now on', async () => {
    await sql('create table changed (id int primary key, tz timestamptz)')
    const query = { table: 'changed', where: `tz AT TIME ZONE 'EST' < '2024-01-01 00:00:00'` }
    const at = await endOf(ctx.stack, query)
    const kept = await endOf(ctx.stack, { table: 'changed', where: `tz AT TIME ZONE 'Asia/Tokyo' < '2024-01-01 00:00:00'` })
    const poll = begin(ctx.stack.url, { query: { ...at, live: 'true' } })
    await until(async () => (await ctx.stack.metric('edge-0', 'parked_requests')) >= 1, { what: 'the poll is parked' })
    await sql(`alter database ${ctx.db.name} set timezone_abbreviations = 'Australia'`)
    ctx.cleanup(() => sql(`alter database ${ctx.db.name} reset timezone_abbreviations`))
    expect((await poll.answer).status).toBe(409)
    expect(await ctx.stack.metric('router-0', 'gone_zone_total')).toBe(1)
    expect(await refusal(ctx.stack, query)).toEqual(refused(OTHER('EST')))
    expect((await ctx.stack.shape(kept)).status).toBe(200)
  })

  // What digits they have is a rule of the server's version, and kept with the shape.
  test('a shape with powers of numerics goes on after a restart', async () => {
    await sql("create table powers (id int primary key, n numeric); insert into powers values (1, 1.5), (2, 200)")
    const query = { table: 'powers', where: `(n ^ 3.0)::text LIKE '3.375%' OR n ^ 0.5 > 20` }
    const client = ctx.client(query)
    await client.upToDate()
    const before = await endOf(ctx.stack, query)
    await ctx.stack.stop()
    await ctx.stack.launch()
    await ctx.stack.ready()
    await sql('insert into powers values (3, 1.50), (4, 401), (5, 400)')
    await client.converges(ctx.db, 'powers', { where: query.where })
    expect((await endOf(ctx.stack, query)).handle).toBe(before.handle)
  })
})

describe('files of our own', () => {
  const dir = ownZones('Europe/Berlin', 'Europe/Paris', 'Europe/Rome')
  doctor(dir, 'Europe/Rome')
  cpSync(join(dir, 'Europe/Paris'), join(dir, 'Europe/Nowhere'))
  const ctx = useStack({ env: { TZDIR: dir } })
  const sql = (text) => ctx.db.sql(text)
  const clause = (zone) => ({ table: 't', where: `tz AT TIME ZONE '${zone}' < '2024-01-01 00:00:00'` })

  test('other rules than the database has are refused, and end a shape after a restart', async () => {
    ctx.cleanup(() => rmSync(dir, { recursive: true }))
    await sql(`create table t (id int primary key, tz timestamptz); insert into t values (1, '2024-01-01 00:00Z')`)
    expect(await refusal(ctx.stack, clause('Europe/Rome'))).toEqual(refused(OTHER('Europe/Rome')))
    const berlin = await endOf(ctx.stack, clause('Europe/Berlin'))
    const paris = await endOf(ctx.stack, clause('Europe/Paris'))
    const unknown = clause('Europe/Nowhere')
    expect(await refusal(ctx.stack, unknown)).toEqual(refused(OTHER('Europe/Nowhere')))
    const subset = await ctx.stack.shape({ ...(await endOf(ctx.stack, { table: 't' })), subset__where: unknown.where })
    expect([subset.status, subset.json.errors]).toEqual([400, { subset: { where: 'time zone "Europe/Nowhere" not recognized' } }])
    await ctx.stack.stop()
    doctor(dir, 'Europe/Berlin')
    await ctx.stack.launch()
    await ctx.stack.ready()
    expect((await ctx.stack.shape(paris)).status, 'its rules are as before').toBe(200)
    expect((await ctx.stack.shape(berlin)).status, 'the log was written by other rules').not.toBe(200)
    expect(await refusal(ctx.stack, clause('Europe/Berlin'))).toEqual(refused(OTHER('Europe/Berlin')))
  })
})
