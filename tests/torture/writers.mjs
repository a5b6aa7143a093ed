// Those who write: single rows and bulk, transactions over many tables with savepoints, key changes, values out of line, locks,
// prepared transactions, transactions that stay open for seconds. What they commit is learnt from the WAL, not from them.
import { FILTERED, STATIC_TABLES, TABLES } from './schema.mjs'
import { pause, until } from '../integration/lib/wait.mjs'

/** What may happen to a transaction among others, or while the server goes away. */
const EXPECTED = new Set(['23505', '40P01', '40001', '55P03', '57P01', '57P02', '57P03', '57014', '53300', '25P02', '42704', '55000', '42P01', '42703', '22P02', '42804', '23502', '25006', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'])
const LOST = /Connection terminated|not queryable|Client was closed|read ECONNRESET|timeout expired/

/** Has the session of this error ended, or could none be had? */
export const connectionLost = (error) => ['57P01', '57P02', '57P03', '53300', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'].includes(error.code) || LOST.test(error.message)

const KINDS = ['a', 'b', 'c', 'd', 'e']
const TAGS = ['x', 'y', 'z']
const ALPHABET = 'abcABC'
const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

const quoted = (text) => (text === null ? 'null' : `'${text}'`)

/** Random values of the common columns, as SQL. */
const VALUES = {
  n: (r) => (r.chance(0.06) ? 'null' : r.int(0, 99)),
  grp: (r) => r.int(0, 9),
  kind: (r) => (r.chance(0.05) ? 'null' : quoted(r.pick(KINDS))),
  flag: (r) => r.pick(['true', 'false', 'true', 'false', 'null']),
  tags: (r) => (r.chance(0.1) ? 'null' : `'{${TAGS.filter(() => r.chance(0.4)).join()}}'`),
  v: (r) => (r.chance(0.05) ? 'null' : quoted(r.text(ALPHABET, r.int(0, 3)))),
  body: (r) => (r.chance(0.85) ? quoted(r.text(BASE64, r.int(0, 200))) : quoted(r.text(BASE64, r.int(3000, 12000)))),
  amount: (r) => (r.chance(0.05) ? 'null' : `${r.int(0, 999)}.${r.int(0, 99)}`),
  number: (r) => quoted(String(r.int(0, 99))),
  at: (r) => quoted(`2024-${String(r.int(1, 12)).padStart(2, '0')}-15 12:00:00+00`),
}
const NAMES = FILTERED
const valueOf = (r, name) => (VALUES[name] ?? VALUES.number)(r)
/** What may be set in a row besides its key; of a table that changes: as things stand. */
const namesOf = (t) => t.now?.names ?? NAMES

const equals = (key) => Object.entries(key).map(([k, v]) => `${k} = ${typeof v === 'string' ? quoted(v) : v}`).join(' and ')

/** One statement that changes one or few rows of a table. */
const STATEMENTS = {
  insert(r, t) {
    const key = t.key ? t.key(r.int(0, t.keys)) : {}
    const names = [...Object.keys(key), ...namesOf(t)]
    const values = [...Object.values(key).map((v) => (typeof v === 'string' ? quoted(v) : v)), ...namesOf(t).map((n) => valueOf(r, n))]
    const conflict = !t.key ? '' : t.now || r.chance(0.5) ? 'on conflict do nothing' : `on conflict (${t.pk}) do update set n = excluded.n, v = excluded.v, grp = excluded.grp`
    return `insert into ${t.name} (${names}) values (${values}) ${conflict}`
  },
  update(r, t) {
    const set = namesOf(t).filter(() => r.chance(0.2))
    if (!set.length) set.push(r.pick(namesOf(t)))
    return `update ${t.name} set ${set.map((n) => `${n} = ${valueOf(r, n)}`)} where ${one(r, t)}`
  },
  /** Also what changes nothing. */
  touch: (r, t) => `update ${t.name} set n = n where ${one(r, t)}`,
  delete: (r, t) => `delete from ${t.name} where ${one(r, t)}`,
  rename(r, t) {
    if (!t.key) return STATEMENTS.update(r, t)
    const to = t.key(r.int(0, t.keys))
    return `update ${t.name} set ${Object.entries(to).map(([k, v]) => `${k} = ${typeof v === 'string' ? quoted(v) : v}`)} where ${one(r, t)}`
  },
  move: (r, t) => `update ${t.name} set grp = (grp + 1) % 10, n = ${VALUES.n(r)} where grp = ${r.int(0, 9)} and ${some(r)}`,
  bulkUpdate: (r, t) => `update ${t.name} set flag = not flag, v = ${VALUES.v(r)} where ${some(r)}`,
  bulkDelete: (r, t) => `delete from ${t.name} where kind = '${r.pick(KINDS)}' and ${some(r)}`,
  bulkInsert(r, t) {
    if (!t.key) return `insert into nopk (n, grp, kind, v) select i, i % 10, '${r.pick(KINDS)}', 'a' from generate_series(1, ${r.int(5, 60)}) i`
    const rows = Array.from({ length: r.int(10, 80) }, () => t.key(r.int(0, t.keys)))
    const literal = (v) => (typeof v === 'string' ? quoted(v) : v)
    const values = rows.map((key) => `(${Object.values(key).map(literal)}, ${r.int(0, 99)}, ${r.int(0, 9)}, '${r.pick(KINDS)}', ${VALUES.tags(r)}::text[])`)
    return `insert into ${t.name} (${Object.keys(rows[0])}, n, grp, kind, tags) values ${values} on conflict do nothing`
  },
  lock: (r, t) => `select 1 from ${t.name} where ${one(r, t)} for update`,
  shrink: (r, t) => (t.key ? STATEMENTS.bulkDelete(r, t) : 'delete from nopk where seq < (select max(seq) - 150 from nopk)'),
}

const MIX = [
  [20, 'insert'], [28, 'update'], [3, 'touch'], [9, 'delete'], [6, 'rename'], [3, 'move'], [2, 'bulkUpdate'], [2, 'bulkDelete'], [4, 'bulkInsert'], [4, 'lock'], [2, 'shrink'],
]

function one(r, t) {
  return t.key ? equals(t.key(r.int(0, t.keys))) : `seq = (select max(seq) - ${r.int(0, 150)} from nopk)`
}

const some = (r) => `n between ${r.int(0, 80)} and ${r.int(20, 99)}`

const statement = (r, tables = Object.values(TABLES)) => STATEMENTS[r.weighted(MIX)](r, r.pick(tables))
/** Whoever alters a table waits for those who have written to it. */
const UNALTERED = STATIC_TABLES.map((name) => TABLES[name])

/** What one writer does at a time. Each gets a session, random numbers and `wait(ms)`. */
const ACTS = {
  async single(s, r) {
    await s.query(statement(r))
  },
  /** Until savepoints and all: some of it is undone, some of that by errors. */
  async transaction(s, r) {
    await s.query('begin')
    for (let i = r.int(1, 12); i > 0; i--) {
      if (r.chance(0.3)) await this.savepoint(s, r)
      else await s.query(statement(r))
    }
    await s.query(r.chance(0.15) ? 'rollback' : 'commit')
  },
  async savepoint(s, r) {
    await s.query('savepoint a')
    try {
      for (let i = r.int(1, 4); i > 0; i--) await s.query(statement(r))
      if (r.chance(0.3)) {
        await s.query('savepoint b')
        await s.query(statement(r))
        if (r.chance(0.5)) await s.query('rollback to savepoint b')
      }
      await s.query(r.chance(0.4) ? 'rollback to savepoint a' : 'release savepoint a')
    } catch (error) {
      if (error.code !== '23505') throw error
      await s.query('rollback to savepoint a')
    }
  },
  async long(s, r, wait) {
    await s.query('begin')
    const tables = r.chance(0.1) ? undefined : UNALTERED
    for (let i = r.int(2, 6); i > 0; i--) {
      await s.query(statement(r, tables))
      await wait(r.int(100, 1500))
    }
    await s.query(r.chance(0.2) ? 'rollback' : 'commit')
  },
  async prepared(s, r, wait) {
    const name = `t${r.int(0, 1e9)}`
    await s.query('begin')
    for (let i = r.int(1, 4); i > 0; i--) await s.query(statement(r))
    await s.query(`prepare transaction '${name}'`)
    await wait(r.int(0, 800))
    await s.query(`${r.chance(0.3) ? 'rollback' : 'commit'} prepared '${name}'`)
  },
  /** Whoever prepared it may be gone: nothing may stay in doubt for long, new shapes wait for it. */
  async resolve(s, r, wait) {
    const { rows } = await s.query("select gid from pg_prepared_xacts where prepared < now() - interval '3 seconds' and database = current_database()")
    for (const { gid } of rows) await s.query(`${r.chance(0.5) ? 'rollback' : 'commit'} prepared '${gid}'`)
    await wait(1000)
  },
  async bulk(s, r) {
    await s.query('begin')
    for (let i = r.int(1, 3); i > 0; i--) await s.query(STATEMENTS.bulkInsert(r, r.pick(Object.values(TABLES))))
    for (let i = r.int(0, 2); i > 0; i--) await s.query(STATEMENTS.move(r, r.pick(Object.values(TABLES))))
    await s.query('commit')
  },
  async truncate(s, r) {
    const table = r.pick(Object.keys(TABLES))
    await s.query(`begin; truncate ${table}`)
    for (let i = r.int(0, 3); i > 0; i--) await s.query(statement(r))
    await s.query(r.chance(0.3) ? 'rollback' : 'commit')
  },
}

const WRITER_MIX = [[50, 'single'], [26, 'transaction'], [3, 'prepared'], [5, 'bulk'], [0.12, 'truncate']]

export class Writers {
  /** `sql`: runs a statement, whatever happens to connections. */
  constructor(database, sql, rng, { count = 8, pauseMs = 10, onError } = {}) {
    Object.assign(this, { database, sql, rng, count, pauseMs, onError, active: 0 })
    this.done = 0
    this.failed = 0
  }

  start() {
    this.going = true
    this.all = Array.from({ length: this.count }, (_, i) => this.run(this.rng.fork(`writer ${i}`), () => WRITER_MIX))
    this.all.push(this.run(this.rng.fork('long'), () => [[1, 'long']]))
    this.all.push(this.run(this.rng.fork('doubt'), () => [[1, 'resolve']]))
  }

  /** One session after another, whatever happens to them. */
  async run(r, mix) {
    const wait = (ms) => (this.going ? pause(ms) : undefined)
    while (this.going) {
      let session
      try {
        session = await this.database.session({ application_name: 'writer', connectionTimeoutMillis: 5000 })
        await session.query(`set lock_timeout = '200ms'; set synchronous_commit = ${r.chance(0.3) ? 'off' : 'on'}`)
        while (this.going) {
          await this.resting
          await this.act(session, r, mix(), wait)
        }
      } catch (error) {
        this.unless(error)
        await pause(50)
      } finally {
        session?.end().catch(() => {})
      }
    }
  }

  async act(session, r, mix, wait) {
    this.active++
    try {
      await ACTS[r.weighted(mix)](session, r, wait)
      this.done++
    } catch (error) {
      this.unless(error)
      await session.query('rollback')
    } finally {
      this.active--
    }
    await wait(r.int(0, 2 * this.pauseMs))
  }

  /** Nobody writes and nothing is in doubt while `work` goes on. */
  async rest(work) {
    let goOn
    this.resting = new Promise((resolve) => (goOn = resolve))
    try {
      await until(() => this.active === 0, { what: 'the writers rest', within: 30_000 })
      await this.settleDoubts()
      await work()
    } finally {
      this.resting = undefined
      goOn()
    }
  }

  async settleDoubts() {
    const left = await this.sql('select gid from pg_prepared_xacts where database = current_database()')
    for (const { gid } of left) await this.sql(`rollback prepared '${gid}'`)
  }

  unless(error) {
    this.failed++
    if (!EXPECTED.has(error.code) && !LOST.test(error.message)) this.onError(error)
  }

  async stop() {
    this.going = false
    await Promise.all(this.all)
    await this.settleDoubts()
  }
}
