// Free ports below the ephemeral range, a range of its own for every worker, so that two workers do
// not take the same one between asking and using.
import net from 'node:net'
import { randomInt } from 'node:crypto'

const WORKER = Number(process.env.VITEST_POOL_ID ?? 0) % 8
const FIRST = 12000 + WORKER * 2000
const REMEMBERED = 200

const given = [] // the last ones: whoever asked for them may not have used them yet

const isFree = (port) =>
  new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)))
  })

/** The first of `count` consecutive free ports. */
export async function freePorts(count = 1) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const first = FIRST + randomInt(2000 - count)
    const ports = Array.from({ length: count }, (_, i) => first + i)
    if (ports.some((port) => given.includes(port))) continue
    given.push(...ports) // before somebody else asks
    given.splice(0, given.length - REMEMBERED)
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first
  }
  throw new Error('no free port')
}
