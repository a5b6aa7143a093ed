// The tables. All have the same columns to filter by and differ in what identifies a row.
import { EXTRA } from './moody.mjs'

const COMMON = `n int, grp int not null, kind text, flag bool, tags text[], v text, body text, amount numeric(12,2), at timestamptz`

/** The columns that shapes filter by and select from, besides the key. */
export const FILTERED = ['n', 'grp', 'kind', 'flag', 'tags', 'v', 'body', 'amount', 'at']

const KEYS = 300 // how many different rows a table can have, so that writers meet

export const TABLES = {
  item: { ddl: `create table item (id int primary key, ${COMMON})`, pk: ['id'], key: (i) => ({ id: i }) },
  pair: {
    ddl: `create table pair (b text, a int, ${COMMON}, primary key (a, b))`, pk: ['a', 'b'],
    key: (i) => ({ a: i % 17, b: `k${i}` }),
  },
  doc: {
    ddl: `create table doc (slug text primary key, ${COMMON}); alter table doc alter body set storage external`, pk: ['slug'],
    key: (i) => ({ slug: `s/${i}"ü` }),
  },
  part: {
    ddl: `create table part (id int, region int, ${COMMON}, primary key (id, region)) partition by list (region);
          ${[0, 1, 2, 3].map((r) => `create table part_${r} partition of part for values in (${r})`).join('; ')}`,
    pk: ['id', 'region'], key: (i) => ({ id: i >> 2, region: i & 3 }),
  },
  nopk: {
    ddl: `create table nopk (seq bigserial, ${COMMON}); alter table nopk replica identity full`, pk: [], key: undefined,
  },
}

export const STATIC_TABLES = Object.keys(TABLES)

const extra = Object.entries(EXTRA).map(([name, type]) => `${name} ${type}`)
TABLES.moody = {
  ddl: `create table moody (id int, alt int not null unique, ${COMMON}, ${extra}, constraint moody_pkey primary key (id))`, pk: ['id'],
  key: (i) => ({ id: i, alt: 1000 + i }), moody: true,
}

for (const [name, table] of Object.entries(TABLES)) {
  table.name = name
  table.keys = KEYS
}

export async function createTables(sql) {
  for (const { ddl } of Object.values(TABLES)) await sql(ddl)
}

/** The protocol's key of a row, §3.4. */
export function rowKey(relation, values) {
  const of = (name) => (values[name] === null ? '_' : `"${values[name].replaceAll('/', '//')}"`)
  const parts = relation.pk.length ? relation.pk : relation.columns
  return `"${relation.schema}"."${relation.table}"/${parts.map(of).join('/')}`
}
