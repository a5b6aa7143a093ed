// Waiting for something to become true. Nothing in these tests sleeps for a time and hopes.
import { setTimeout as pause } from 'node:timers/promises'

/** Slow machines and sanitizer builds stretch every deadline alike. */
const STRETCH = Number(process.env.SLUICE_TEST_STRETCH ?? (/asan|tsan/.test(process.env.SLUICE_VARIANT) ? 2 : 1))

export const deadlineMs = (ms) => ms * STRETCH

/**
 * Asks `condition` (sync or async) until it answers something truthy, and returns that.
 * `what` names the thing in the error; it may be a function that describes how things stand at the end.
 */
export async function until(condition, { within = 15000, what = 'a condition', every = 20 } = {}) {
  const end = Date.now() + deadlineMs(within)
  for (;;) {
    const value = await condition()
    if (value) return value
    if (Date.now() >= end) {
      const text = typeof what === 'function' ? await what() : what
      throw new Error(`not within ${deadlineMs(within)} ms: ${text}`)
    }
    await pause(every)
  }
}

/** The opposite: `condition` has to hold for the whole time. For what must *not* happen. */
export async function holdsFor(ms, condition, what = 'a condition') {
  const end = Date.now() + ms
  while (Date.now() < end) {
    if (!(await condition())) throw new Error(`did not hold: ${typeof what === 'function' ? what() : what}`)
    await pause(50)
  }
}

/** Settles as the promise does, or rejects at the deadline. */
export async function within(promise, ms, what) {
  const timer = new AbortController()
  const late = pause(deadlineMs(ms), undefined, { signal: timer.signal }).then(() => {
    throw new Error(`not within ${deadlineMs(ms)} ms: ${what}`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    timer.abort()
  }
}

export { pause }
