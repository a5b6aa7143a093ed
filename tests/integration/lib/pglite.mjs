// PGlite with its sync extension, and what is asked of it: its own tables equal those of the server.
import { PGlite } from '@electric-sql/pglite'
import { electricSync } from '@electric-sql/pglite-sync'
import { until } from './wait.mjs'

/** `dataDir`: of a database that stays, or none for one in memory. */
export async function openPglite(dataDir) {
  return PGlite.create({ dataDir, extensions: { electric: electricSync() } })
}

const asText = (table) => `select t::text as row from ${table} t order by 1`

/** Waits until the table in PGlite is the server's, row by row, as Postgres itself prints them. */
export async function sameRows(pglite, database, table, { within, where = 'true' } = {}) {
  const query = asText(`(select * from ${table} where ${where})`)
  const wanted = (await database.sql(query)).map((r) => r.row)
  let rows
  const same = async () => {
    rows = (await pglite.query(asText(table))).rows.map((r) => r.row)
    return rows.length === wanted.length && rows.every((row, i) => row === wanted[i])
  }
  await until(same, { within, every: 50, what: () => `${table} in PGlite is the server's: ${rows.length} rows, not ${wanted.length}; too many ${rows.filter((r) => !wanted.includes(r)).slice(0, 3)}, missing ${wanted.filter((r) => !rows.includes(r)).slice(0, 3)}` })
  return rows.length
}
