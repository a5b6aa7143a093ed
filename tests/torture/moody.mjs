// A table whose definition changes while it is written and read. What is done to it is told in the WAL, in the transaction that does
// it, so that the oracle knows from which LSN on it is another one.

/** Columns besides those that all tables have. Writers fill them with whole numbers. */
export const EXTRA = { x1: 'int default 7', x2: 'int' }
const SPARE = ['y1', 'y2', 'y3']
const TYPES = ['int', 'bigint', 'numeric(12,2)', 'text']
const KEYS = [['id'], ['id'], ['alt'], ['alt', 'id'], []]
const OTHER_NAME = { x1: 'x1_renamed', n: 'n_renamed', v: 'v_renamed' }
const ASIDE = 'moody_aside'

/** What an alteration does to a value. */
const CONVERSIONS = {
  text: (v) => v,
  int: (v) => v?.split('.')[0] ?? null,
  bigint: (v) => v?.split('.')[0] ?? null,
  'numeric(12,2)': (v) => (v === null || v.includes('.') ? v : `${v}.00`),
}

/** An alteration's effect on a table as the oracle knows it, {columns, pk}, and on the values of a row. */
export const EFFECTS = {
  add: { table: (t, op) => ({ ...t, columns: [...t.columns, op.column] }), row: (v, op) => ({ ...v, [op.column]: op.value }) },
  drop: { table: (t, op) => ({ ...t, columns: t.columns.filter((c) => c !== op.column) }), row: (v, op) => renamed(v, op.column) },
  rename: { table: (t, op) => ({ ...t, columns: t.columns.map((c) => (c === op.column ? op.to : c)) }), row: (v, op) => renamed(v, op.column, op.to) },
  retype: { table: (t) => t, row: (v, op) => ({ ...v, [op.column]: CONVERSIONS[op.type](v[op.column]) }) },
  key: { table: (t, op) => ({ ...t, pk: op.pk }), row: (v) => v },
  nothing: { table: (t) => t, row: (v) => v },
}

function renamed(values, from, to) {
  const { [from]: value, ...others } = values
  return to ? { ...others, [to]: value } : others
}

/**
 * Whether Sluice reads of it in the stream, with the next change: if not, it has to find out otherwise. Moving a table away is
 * described, another one in its place is not.
 */
export const isDescribed = (op) => ['add', 'drop', 'rename', 'retype', 'away'].includes(op.do)

/** Does it concern a shape of these columns? `columns` undefined: all. */
export function concerns(op, { columns, uses }) {
  if (op.do === 'nothing') return false
  if (!['add', 'drop', 'rename', 'retype'].includes(op.do)) return true
  return !columns || [op.column, op.to].some((c) => columns.includes(c) || uses.includes(c))
}

/** Is there such a shape of a table {columns, pk}? */
export function isPossible(table, { columns, uses }) {
  if (!table) return false
  if (!uses.every((c) => table.columns.includes(c))) return false
  return !columns || (columns.every((c) => table.columns.includes(c)) && table.pk.length > 0 && table.pk.every((c) => columns.includes(c)))
}

/** The table as it is now, and what can be done to it next. */
export class Moody {
  /** `ddl`: what makes it, with these columns. */
  constructor(columns, ddl) {
    Object.assign(this, { first: columns, ddl })
    this.reset()
  }

  reset() {
    this.columns = [...this.first]
    this.pk = ['id']
    this.type = 'int' // of x2
    this.place = 'there' // away; replaced: another one is in its place
  }

  save() {
    const { columns, pk, type, place } = this
    return { columns: [...columns], pk, type, place }
  }

  goBack(saved) {
    Object.assign(this, saved)
  }

  /** The columns that writers may set, apart from id and alt. */
  get names() {
    return this.columns.filter((c) => c !== 'id' && c !== 'alt')
  }

  /** One alteration: {sql, ops, then}; `then` is called when it is done. */
  choose(rng) {
    if (this.place !== 'there') return this.back()
    return rng.weighted([
      [4, () => this.addColumn(rng)], [3, () => this.dropColumn(rng)], [3, () => this.renameColumn(rng)], [2, () => this.retype(rng)], [2, () => this.key(rng)],
      [2, () => this.trifle(rng)], [1, () => this.away()], [1, () => this.replace()], [1, () => this.recreate()],
    ])() ?? this.trifle(rng)
  }

  has = (column) => this.columns.includes(column)

  addColumn(rng) {
    const column = rng.pick(SPARE.filter((c) => !this.has(c)).concat(undefined))
    if (!column) return undefined
    const value = rng.chance(0.5) ? '5' : null
    return this.altered(`add column ${column} int${value ? ` default ${value}` : ''}`, { do: 'add', column, value }, () => this.columns.push(column))
  }

  dropColumn(rng) {
    const column = rng.pick(SPARE.filter((c) => this.has(c)).concat(undefined))
    if (!column) return undefined
    return this.altered(`drop column ${column}`, { do: 'drop', column }, () => (this.columns = this.columns.filter((c) => c !== column)))
  }

  renameColumn(rng) {
    const usual = rng.pick(Object.keys(OTHER_NAME))
    const [column, to] = this.has(usual) ? [usual, OTHER_NAME[usual]] : [OTHER_NAME[usual], usual]
    return this.altered(`rename column ${column} to ${to}`, { do: 'rename', column, to }, () => (this.columns = this.columns.map((c) => (c === column ? to : c))))
  }

  retype(rng) {
    const type = rng.pick(TYPES.filter((t) => t !== this.type))
    const using = type === 'text' ? 'x2::text' : `x2::numeric::${type}`
    return this.altered(`alter column x2 type ${type} using ${using}`, { do: 'retype', column: 'x2', type }, () => (this.type = type))
  }

  key(rng) {
    const pk = rng.pick(KEYS.filter((k) => k.join() !== this.pk.join()))
    const parts = [...(this.pk.length ? ['drop constraint moody_pkey'] : []), ...(pk.length ? [`add constraint moody_pkey primary key (${pk})`] : [])]
    return this.altered(parts.join(', '), { do: 'key', pk }, () => (this.pk = pk))
  }

  /** What no shape has to end for. */
  trifle(rng) {
    const what = rng.pick(['alter column grp drop not null', 'alter column grp set not null', 'alter column x1 set default 9', 'alter column x1 drop default'])
    return this.altered(this.has('x1') ? what : 'alter column grp set not null', { do: 'nothing' }, () => {})
  }

  away() {
    return { sql: `alter table moody rename to ${ASIDE}`, ops: [{ table: 'moody', do: 'away', to: ASIDE }], then: () => (this.place = 'away') }
  }

  replace() {
    const ops = [{ table: 'moody', do: 'away', to: ASIDE }, this.creation(this.columns, this.pk)]
    return { sql: `alter table moody rename to ${ASIDE}; create table moody (like ${ASIDE} including all)`, ops, then: () => (this.place = 'replaced') }
  }

  back() {
    const replaced = this.place === 'replaced'
    const ops = [...(replaced ? [{ table: 'moody', do: 'gone' }] : []), { table: ASIDE, do: 'away', to: 'moody' }]
    return { sql: `${replaced ? 'drop table moody; ' : ''}alter table ${ASIDE} rename to moody`, ops, then: () => (this.place = 'there') }
  }

  recreate() {
    return { sql: `drop table moody; ${this.ddl}`, ops: [{ table: 'moody', do: 'gone' }, this.creation(this.first, ['id'])], then: () => this.reset() }
  }

  creation = (columns, pk) => ({ table: 'moody', do: 'created', columns: [...columns], pk })

  altered(sql, op, then) {
    return { sql: `alter table moody ${sql}`, ops: [{ table: 'moody', ...op }], then }
  }
}
