// What nearly every test file has: a database, a stack on it, and clients that end with their test.
import { afterAll, afterEach, beforeAll, inject } from 'vitest'
import { Postgres } from './postgres.mjs'
import { Stack } from './stack.mjs'
import { syncClient } from './client.mjs'

/**
 * One stack for all tests of a file. `ownPostgres`: settings of a server of its own, for tests that stop it or leave
 * transactions open (a replication slot waits for every transaction of the whole server). `prepare(db)` comes before the stack starts.
 */
export function useStack({ ownPostgres, prepare, ...options } = {}) {
  const ctx = { clients: [], cleanups: [] }
  beforeAll(async () => {
    ctx.postgres = ownPostgres ? await Postgres.start({ name: 'own-postgres', settings: ownPostgres }) : Postgres.attach(inject('postgres'))
    ctx.db = await ctx.postgres.database()
    await prepare?.(ctx.db)
    ctx.stack = await Stack.start({ database: ctx.db, ...options })
  })
  ctx.client = (params, clientOptions) => {
    const client = syncClient(clientOptions?.base ?? ctx.stack, params, clientOptions)
    ctx.clients.push(client)
    return client
  }
  /** Runs when the test is over, the last one given first. */
  ctx.cleanup = (fn) => ctx.cleanups.push(fn)
  afterEach(async () => {
    for (const client of ctx.clients.splice(0)) client.close()
    for (const fn of ctx.cleanups.splice(0).reverse()) await fn()
  })
  afterAll(async () => {
    await ctx.stack?.destroy(ctx.db)
    if (ownPostgres) await ctx.postgres?.destroy()
  })
  return ctx
}
