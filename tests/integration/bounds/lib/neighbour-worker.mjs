// A thread of its own, so that what the test does meanwhile is not in the figures: writes a row 20 times a second and follows its
// shape by long poll. Tells `live` when it begins, then of every row when it is sent, and, once it is seen, how many milliseconds after
// its commit had returned: how long the database takes is not the question.
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { parentPort, workerData } from 'node:worker_threads'
import pg from 'pg'
import { encodeQuery } from '../../lib/http.mjs'

const EVERY_MS = 50
const { base, databaseUrl, table } = workerData
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
const seen = [], committed = []

function get(query) {
  return new Promise((resolve, reject) => {
    const req = http.get(new URL(`/v1/shape${encodeQuery(query)}`, base), { agent }, (res) => {
      const parts = []
      res.on('data', (d) => parts.push(d))
      res.on('error', reject)
      res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, text: Buffer.concat(parts).toString() }))
    })
    req.on('error', reject)
  })
}

function tell(number) {
  if (seen[number] === undefined || committed[number] === undefined) return
  parentPort.postMessage({ seen: number, ms: Math.max(0, seen[number] - committed[number]) })
}

async function write() {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  for (let number = 0; ; number++) {
    parentPort.postMessage({ sent: number })
    await client.query({ name: 'row', text: `insert into ${table} values ($1)`, values: [number] })
    committed[number] = performance.now()
    tell(number)
    await pause(EVERY_MS)
  }
}

let live = false
let query = { table, offset: '-1' }
for (;;) {
  const { status, headers, text } = await get(query)
  const now = performance.now()
  if (status !== 200) throw new Error(`the neighbour was answered ${status}: ${text}`)
  for (const m of JSON.parse(text)) {
    if (!m.headers.operation) continue
    seen[Number(m.value.id)] = now
    tell(Number(m.value.id))
  }
  if (!live && 'electric-up-to-date' in headers) {
    live = true
    parentPort.postMessage({ live })
    write()
  }
  const { 'electric-offset': offset, 'electric-handle': handle, 'electric-cursor': cursor } = headers
  query = { table, offset, handle, ...(live && { live: 'true', cursor }) }
}
