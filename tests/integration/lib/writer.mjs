// Writes that do not stop: what clients have to follow while something is done to them.
import { until } from './wait.mjs'

/**
 * Runs `write(n)` for n = 1, 2, … one after the other until stop(). `written(n)` waits for the n-th, `moreWritten(n)` for n more.
 */
export function writer(write) {
  let go = true
  let count = 0
  let failure
  const done = (async () => {
    for (; go; count++) await write(count + 1)
    return count
  })()
  done.catch((error) => (failure = error))
  const written = (n) =>
    until(() => {
      if (failure) throw failure
      return count >= n
    }, { what: () => `${n} writes are made, not ${count}` })
  return {
    written,
    moreWritten: (n) => written(count + n),
    stop: () => {
      go = false
      return done
    },
  }
}

/** Every kind of change to a table (id int primary key, v text), single rows and whole transactions. */
export const everything = (session, table, from = 0) => (k) => {
  const n = from + k
  return session.query(
    n % 5 === 0
      ? `begin; insert into ${table} select 10000 * ${n} + g, 'bulk' from generate_series(1, 50) g;
         delete from ${table} where id > 10000 * ${n - 20} and id <= 10000 * ${n - 20} + 50; commit`
      : `insert into ${table} values (${-n}, 'n${n}'); update ${table} set v = 'u${n}' where id = ${(n * 7) % 200}`)
}
