// fuzz.mjs [SECONDS]: bent HTTP/1.1 at the edge of a running stack. Within tools/with-stack (see tools/fuzz-http): SLUICE_URL, DATABASE_URL,
// SLUICE_DATA_DIR, SLUICE_STACK_LOG. SEED=n repeats a run's bytes. Ends with 1 and the bytes of the connections in question when the edge
// dies, a sanitizer speaks, an answer cannot be read in exactly one way, or a sound request is not answered rightly.
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import http from 'node:http'
import net from 'node:net'
import { connectionBytes, generator, pieces } from './mutate.mjs'
import { readResponses } from './response.mjs'

const CONNECTIONS_AT_ONCE = 8, ROWS = 5, ANSWER_MS = 400, PROBE_MS = 20000
const here = new URL('.', import.meta.url)
const seconds = Number(process.argv[2] || 60)
const seed = Number(process.env.SEED || Date.now() % 2 ** 31)
const { hostname, port } = new URL(process.env.SLUICE_URL)
const DISASTER = /Sanitizer|runtime error:|assertion[^\n]*failed|signal (6|7|11)\b/i

const world = {
  corpus: readdirSync(new URL('corpus/', here)).sort().map((name) => readFileSync(new URL(`corpus/${name}`, here))),
  words: JSON.parse(readFileSync(new URL('dictionary.json', here), 'utf8')).map((word) => Buffer.from(word, 'latin1')),
}

const pids = () => ['ingest', 'router-0', 'edge-0'].map((s) => readFileSync(`${process.env.SLUICE_DATA_DIR}/run/${s}.pid`, 'utf8').trim()).join(' ')

/** Sends the pieces; gathers what comes until the server hangs up, is silent for a while, or we cut the connection. */
function converse(parts, { cutOff }) {
  return new Promise((resolve) => {
    const socket = net.connect(Number(port), hostname)
    const heard = []
    let timer, reset = false
    const finish = (closed) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text: Buffer.concat(heard).toString('latin1'), closed: closed && !reset })
    }
    const again = () => {
      clearTimeout(timer)
      timer = setTimeout(() => finish(false), ANSWER_MS)
    }
    socket.setNoDelay(true)
    socket.on('error', () => (reset = true))
    socket.on('close', () => finish(true))
    socket.on('data', (bytes) => { heard.push(bytes); again() })
    socket.on('connect', async () => {
      again()
      for (const part of parts) {
        if (socket.destroyed) return
        socket.write(part)
        await new Promise(setImmediate)
      }
      if (cutOff === 'reset') socket.resetAndDestroy()
      if (cutOff === 'end') socket.end()
    })
  })
}

/** A sound request on a new connection: all rows, nothing else. */
function probe() {
  return new Promise((resolve, reject) => {
    const request = http.get({ hostname, port, path: '/v1/shape?table=fuzzed&offset=-1', agent: false, timeout: PROBE_MS }, (answer) => {
      let text = ''
      answer.on('data', (part) => (text += part))
      answer.on('error', reject)
      answer.on('end', () => {
        try {
          const ids = JSON.parse(text).filter((m) => m.value).map((m) => m.value.id).sort()
          if (answer.statusCode !== 200 || ids.join() !== '1,2,3,4,5') throw new Error('other rows')
          resolve()
        } catch (error) {
          reject(new Error(`a sound request is answered ${answer.statusCode} ${text.slice(0, 300)} (${error.message})`))
        }
      })
    })
    request.on('timeout', () => request.destroy(new Error(`a sound request is not answered within ${PROBE_MS} ms`)))
    request.on('error', reject)
  })
}

function fail(reason, sent) {
  console.log(`http fuzz: FAILED, SEED=${seed}: ${reason}`)
  for (const { n, bytes } of sent) console.log(`connection ${n}, ${bytes.length} bytes, the last of them: ${JSON.stringify(bytes.subarray(-3000).toString('latin1'))}`)
  process.exit(1)
}

const counts = { connections: 0, bytes: 0, responses: 0, statuses: {} }

/** One connection, made of the seed and its number alone. */
async function attack(n) {
  const r = generator(seed + n * 7919)
  const bytes = connectionBytes(r, world)
  const parts = pieces(r, bytes)
  const cutOff = r.pick(['no', 'no', 'no', 'end', 'reset'])
  const { text, closed } = await converse(parts, { cutOff })
  counts.connections++
  counts.bytes += bytes.length
  try {
    for (const status of readResponses(text, { whole: closed && cutOff === 'no', mayBeHead: bytes.includes('HEAD') })) {
      counts.responses++
      counts.statuses[status] = (counts.statuses[status] ?? 0) + 1
    }
  } catch (error) {
    fail(`${error.message}\nanswered: ${JSON.stringify(text.slice(0, 2000))}`, [{ n, bytes }])
  }
  return { n, bytes }
}

async function main() {
  console.log(`http fuzz: SEED=${seed}, ${seconds} s`)
  execFileSync('psql', ['-qX', '-v', 'ON_ERROR_STOP=1', process.env.DATABASE_URL, '-c',
    `create table fuzzed (id int primary key, v text); insert into fuzzed select n, chr(96 + n) from generate_series(1, ${ROWS}) n`])
  await probe()
  const before = pids(), end = Date.now() + seconds * 1000
  for (let n = 0; Date.now() < end; n += CONNECTIONS_AT_ONCE) {
    const sent = await Promise.all(Array.from({ length: CONNECTIONS_AT_ONCE }, (_, i) => attack(n + i)))
    await probe().catch((error) => fail(error.message, sent))
    if (pids() !== before) fail('a process has died', sent)
    const line = readFileSync(process.env.SLUICE_STACK_LOG, 'utf8').split('\n').find((l) => DISASTER.test(l))
    if (line) fail(line, sent)
  }
  if (counts.responses < counts.connections / 10) fail('hardly anything was answered', [])
  console.log(`http fuzz: ${counts.connections} connections, ${counts.bytes} bytes, ${counts.responses} responses ${JSON.stringify(counts.statuses)}`)
}

await main()
