// Does the oracle see what it is there for? A client is told a made-up log, first the right one, then one with each kind of fault.
import { after, before, describe, test } from 'node:test'
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { Checker } from './checker.mjs'
import { Client } from './client.mjs'
import { Excuses } from './excuses.mjs'
import { History } from './history.mjs'

const COLUMNS = ['id', 'v']
const RELATION = { oid: 1, schema: 'public', table: 'item', columns: COLUMNS.map((name) => ({ name, type: 25 })) }
const KEY = (id) => `"public"."item"/"${id}"`
const DEFINITION = { name: 'items', table: 'item', where: { js: (r) => r.v !== 'out' }, uses: ['v'], params: { table: 'item' } }

const insert = (id, v) => ({ kind: 'I', relation: RELATION, new: [id, v] })
const update = (id, v) => ({ kind: 'U', relation: RELATION, new: [id, v] })
const remove = (id) => ({ kind: 'D', relation: RELATION, old: { tuple: [id, null] } })
const truncate = { kind: 'T', relation: RELATION }

/** xid 10 is in the snapshot, 11 was in progress, 12 is seen though it comes after 11, 13 comes later. */
const TRANSACTIONS = [
  { lsn: 100, xid: 10, changes: [insert('1', 'a'), insert('2', 'b')] },
  { lsn: 200, xid: 11, changes: [insert('3', 'c'), update('1', 'aa')] },
  { lsn: 300, xid: 12, changes: [insert('4', 'd')] },
  { lsn: 400, xid: 13, changes: [update('2', 'out'), remove('4'), update('3', 'c')] },
]
const SNAPSHOT = { control: 'snapshot-end', xmin: '11', xmax: '13', xip_list: ['11'] }
const ROWS = [['1', 'a'], ['2', 'b'], ['4', 'd']].map(([id, v]) => ({ key: KEY(id), value: { id, v }, headers: { operation: 'insert' } }))

const entry = (lsn, op, xid, operation, key, value, last) => ({
  key: KEY(key), value, headers: { operation, lsn: String(lsn), op_position: op, txids: [xid], ...(last && { last: true }) },
})
const LOG = () => [
  entry(200, 0, 11, 'insert', '3', { id: '3', v: 'c' }),
  entry(200, 2, 11, 'update', '1', { id: '1', v: 'aa' }, true),
  entry(400, 0, 13, 'delete', '2', { id: '2' }),
  entry(400, 2, 13, 'delete', '4', { id: '4' }, true),
]
const UP_TO_DATE = (lsn) => ({ headers: { control: 'up-to-date', global_last_seen_lsn: String(lsn) } })

describe('the oracle', () => {
  let dir
  before(() => (dir = mkdtempSync('/tmp/sluice-oracle-')))
  after(() => rmSync(dir, { recursive: true }))

  /** What is said about a client that hears these messages; undefined: nothing. */
  async function verdict(messages, transactions = TRANSACTIONS, { seen = Date.now, excuses = new Excuses(), goesBack } = {}) {
    const world = { excuses, fail: (error) => (world.failure ??= error), disturbedUntil: () => 0 }
    world.history = new History({ item: { pk: ['id'], columns: COLUMNS } }, join(dir, 'history'), seen)
    world.history.watch(DEFINITION)
    world.histories = () => [world.history]
    world.checker = new Checker(world)
    for (const t of transactions) world.history.take(t)
    if (goesBack) goesBack(world)
    const client = new Client(world, DEFINITION, { mode: 'poll' })
    client.handle = '1-1'
    client.columns = Object.keys(messages[0].value).sort()
    try {
      for (const m of messages) client.take(m)
    } catch (error) {
      if (!error.violation) throw error
    }
    world.history.tick(1, 500)
    await world.checker.settled()
    await Promise.all(world.histories().map((history) => history.close()))
    return world.failure?.message
  }

  const told = (change = (log) => log, { rows = ROWS, at = 400 } = {}) => [...rows, { headers: SNAPSHOT }, ...change(LOG()), UP_TO_DATE(at)]
  const without = (i) => (log) => log.filter((_, j) => j !== i)
  const changed = (i, part) => (log) => log.map((m, j) => (j === i ? { ...m, ...part, headers: { ...m.headers, ...part.headers } } : m))

  test('has nothing to say about what is right', async () => {
    assert.equal(await verdict(told()), undefined)
    assert.equal(await verdict([...ROWS, { headers: SNAPSHOT }, ...LOG().slice(0, 2), UP_TO_DATE(399)]), undefined)
  })

  for (const [what, messages, pattern] of [
    ['a row missing in the snapshot', told(undefined, { rows: ROWS.slice(1) }), /not what its transaction saw|not there/],
    ['a row too many in it', told(undefined, { rows: [...ROWS, { ...ROWS[0], key: KEY('9') }] }), /not what its transaction saw/],
    ['a row of a transaction that it does not see', told(undefined, { rows: [...ROWS, { ...ROWS[0], key: KEY('3'), value: { id: '3', v: 'c' } }] }), /./],
    ['an entry missing', told(without(1)), /not what the table had/],
    ['the last entry missing', told(without(3)), /not what the table had/],
    ['a wrong value', told(changed(1, { value: { id: '1', v: 'x' } })), /not what the table had/],
    ['a column too many', told(changed(2, { value: { id: '2', v: 'b' } })), /not what the table had/],
    ['a wrong xid', told(changed(0, { headers: { txids: [12] } })), /not what the table had/],
    ['no last', told(changed(3, { headers: { last: undefined } })), /not what the table had/],
    ['an entry twice', told((log) => [log[0], ...log]), /at 200_0 after 200_0/],
    ['entries in the wrong order', told((log) => [log[1], log[0], ...log.slice(2)]), /after/],
    ['an entry that is in the snapshot, too', told((log) => [...log.slice(0, 2), entry(300, 0, 12, 'insert', '4', { id: '4', v: 'd' }, true), ...log.slice(2)]), /which is there/],
    ['an update of a row that is not there', told((log) => [...log, entry(401, 0, 14, 'update', '2', { id: '2', v: 'x' }, true)]), /which is not there/],
    ['an update that changes nothing', told((log) => [...log.slice(0, 2), entry(300, 0, 12, 'update', '1', { id: '1' }, true), ...log.slice(2)]), /not what the table had/],
    ['an up-to-date that promises too much', [...ROWS, { headers: SNAPSHOT }, ...LOG().slice(0, 2), UP_TO_DATE(400)], /says it is at 400/],
  ]) {
    test(`sees ${what}`, async () => assert.match((await verdict(messages)) ?? 'nothing', pattern))
  }

  test('sees a handle that survives TRUNCATE', async () => {
    const transactions = [...TRANSACTIONS, { lsn: 450, xid: 15, changes: [truncate] }]
    assert.match((await verdict(told(undefined, { at: 460 }), transactions)) ?? 'nothing', /truncated at 450/)
  })

  // ------------------------------------------------------------------ a table that is altered

  const altered = (op, lsn = 450) => ({ lsn, xid: 15, changes: [{ kind: 'ddl', ops: [{ table: 'item', ...op }] }] })
  const ADDED = altered({ do: 'add', column: 'n', value: '5' })
  const WIDER = { ...RELATION, columns: [...RELATION.columns, { name: 'n', type: 25 }] }
  const AFTER = { lsn: 480, xid: 16, changes: [{ kind: 'I', relation: WIDER, new: ['7', 'x', '1'] }] }

  test('lets a shape be what it was before its table was altered, for a while', async () => {
    assert.equal(await verdict(told(undefined, { at: 460 }), [...TRANSACTIONS, ADDED]), undefined)
    assert.match((await verdict(told(without(3), { at: 460 }), [...TRANSACTIONS, ADDED])) ?? 'nothing', /altered at 450, and it is not what it was/)
    assert.match((await verdict(told(undefined, { at: 480 }), [...TRANSACTIONS, ADDED, AFTER])) ?? 'nothing', /and there were changes since/)
    const longAgo = () => Date.now() - 3_600_000
    assert.match((await verdict(told(undefined, { at: 460 }), [...TRANSACTIONS, ADDED], { seen: longAgo })) ?? 'nothing', /altered at 450, \d+ ms ago/)
  })

  test('knows what an alteration does to the rows', async () => {
    const now = { control: 'snapshot-end', xmin: '16', xmax: '16', xip_list: [] }
    const rows = (n) => [['1', 'aa'], ['3', 'c']].map(([id, v]) => ({ key: KEY(id), value: { id, v, n }, headers: { operation: 'insert' } }))
    const later = entry(480, 0, 16, 'insert', '7', { id: '7', v: 'x', n: '1' }, true)
    const begun = (n) => [...rows(n), { headers: now }, later, UP_TO_DATE(480)]
    assert.equal(await verdict(begun('5'), [...TRANSACTIONS, ADDED, AFTER]), undefined)
    assert.match((await verdict(begun(null), [...TRANSACTIONS, ADDED, AFTER])) ?? 'nothing', /not what its transaction saw/)
    const dropped = altered({ do: 'gone' })
    assert.match((await verdict(begun('5'), [...TRANSACTIONS, dropped])) ?? 'nothing', /not what its transaction saw/)
    const key = altered({ do: 'key', pk: ['v'] })
    const rekeyed = [['1', 'aa'], ['3', 'c']].map(([id, v]) => ({ key: KEY(v), value: { id, v }, headers: { operation: 'insert' } }))
    assert.equal(await verdict([...rekeyed, { headers: now }, UP_TO_DATE(460)], [...TRANSACTIONS, key]), undefined)
    assert.match((await verdict([...rows('5').map((r) => ({ ...r, value: { id: r.value.id, v: r.value.v } })), { headers: now }, UP_TO_DATE(460)], [...TRANSACTIONS, key])) ?? 'nothing', /not what its/)
  })

  // ------------------------------------------------------------------ a database that goes back

  test('sees a shape that goes on with what has not happened', async () => {
    const goesBack = (until) => (world) => {
      const old = world.history
      const early = new History({ item: { pk: ['id'], columns: COLUMNS } }, join(dir, 'early'))
      early.watch(DEFINITION)
      for (const t of TRANSACTIONS.slice(0, 3)) early.take(t)
      world.history = old.goBack(early.save(), join(dir, 'later'))
      world.history.take({ lsn: 400, xid: 13, changes: [insert('9', 'other')] })
      world.histories = () => [world.history, ...(until ? [old] : [])]
    }
    assert.equal(await verdict(told(), TRANSACTIONS, { goesBack: goesBack(true) }), undefined)
    assert.match((await verdict(told(), TRANSACTIONS, { goesBack: goesBack(false) })) ?? 'nothing', /not what the table had/)
    const other = (log) => [...log.slice(0, 2), entry(400, 0, 13, 'insert', '9', { id: '9', v: 'other' }, true)]
    assert.equal(await verdict(told(other), TRANSACTIONS, { goesBack: goesBack(false) }), undefined)
  })

  // ------------------------------------------------------------------ excuses

  test('lets something be missing only while the stream cannot tell', async () => {
    const excuses = new Excuses()
    const over = excuses.begin({ tables: ['item'], stale: true })
    assert.equal(await verdict(told(without(3)), TRANSACTIONS, { excuses }), undefined)
    over().over = 0
    assert.match((await verdict(told(without(3)), TRANSACTIONS, { excuses })) ?? 'nothing', /not what the table had/)
    const others = new Excuses()
    others.begin({ tables: ['other'], stale: true })
    assert.match((await verdict(told(without(3)), TRANSACTIONS, { excuses: others })) ?? 'nothing', /not what the table had/)
  })

  test('excuses the end of a shape by what was done to its table or router, and nothing else', () => {
    let time = 1000
    const excuses = new Excuses(() => time)
    const ended = (handle, born = time) => excuses.end(handle, DEFINITION, born)
    assert.equal(ended('256-1'), false)
    const over = excuses.begin({ router: 1 })
    assert.deepEqual([ended('257-1'), ended('256-1'), excuses.refusal(DEFINITION, time)], [true, false, false])
    over()
    assert.equal(ended('257-1', time + 3_600_000), false)
    excuses.begin({ tables: ['item'], ends: false, requests: true })
    assert.deepEqual([ended('256-1'), excuses.refusal(DEFINITION, time), excuses.staleness(DEFINITION, time)], [false, true, false])
    time += 1
    excuses.begin({})
    assert.equal(ended('256-1'), true)
  })

  test('lets a shape be refused for as long as its table has none of the kind, and no longer', () => {
    const definition = { ...DEFINITION, columns: ['id', 'v'], uses: ['v'] }
    const world = { excuses: new Excuses(), fail: () => {}, history: { catalog: { item: { pk: ['id'], columns: ['id', 'v', 'alt'] } } } }
    const checker = new Checker(world)
    const client = { definition, progressed: 0 }
    const refused = () => checker.answered(client, { query: {}, asked: Date.now(), answer: { status: 400, text: 'no' } })
    assert.throws(refused, /status 400: no/)
    assert.equal(client.progressed, 0)
    world.history.catalog.item.pk = ['alt']
    refused()
    assert.ok(client.progressed > 0)
    world.history.catalog.item = { pk: ['id'], columns: ['id', 'alt'] }
    refused()
    world.history.catalog.item.columns.push('v')
    assert.throws(refused, /status 400: no/)
  })

  test('sees a handle that comes back, one with two definitions, and two bodies of one chunk', () => {
    const world = { excuses: new Excuses(), fail: () => {} }
    const checker = new Checker(world)
    const client = { definition: DEFINITION, view: {} }
    const asked = Date.now()
    const ok = { query: { handle: '1-1', offset: '0_0' }, asked, answer: { status: 200, handle: '1-1', offset: '5_0', text: '[1]' } }
    checker.answered(client, ok)
    checker.body(client, ok)
    checker.body(client, ok)
    assert.throws(() => checker.body(client, { ...ok, answer: { ...ok.answer, text: '[2]' } }), /two bodies/)
    assert.throws(() => checker.body(client, { ...ok, answer: { ...ok.answer, offset: '6_0' } }), /ended at 5_0, now at 6_0/)
    const later = { ...ok, asked: asked + 1000 }
    assert.throws(() => checker.body(client, { ...later, query: { offset: '0_inf' }, answer: { ...ok.answer, offset: '6_0', upToDate: true } }), /crosses/)
    assert.throws(() => checker.answered({ ...client, definition: { name: 'others' } }, ok), /is that of items/)
    checker.answered(client, { ...ok, answer: { status: 409, handle: '2-2' } })
    assert.throws(() => checker.answered(client, later), /came back/)
    assert.throws(() => checker.answered(client, { ...later, answer: { status: 409, handle: '1-1' } }), /409 with the handle asked for/)
  })
})
