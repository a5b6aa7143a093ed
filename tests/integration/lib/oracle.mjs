// What a client must have: SELECT's own answer, every column as text under the protocol's display settings.
import { AS_TEXT } from './postgres.mjs'

const DISPLAY = `set bytea_output = 'hex'; set DateStyle = 'ISO, DMY'; set TimeZone = 'UTC';
  set extra_float_digits = 1; set IntervalStyle = 'iso_8601'`

/** Booleans are true/false and addresses have their prefix length: the cast, not the output function. */
const CAST = new Set(['bool', 'inet'])

export const quote = (name) => `"${name.replaceAll('"', '""')}"`

/** @param table as written in SQL. Arrays come as nested arrays, since the official client delivers them so. */
export async function expectedRows(database, table, { columns, where } = {}) {
  database.oracle ??= await newOracle(database)
  const all = await database.oracle.query(
    `select attname name, t.typname, t.typelem::int8 <> 0 and t.typlen = -1 and t.typcategory = 'A' is_array
     from pg_attribute a join pg_type t on t.oid = atttypid
     where attrelid = $1::regclass and attnum > 0 and not attisdropped`, [table])
  const chosen = all.rows.filter((c) => !columns || columns.includes(c.name))
  const list = chosen.map((c) => (CAST.has(c.typname) ? `${quote(c.name)}::text as ${quote(c.name)}` : quote(c.name)))
  const { rows } = await database.oracle.query(
    { text: `select ${list.join(', ')} from ${table}${where ? ` where ${where}` : ''}`, types: AS_TEXT })
  const arrays = chosen.filter((c) => c.is_array).map((c) => c.name)
  for (const row of rows) for (const name of arrays) if (row[name] !== null) row[name] = parseArray(row[name])
  return rows
}

async function newOracle(database) {
  const session = await database.session({ application_name: 'oracle' })
  await session.query(DISPLAY)
  session.once('end', () => (database.oracle = undefined))
  return session
}

/** Rows as strings: two are equal iff the rows are, in whatever order their columns came. */
export function fingerprint(rows) {
  const orders = new Map()
  return rows.map((row) => {
    const names = Object.keys(row)
    const key = names.join('\0')
    let order = orders.get(key)
    if (!order) orders.set(key, (order = names.sort()))
    return JSON.stringify(order.map((name) => [name, row[name]]))
  })
}

/** Postgres' text form of an array without explicit bounds → nested arrays of strings and nulls. */
export function parseArray(text) {
  let i = 0
  const element = () => {
    if (text[i] === '{') return list()
    if (text[i] === '"') return quoted()
    const from = i
    while (text[i] !== ',' && text[i] !== '}') i++
    const word = text.slice(from, i)
    return word === 'NULL' ? null : word
  }
  const quoted = () => {
    let out = ''
    for (i++; text[i] !== '"'; i++) out += text[i] === '\\' ? text[++i] : text[i]
    i++
    return out
  }
  const list = () => {
    const out = []
    for (i++; text[i] !== '}'; ) {
      out.push(element())
      if (text[i] === ',') i++
    }
    i++
    return out
  }
  return list()
}
