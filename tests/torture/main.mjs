// make torture SEED=… SECONDS=… FAULTS=…: see README.md.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { randomInt } from 'node:crypto'
import { artifactDir, collectLogs } from '../integration/lib/parties.mjs'
import { pause } from '../integration/lib/wait.mjs'
import { FAULTS, missing } from './faults.mjs'
import { story } from './story.mjs'
import { World } from './world.mjs'

const STATUS_MS = 10_000

const number = (name, usual) => Number(process.env[name] || usual)
const seed = process.env.SEED || String(randomInt(2 ** 31))
const seconds = number('SECONDS', 30)

const chosen = (process.env.FAULTS || 'all') === 'all' ? Object.keys(FAULTS) : process.env.FAULTS.split(',').filter((kind) => kind !== 'none')
const unknown = chosen.filter((kind) => !FAULTS[kind])
if (unknown.length) {
  console.error(`torture: no such fault: ${unknown}; there are: ${Object.keys(FAULTS)}, all, none`)
  process.exit(2)
}

const impossible = missing()
const faults = chosen.filter((kind) => !impossible[kind])
for (const kind of chosen) if (impossible[kind]) console.log(`torture: without ${kind}: ${impossible[kind]}`)

const world = new World({ seed, seconds, shapes: number('SHAPES', 60), clients: number('CLIENTS', 40), faults })

// What others would have to clean up: file systems. Processes end with this one.
for (const [signal, status] of [['SIGINT', 130], ['SIGTERM', 143]]) {
  process.once(signal, () => {
    world.unmount?.()
    process.exit(status)
  })
}

async function work() {
  await world.start()
  await Promise.race([pause(seconds * 1000), world.failed])
  if (!world.failure) await world.converge()
}

async function tell(failure) {
  const name = `torture-${seed}`
  const text = await story(world, failure).catch((error) => `${failure.error.stack}\n(no story: ${error.stack})`)
  const dir = artifactDir(name)
  collectLogs(name)
  writeFileSync(join(dir, 'story'), `${text}\n`)
  console.log(`\n${text}\n\nlogs: ${dir}\nagain: make torture SEED=${seed} SECONDS=${seconds}`)
}

console.log(`torture: seed ${seed}, ${seconds} s, faults: ${faults.join(' ') || 'none'}`)
const status = setInterval(() => console.log(world.checker ? world.summary() : 'starting'), STATUS_MS)
try {
  await work()
} catch (error) {
  world.fail(error, {})
}
clearInterval(status)
if (world.failure) await tell(world.failure)
else console.log(world.summary())
await Promise.race([world.stop(), pause(30_000)])
console.log(`torture: ${world.failure ? '0 passed, 1 failed' : '1 passed, 0 failed'}`)
process.exit(world.failure ? 1 : 0)
