// What went wrong, as short as it can be told: the shape, the client's last answers, the rows that differ, and the transactions
// that touched them.
import { abbreviate } from './history.mjs'
import { add, sub } from './sum.mjs'

const ROWS = 5
const TRANSACTIONS = 12

const short = (values) => values && Object.fromEntries(Object.entries(values).map(([k, v]) => [k, abbreviate(v)]))
const text = (values) => (values ? JSON.stringify(values) : 'no row')

/** The rows that `view` had at `lsn` for a client that began with `snapshot`. */
async function rowsAt(history, view, snapshot, lsn) {
  const visible = (t) => t.lsn <= Math.max(lsn, snapshot?.before ?? 0) || snapshot?.ahead.includes(t.lsn)
  const rows = new Map()
  for await (const t of history.read()) {
    if (!visible(t)) continue
    for (const change of t.changes) {
      if (change.table !== view.definition.table) continue
      if (change.truncate) rows.clear()
      if (change.ddl) {
        rows.clear()
        for (const row of change.rows ?? []) rows.set(row.key, row.values)
      }
      if (change.old) rows.delete(change.old.key)
      if (change.new) rows.set(change.new.key, change.new.values)
    }
  }
  for (const [key, values] of rows) if (view.definition.where.js(values) !== true) rows.delete(key)
  for (const [key, values] of rows) rows.set(key, Object.fromEntries(view.columns.map((c) => [c, values[c]])))
  return rows
}

function differences(expected, actual) {
  const same = (a, b) => a && b && Object.keys(a).every((k) => a[k] === b[k])
  return [...new Set([...expected.keys(), ...actual.keys()])].filter((key) => !same(expected.get(key), actual.get(key)))
}

async function transactionsOf(history, table, keys) {
  const found = []
  for await (const t of history.read()) {
    const changes = t.changes.filter((c) => c.table === table && (c.truncate || c.ddl || keys.has(c.old?.key) || keys.has(c.new?.key)))
    if (changes.length) found.push({ ...t, changes })
  }
  return found.slice(-TRANSACTIONS)
}

const side = (row) => (row ? `${abbreviate(row.key)} ${text(row.values)}` : 'nothing')
const describe = (c) => (c.ddl ? JSON.stringify(c.ddl) : c.truncate ? 'truncate' : `${side(c.old)} → ${side(c.new)}`)

async function rowStory(history, { view, snapshot, lsn, actual }, out) {
  const expected = await rowsAt(history, view, snapshot, lsn)
  const keys = differences(expected, actual)
  out.push(`${keys.length} rows differ of ${expected.size} expected and ${actual.size} there:`)
  for (const key of keys.slice(0, ROWS)) out.push(`  ${abbreviate(key)}`, `    expected ${text(expected.get(key))}`, `    there    ${text(actual.get(key))}`)
  if (!keys.length) return
  out.push('transactions that touched them:')
  for (const t of await transactionsOf(history, view.definition.table, new Set(keys.slice(0, ROWS)))) {
    out.push(`  commit ${t.lsn} xid ${t.xid} seen ${new Date(t.seen).toISOString().slice(11, 23)}`, ...t.changes.map((c) => `    ${describe(c)}`))
  }
}

/** The first transaction of which the client was told something else than was due. */
async function entryStory(history, view, { told }, snapshot, out) {
  if (!told.length || !snapshot) return
  const from = told[0].lsn
  const due = new Map()
  for (let i = view.upTo(from - 1); i < view.lsn.length; i++) {
    if (view.lsn[i] <= snapshot.before || snapshot.ahead.includes(view.lsn[i])) continue
    const entries = sub(view.entries[i], view.sums(i).entries)
    if (entries !== 0) due.set(view.lsn[i], entries)
  }
  const heard = new Map()
  for (const t of told) heard.set(t.lsn, add(heard.get(t.lsn) ?? 0, t.entries))
  const wrong = [...new Set([...due.keys(), ...heard.keys()])].sort((a, b) => a - b).filter((lsn) => due.get(lsn) !== heard.get(lsn))
  const last = told.at(-1).lsn
  const first = wrong.find((lsn) => lsn <= last && lsn !== from)
  if (first === undefined) return
  const how = !due.has(first) ? 'was not due' : heard.has(first) ? 'was told otherwise' : 'was not told'
  out.push(`the transaction at ${first} ${how}; what the client heard of it:`)
  for (const t of told) if (t.lsn === first) for (const m of t.messages) out.push(`    ${JSON.stringify({ ...m, key: abbreviate(m.key), value: short(m.value), old_value: short(m.old_value) })}`)
  out.push('and what it did to the table:')
  for await (const t of history.read()) {
    if (t.lsn === first) for (const c of t.changes) if (c.table === view.definition.table) out.push(`    ${describe(c)}`)
  }
}

export async function story(world, { error, context }) {
  const { client, snapshot, lsn, rows } = context ?? {}
  const history = context?.history ?? world.history
  const view = context?.view ?? (client && history.byName.get(client.definition.name))
  const out = [`seed ${world.seed}: ${error.violation ? error.message : error.stack}`]
  if (view) out.push(`shape ${view.definition.name}: ${JSON.stringify(view.definition.params)}`)
  if (client) out.push(`${client.name}, handle ${client.handle}, offset ${client.offset}, entry ${client.at.join('_')}, ${client.rows.size} rows`)
  if (snapshot) out.push(`its snapshot saw everything up to ${snapshot.before}${snapshot.ahead.length ? ` and ${snapshot.ahead}` : ''} (xmin ${snapshot.xmin}, xmax ${snapshot.xmax}, in progress ${snapshot.open})`)
  if (lsn) out.push(`looked at ${lsn}; the history is at ${history.lsn}`)
  if (client) await entryStory(history, view, client, snapshot, out)
  if (view && snapshot && lsn && view.definition.log !== 'changes_only') {
    const actual = rows
      ? new Map(rows.map(({ key, value }) => [key, short(value)]))
      : new Map([...client.rows].map(([key, { values }]) => [key, short(values)]))
    await rowStory(history, { view, snapshot, lsn: rows ? lsn : Math.max(lsn, client.at[0]), actual }, out)
  }
  if (client) out.push('its last requests and answers:', ...client.story.map((line) => `  ${line}`))
  out.push('what was done to the stack:', ...world.events.slice(-20).map((e) => `  ${new Date(e.at).toISOString().slice(11, 23)} ${e.text}`))
  return out.join('\n')
}
