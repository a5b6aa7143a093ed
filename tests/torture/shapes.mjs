// The definitions of shapes that clients ask for, with each predicate in two languages: SQL for Sluice, JavaScript for the oracle.
// What the two say is compared with SELECT at the end of every run.
import { FILTERED, TABLES } from './schema.mjs'

const int = (text) => (text === null ? null : Number(text))
const list = (text) => (text === null ? null : text.slice(1, -1).split(',').filter(Boolean))
/** SQL's three values: null is unknown; a row is in when it is true. */
const or = (a, b) => a === true || b === true ? true : a === null || b === null ? null : false
const cmp = (value, test) => (value === null ? null : test(value))

/** `index`: how a filter can find it, for the record of what has been tried. */
const WHERE = [
  { index: 'none', sql: undefined, js: () => true },
  { index: 'equality', sql: 'grp = 3', js: (r) => r.grp === '3' },
  { index: 'equality', sql: "kind = 'b'", js: (r) => r.kind === 'b' },
  { index: 'equality', sql: 'grp = $1 AND kind = $2', params: ['4', 'c'], js: (r) => r.grp === '4' && r.kind === 'c' },
  { index: 'equality', sql: 'grp = 2 AND n > 50', js: (r) => r.grp === '2' && cmp(int(r.n), (n) => n > 50) },
  { index: 'in', sql: 'grp IN (1, 2, 5)', js: (r) => ['1', '2', '5'].includes(r.grp) },
  { index: 'in', sql: "kind IN ('a', 'e') AND flag", js: (r) => ['a', 'e'].includes(r.kind) && r.flag === 'true' },
  { index: 'bool', sql: 'flag', js: (r) => r.flag === 'true' },
  { index: 'bool', sql: 'flag IS NOT TRUE', js: (r) => r.flag !== 'true' },
  { index: 'range', sql: 'n > 70', js: (r) => cmp(int(r.n), (n) => n > 70) },
  { index: 'range', sql: 'n < $1', params: ['20'], js: (r) => cmp(int(r.n), (n) => n < 20) },
  { index: 'range', sql: 'n BETWEEN 30 AND 60', js: (r) => cmp(int(r.n), (n) => n >= 30 && n <= 60) },
  { index: 'range', sql: 'n >= 10 AND n < 25 AND grp <> 7', js: (r) => r.grp !== '7' && cmp(int(r.n), (n) => n >= 10 && n < 25) },
  { index: 'range', sql: 'amount > 500.5', js: (r) => cmp(int(r.amount), (n) => n > 500.5) },
  { index: 'range', sql: "at >= '2024-06-01 00:00:00+00'", js: (r) => cmp(r.at, (at) => at >= '2024-06-01 00:00:00+00') },
  { index: 'prefix', sql: "v LIKE 'a%'", js: (r) => cmp(r.v, (v) => v.startsWith('a')) },
  { index: 'prefix', sql: "v LIKE 'b_%' AND n IS NOT NULL", js: (r) => r.n !== null && cmp(r.v, (v) => v.startsWith('b') && v.length > 1) },
  { index: 'contains', sql: "tags @> ARRAY['x']", js: (r) => cmp(list(r.tags), (t) => t.includes('x')) },
  { index: 'contains', sql: "tags @> ARRAY['x', 'y']", js: (r) => cmp(list(r.tags), (t) => t.includes('x') && t.includes('y')) },
  { index: 'contains', sql: "'z' = ANY(tags)", js: (r) => cmp(list(r.tags), (t) => t.includes('z')) },
  { index: 'linear', sql: "v LIKE '%c%'", js: (r) => cmp(r.v, (v) => v.includes('c')) },
  { index: 'linear', sql: 'n IS NULL', js: (r) => r.n === null },
  { index: 'linear', sql: "grp = 1 OR kind = 'd'", js: (r) => or(r.grp === '1', cmp(r.kind, (k) => k === 'd')) },
  { index: 'linear', sql: "lower(v) = 'ab'", js: (r) => cmp(r.v, (v) => v.toLowerCase() === 'ab') },
  { index: 'linear', sql: 'n + grp > 60', js: (r) => cmp(int(r.n), (n) => n + Number(r.grp) > 60) },
  { index: 'linear', sql: 'coalesce(n, -1) < 30', js: (r) => (r.n === null ? -1 : Number(r.n)) < 30 },
  { index: 'linear', sql: 'NOT (n > 50)', js: (r) => cmp(int(r.n), (n) => !(n > 50)) },
  { index: 'linear', sql: "v IS NOT DISTINCT FROM 'b'", js: (r) => r.v === 'b' },
  { index: 'in', sql: "kind NOT IN ('a', 'b')", js: (r) => cmp(r.kind, (k) => !['a', 'b'].includes(k)) },
  { index: 'range', sql: "at BETWEEN '2024-03-01 00:00:00+00' AND '2024-06-01 00:00:00+00'", js: (r) => cmp(r.at, (at) => at >= '2024-03-01' && at <= '2024-06-01') },
  { index: 'linear', sql: "tags && ARRAY['x', 'z']", js: (r) => cmp(list(r.tags), (t) => t.includes('x') || t.includes('z')) },
  { index: 'linear', sql: "v ILIKE '%b%'", js: (r) => cmp(r.v, (v) => v.toLowerCase().includes('b')) },
  { index: 'linear', sql: 'n * 2 - grp > 120', js: (r) => cmp(int(r.n), (n) => n * 2 - Number(r.grp) > 120) },
  { index: 'linear', sql: "kind = 'a' OR n > 80", js: (r) => or(cmp(r.kind, (k) => k === 'a'), cmp(int(r.n), (n) => n > 80)) },
]

/** Conditions of subsets, on top of a shape's own. */
const PIECES = [WHERE[1], WHERE[4], WHERE[9], WHERE[15], WHERE[21]]

const SELECTED = [undefined, ['n', 'v'], ['kind', 'body'], ['grp', 'tags', 'amount'], []]

/** One definition. `view`: what its rows are, apart from how changes are told. */
function definition(table, where, selected, replica, log) {
  const keys = TABLES[table].pk
  const columns = selected && keys.length ? [...keys, ...selected] : undefined
  const params = { table, where: where.sql, columns: columns?.join(','), replica, log }
  where.params?.forEach((value, i) => (params[`params[${i + 1}]`] = value))
  const name = `${table}[${where.sql ?? ''}]${columns ? `(${columns})` : ''}${replica === 'full' ? '/full' : ''}${log ? `/${log}` : ''}`
  return { name, table, where, columns, uses: usedBy(where), replica, log, params }
}

/** The columns that a condition reads. */
const usedBy = (where) => FILTERED.filter((name) => new RegExp(`\\b${name}\\b`).test(where.sql ?? ''))

/** `count` definitions, no two of the same meaning: every predicate and every form of answer is among many. */
export function definitions(rng, count) {
  const all = new Map()
  const tables = Object.keys(TABLES)
  for (let i = 0; all.size < count; i++) {
    const where = i < WHERE.length ? WHERE[i] : rng.pick(WHERE)
    const selected = rng.chance(0.5) ? undefined : rng.pick(SELECTED)
    const d = definition(tables[i % tables.length], where, selected, rng.chance(0.4) ? 'full' : undefined, rng.chance(0.1) ? 'changes_only' : undefined)
    all.set(d.name, d)
  }
  return [...all.values()]
}

/** What a subset's answer is compared with: the rows of its shape for which the condition holds too. */
export function pieceOf(d, index) {
  const piece = PIECES[index]
  const where = { params: d.where.params, sql: `(${d.where.sql ?? 'true'}) AND (${piece.sql})`, js: (r) => d.where.js(r) === true && piece.js(r) }
  return { piece, definition: { ...definition(d.table, where, undefined), name: `${d.name} and ${piece.sql}`, columns: d.columns } }
}

export const PIECE_COUNT = PIECES.length

export const allColumns = (relation, columns) => [...(columns ?? relation.columns)].sort()

export { FILTERED }
