// A shape's log, read by hand: no client in between that could put anything right.
import { expect } from 'vitest'
import { readShape } from './http.mjs'

/** Creates the shape if need be and reads it to its end: the parameters that go on from there. */
export async function endOf(stack, params) {
  const last = (await readShape(stack.url, params)).at(-1)
  return { ...params, handle: last.handle, offset: last.offset }
}

/** The next `count` log entries after `at`, by long polls; more when they come in one answer. */
export async function entriesAfter(stack, at, count) {
  const changes = []
  for (let { offset } = at; changes.length < count; ) {
    const answer = await stack.shape({ ...at, offset, live: 'true' })
    expect(answer.status).toBe(200)
    changes.push(...answer.changes)
    offset = answer.offset
  }
  return changes
}

/** The entries that `write` causes in a shape, `count` of them. */
export async function entriesOf(stack, params, count, write) {
  const at = await endOf(stack, params)
  await write()
  return entriesAfter(stack, at, count)
}
