// A Postgres in the page, kept in IndexedDB, that follows one table.
import { PGlite } from '@electric-sql/pglite'
import { electricSync } from '@electric-sql/pglite-sync'

const { url, table, columns } = window.settings
const state = document.createElement('p')
state.id = 'state'
document.getElementById('root').append(state)

window.offsets = []
const fetchClient = (address, init) => {
  window.offsets.push(new URL(address).searchParams.get('offset'))
  return fetch(address, init)
}

const db = await PGlite.create({ dataDir: `idb://${table}`, extensions: { electric: electricSync() } })
await db.exec(`create table if not exists ${table} ${columns}`)
await db.electric.syncShapeToTable({ shape: { url, params: { table }, fetchClient }, table, primaryKey: ['id'], shapeKey: table, initialInsertMethod: 'csv' })

window.query = async (text) => (await db.query(text)).rows
window.rows = async () => {
  const rows = (await window.query(`select t::text as row from ${table} t order by 1`)).map((r) => r.row)
  state.textContent = `${rows.length} rows`
  return JSON.stringify(rows)
}
state.textContent = 'ready'
state.dataset.state = 'ready'
