// PGlite with @electric-sql/pglite-sync: rows arrive in a Postgres inside the application, in Node.js and in Chromium, and are queried there.
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useStack } from './lib/fixture.mjs'
import { Browser, servePage } from './lib/browser.mjs'
import { openPglite, sameRows } from './lib/pglite.mjs'
import { Proxy } from './lib/proxy.mjs'
import { everything, writer } from './lib/writer.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ ownPostgres: {}, routers: 2, edges: 2 })
const sql = (text, values) => ctx.db.sql(text, values)
const shapeOf = (table, params = {}, edge = 0) => ({ url: `${ctx.stack.edgeUrl(edge)}/v1/shape`, params: { table, ...params } })

const SIMPLE = '(id int primary key, v text)'
const RICH = '(id int8 primary key, n numeric(10, 3), f float8, b boolean, t text, ts timestamptz, j jsonb, a int[], u uuid, by bytea)'

async function table(name, rows = 200) {
  await sql(`create table ${name} ${SIMPLE}; insert into ${name} select n, 'v' || n from generate_series(0, ${rows - 1}) n`)
  return name
}

async function pglite(...definitions) {
  const db = await openPglite()
  ctx.cleanup(() => db.close())
  await db.exec('set timezone to utc')
  for (const [name, columns] of definitions) await db.exec(`create table ${name} ${columns}`)
  return db
}

/** Subscribes; ends with the test. */
async function sync(db, options) {
  const subscription = await db.electric.syncShapesToTables({ key: null, ...options })
  ctx.cleanup(() => subscription.unsubscribe())
  return subscription
}

const one = (name, shape = shapeOf(name), more = {}) => ({ shapes: { [name]: { shape, table: name, primaryKey: ['id'], ...more } } })

beforeAll(() => sql("set timezone to utc"))

/** What each way of inserting can take of what the client parsed. */
const text = (value) => value
const bytea = (value) => Buffer.from(value.slice(2), 'hex')
const PARSERS = { insert: { bytea }, csv: { bytea, jsonb: text }, json: { bytea, int8: text } }

describe('Node.js', () => {
  for (const [method, parser] of Object.entries(PARSERS)) {
    test(`every type, the initial rows by ${method}, then changes`, async () => {
      const name = `rich_${method}`
      await sql(`create table ${name} ${RICH}; insert into ${name} select i, i * 1.125, i / 7.0, i % 2 = 0, 'text "' || i || '", \\ ü', '2024-01-01 00:00:00Z'::timestamptz + i * interval '1 hour',
        jsonb_build_object('i', i, 'list', array[1, i]), null, gen_random_uuid(), null from generate_series(1, 3000) i`)
      if (method === 'insert') await sql(`update ${name} set a = array[id::int, null, 3], by = decode(md5(id::text), 'hex')`)
      const db = await pglite([name, RICH])
      let synced = 0
      await sync(db, { ...one(name, { ...shapeOf(name), parser }), initialInsertMethod: method, onInitialSync: () => synced++ })
      expect(await sameRows(db, ctx.db, name)).toBe(3000)
      await sql(`update ${name} set n = n + 1, j = '{"new": [true, null]}' where id % 3 = 0; delete from ${name} where id % 5 = 0; insert into ${name} (id, a, by) values (9007199254740993, '{1,2}', '\\x00ff')`)
      await sameRows(db, ctx.db, name)
      expect(synced).toBe(1)
      const { rows } = await db.query(`select count(*)::int n, count(distinct u)::int u from ${name} where j @> '{"new": [true]}'`)
      expect(rows).toEqual(await sql(`select count(*)::int n, count(distinct u)::int u from ${name} where j @> '{"new": [true]}'`))
    })
  }

  test('several tables: a transaction on the server is one in PGlite', async () => {
    await sql('create table accounts (id int primary key, balance int); create table entries (id int primary key, account int, amount int)')
    await sql('insert into accounts select n, 100 from generate_series(1, 10) n')
    const db = await pglite(['accounts', '(id int primary key, balance int)'], ['entries', '(id int primary key, account int, amount int)'])
    await sync(db, {
      shapes: {
        accounts: { shape: shapeOf('accounts'), table: 'accounts', primaryKey: ['id'] },
        entries: { shape: shapeOf('entries', {}, 1), table: 'entries', primaryKey: ['id'] },
      },
    })
    await sameRows(db, ctx.db, 'accounts')
    // Whatever is looked at, the sums agree: every account began with 100.
    const torn = []
    const look = async () => {
      const { rows } = await db.query('select (select sum(balance) - 100 * count(*) from accounts)::int a, (select coalesce(sum(amount), 0) from entries)::int e')
      if (rows[0].a !== rows[0].e) torn.push(rows[0])
    }
    for (let n = 1; n <= 60; n++) {
      await sql(`begin; update accounts set balance = balance + ${n} where id = ${(n % 10) + 1}; insert into entries values (${n}, ${(n % 10) + 1}, ${n}); commit`)
      await look()
    }
    for (const name of ['accounts', 'entries']) await sameRows(db, ctx.db, name)
    await look()
    expect(torn).toEqual([])
  })

  test('a subscription is kept with the data and goes on where it was', async () => {
    const name = await table('kept')
    const dir = mkdtempSync('/tmp/sluice-pglite-')
    ctx.cleanup(() => rmSync(dir, { recursive: true, force: true }))
    const requests = []
    const shape = { ...shapeOf(name), fetchClient: (url, init) => (requests.push(new URL(url)), fetch(url, init)) }
    let handle
    for (let session = 0; session < 3; session++) {
      const db = await openPglite(join(dir, 'data'))
      await db.exec(`create table if not exists ${name} ${SIMPLE}`)
      requests.length = 0
      const subscription = await db.electric.syncShapeToTable({ shape, table: name, primaryKey: ['id'], shapeKey: 'the one', initialInsertMethod: 'csv' })
      await sameRows(db, ctx.db, name)
      await sql(`update ${name} set v = 'session ${session}' where id % 7 = ${session}; insert into ${name} values (${1000 + session}, 'new')`)
      await sameRows(db, ctx.db, name)
      expect(requests[0].searchParams.get('offset')).toEqual(session ? expect.stringMatching(/^\d+_(\d+|inf)$/) : '-1')
      if (session) expect(requests[0].searchParams.get('handle')).toBe(handle)
      handle = subscription.stream.shapeHandle
      subscription.unsubscribe()
      await db.close()
      await sql(`delete from ${name} where id = ${session}; update ${name} set v = 'between' where id = ${50 + session}`)
    }
  })

  test('a where clause, columns under other names', async () => {
    await sql("create table source (id int primary key, owner_name text, secret text); insert into source select n, 'o' || n % 3, 's' from generate_series(1, 30) n")
    const db = await pglite(['target', '(id int primary key, owner text)'])
    await sync(db, { shapes: { s: { shape: shapeOf('source', { where: "owner_name = $1", 'params': { 1: 'o1' }, columns: ['id', 'owner_name'] }), table: 'target', primaryKey: ['id'], mapColumns: { id: 'id', owner: 'owner_name' } } } })
    const same = async () => JSON.stringify((await db.query('select * from target order by id')).rows) === JSON.stringify(await sql("select id, owner_name as owner from source where owner_name = 'o1' order by id"))
    await until(same, { what: 'the target is the filtered source' })
    await sql("update source set owner_name = 'o1' where id < 10; delete from source where id = 4; update source set secret = 'x'")
    await until(same, { what: 'the target is the filtered source' })
  })

  for (const [how, disturb] of [
    ['ingest is killed', () => ctx.stack.kill('ingest')],
    ['both routers are killed', () => Promise.all([ctx.stack.kill('router-0'), ctx.stack.kill('router-1')])],
    ['its edge is killed', () => ctx.stack.kill('edge-0')],
    ['its connections are cut', (proxy) => proxy.cutAll()],
  ]) {
    test(`${how} in the middle of writes`, async () => {
      const name = await table(`during_${how.replaceAll(' ', '_')}`)
      const proxy = await Proxy.start(ctx.stack.url)
      ctx.cleanup(() => proxy.close())
      const db = await pglite([name, SIMPLE])
      await sync(db, one(name, { ...shapeOf(name), url: `${proxy.url}/v1/shape`, backoffOptions: { initialDelay: 20, maxDelay: 200, multiplier: 1.5 } }))
      await sameRows(db, ctx.db, name)
      const work = writer(everything(await ctx.db.session(), name))
      await work.written(20)
      await disturb(proxy)
      await work.moreWritten(20)
      await work.stop()
      await sameRows(db, ctx.db, name, { within: 40000 })
    })
  }

  test('the shape rotates: the table is emptied and filled again', async () => {
    const name = await table('rotating')
    const db = await pglite([name, SIMPLE])
    await sync(db, one(name))
    await sameRows(db, ctx.db, name)
    await ctx.stack.shape({ table: name }, { method: 'DELETE' })
    await sql(`update ${name} set v = 'after' where id < 20; delete from ${name} where id > 190`)
    await sameRows(db, ctx.db, name)
    await sql(`truncate ${name}; insert into ${name} values (1, 'alone')`)
    await sameRows(db, ctx.db, name)
  })
})

describe('Chromium', () => {
  let browser, site

  beforeAll(async () => {
    site = await servePage('pglite.js', { external: { '@electric-sql/pglite': '@electric-sql/pglite/dist/index.js' } })
    browser = await Browser.start()
  })

  afterAll(async () => {
    await browser?.close()
    site?.close()
  })

  test('#23 #24 #25 rows arrive in the Postgres of the page, are queried there, and are still there when it is opened again', async () => {
    const name = await table('paged', 1000)
    const settings = { url: `${ctx.stack.edgeUrl(1)}/v1/shape`, table: name, columns: SIMPLE }
    const wanted = async () => JSON.stringify((await sql(`select t::text as row from ${name} t order by 1`)).map((r) => r.row))
    const same = async (page) => {
      const rows = await wanted()
      await until(async () => (await page.evaluate(() => window.rows())) === rows, { within: 40000, every: 100, what: 'the page has the rows of the server' })
    }
    let page = await browser.open(site.url, settings)
    await page.locator('#state[data-state="ready"]').waitFor({ timeout: 60000 })
    await same(page)
    await sql(`update ${name} set v = 'changed' where id % 10 = 0; delete from ${name} where id % 7 = 0; insert into ${name} values (5000, 'ü "quoted" 😀')`)
    await same(page)
    const [{ n }] = await sql(`select count(*)::int n from ${name} where v = 'changed'`)
    expect(await page.evaluate(() => window.query("select count(*)::int n from paged where v = 'changed'"))).toEqual([{ n }])
    await browser.screenshot(page, 'pglite-page', 'rows')
    await page.close()
    await ctx.stack.kill('router-0')
    await ctx.stack.kill('router-1')
    await sql(`update ${name} set v = 'while closed' where id % 11 = 0`)
    page = await browser.open(site.url, settings)
    await page.locator('#state[data-state="ready"]').waitFor({ timeout: 60000 })
    await same(page)
    expect(await page.evaluate(() => window.offsets[0])).toMatch(/^\d+_/)
    expect(browser.errors()).toEqual([])
  }, 180000)
})
