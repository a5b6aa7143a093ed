// Does a router always find its ingest, however often that came and went before? One router per round, four ingests
// that end within milliseconds of their start, then one that stays. A rare fault: some hundred rounds say something.
//   node soak/redial.mjs [rounds]
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { Postgres } from '../lib/postgres.mjs'
import { binary } from '../lib/stack.mjs'
import { start, end } from '../lib/process.mjs'
import { pause, until } from '../lib/wait.mjs'

const rounds = Number(process.argv[2] ?? 300)
const postgres = await Postgres.start()

function environment(dir) {
  const url = (name) => `ipc://${dir}/${name}`
  return {
    PATH: process.env.PATH, DATABASE_URL: postgres.url(), SLUICE_STREAM_ID: 'redial',
    SLUICE_INGEST_CHANGES_URL: url('changes'), SLUICE_INGEST_CONTROL_URL: url('control'),
    SLUICE_INGEST_CHANGES_URLS: url('changes'), SLUICE_INGEST_CONTROL_URLS: url('control'),
    SLUICE_ROUTER_NOTICES_URL: url('notices'), SLUICE_ROUTER_FETCH_URL: url('fetch'), SLUICE_ROUTER_DIR: `${dir}/router`, SLUICE_MAP_BYTES: '64m',
  }
}

async function shortLived(env, log) {
  const ingest = start(binary('ingest'), [], { log, env: { ...env, DATABASE_URL: postgres.url('no_such_database') } })
  await pause(5 + Math.random() * 30) // any moment of its start is worth a try
  if (ingest.running()) ingest.child.kill(Math.random() < 0.5 ? 'SIGKILL' : 'SIGTERM')
  await ingest.exited
  await pause(Math.random() * 60)
}

async function round() {
  const dir = mkdtempSync('/tmp/sluice-redial-')
  mkdirSync(`${dir}/router`)
  const env = environment(dir)
  const log = `${dir}/router.log`
  const router = start(binary('router'), [], { log, env })
  for (let i = 0; i < 4; i++) await shortLived(env, `${dir}/ingest.log`)
  const ingest = start(binary('ingest'), [], { log: `${dir}/ingest.log`, env })
  await until(() => readFileSync(log, 'utf8').includes('stream_joined'), { within: 10000, what: `the router joins, see ${dir}` })
  await end(ingest, 'SIGTERM', 5000, 'ingest')
  await end(router, 'SIGTERM', 5000, 'router')
  rmSync(dir, { recursive: true })
}

for (let i = 1; i <= rounds; i++) {
  await round().catch((error) => {
    console.error(`round ${i}: ${error.message}`)
    process.exit(1)
  })
}
console.log(`${rounds} rounds, every router found its ingest`)
await postgres.destroy()
