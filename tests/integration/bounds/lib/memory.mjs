// How much memory each service needs at its most, while something is done to it.
import { readFileSync } from 'node:fs'
import { expect } from 'vitest'

/** What docs/configuration.md promises of every service, unless it is configured otherwise. */
export const CEILING_BYTES = 256 << 20

/**
 * Anonymous pages, resident or swapped out; 0 when there is no such process. Pages of files are not counted: the kernel takes them
 * back when anybody needs memory, and a router maps its whole log.
 */
export function memoryOf(pid) {
  let text
  try {
    text = readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return 0
  }
  const kb = (field) => Number(text.match(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm'))?.[1] ?? 0)
  return (kb('RssAnon') + kb('VmSwap')) * 1024
}

const EVERY_MS = 20

export class Memory {
  constructor(stack) {
    this.stack = stack
    this.most = Object.fromEntries(stack.services().map((s) => [s, 0]))
    this.timer = setInterval(() => this.look(), EVERY_MS)
    this.look()
    this.before = { ...this.most }
  }

  look() {
    for (const service of this.stack.services()) this.most[service] = Math.max(this.most[service], memoryOf(this.stack.pid(service)))
  }

  now(service) {
    return memoryOf(this.stack.pid(service))
  }

  /** Ends the watch; fails when a service needed more. */
  stayedBelow(bytes, what) {
    this.look()
    clearInterval(this.timer)
    const mb = (n) => Math.round(n / 1e5) / 10
    const said = Object.entries(this.most).map(([s, n]) => `${s} ${mb(this.before[s])} -> ${mb(n)} MB`)
    console.log(`${what}: most memory: ${said.join(', ')}`)
    for (const [service, most] of Object.entries(this.most)) expect(most, `memory of ${service}: ${what}`).toBeLessThan(bytes)
  }
}
