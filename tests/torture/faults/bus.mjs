// The bus: connections that are cut, refused, silent, slow, and requests that arrive behind later ones. Shapes go on with their handles.
import { pause } from '../../integration/lib/wait.mjs'

const FOR_MS = [20, 200, 1000, 3000, 8000]
const DELAYS_MS = [2, 20, 100, 400, 1500]

const some = (world, rng) => {
  const links = world.bus.links.filter(() => rng.chance(0.4))
  return links.length ? links : [rng.pick(world.bus.links)]
}
const named = (links) => links.map((l) => l.name).join(', ')

async function cut(world, rng) {
  const links = some(world, rng)
  const times = rng.pick([1, 1, 2, 5, 20])
  world.event(`bus cut ${times} times: ${named(links)}`)
  for (let i = 0; i < times; i++) {
    for (const link of links) link.cut()
    await pause(rng.int(0, 150))
  }
}

/** Runs while `links` are not as they should be. */
async function during(world, rng, links, what) {
  const ms = rng.pick(FOR_MS)
  world.event(`bus ${what} for ${ms} ms: ${named(links)}`)
  await pause(ms)
  for (const link of links) link.heal()
}

async function refuse(world, rng) {
  const links = some(world, rng)
  for (const link of links) {
    link.refusing = true
    link.cut()
  }
  await during(world, rng, links, 'refuses connections')
}

/** Nothing arrives and nobody hears why; in the end it either arrives or is lost with the connection. */
async function silent(world, rng) {
  const links = some(world, rng)
  for (const link of links) link.hold()
  const lost = rng.chance(0.5)
  await during(world, rng, links, `is silent${lost ? ' and then cut' : ''}`)
  if (lost) for (const link of links) link.cut()
}

async function slow(world, rng) {
  const links = some(world, rng)
  for (const link of links) link.delayMs = rng.pick(DELAYS_MS)
  await during(world, rng, links, `delays by ${links.map((l) => l.delayMs)} ms`)
}

/** What is under way is overtaken by what is sent after a new connection is made. */
async function reorder(world, rng) {
  const links = some(world, rng)
  const ms = rng.pick([50, 300, 1500])
  world.event(`bus reorders, late by ${ms} ms: ${named(links)}`)
  for (let i = rng.int(1, 6); i > 0; i--) {
    for (const link of links) link.delayMs = ms
    await pause(rng.int(5, 200))
    for (const link of links) {
      link.overtake()
      link.delayMs = 0
    }
    await pause(rng.int(5, 300))
  }
  for (const link of links) link.heal()
}

export const bus = [[2, cut], [1, refuse], [1, silent], [1, slow], [1, reorder]]
