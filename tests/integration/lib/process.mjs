// Child processes that cannot outlive the tests.
import { spawn } from 'node:child_process'
import { openSync, closeSync, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { within } from './wait.mjs'

/** Starts a process whose output goes to the end of `log`; the kernel signals it when we die. */
export function start(command, args, { log, env, cwd, user, deathSignal = 'TERM' }) {
  const out = openSync(log, 'a')
  let argv = ['setpriv', `--pdeathsig=${deathSignal}`, '--', command, ...args]
  // The kernel forgets the death signal at a change of user: change first, ask then.
  if (user) argv = ['setpriv', `--reuid=${user}`, `--regid=${user}`, '--init-groups', '--', ...argv]
  const child = spawn(argv[0], argv.slice(1), { env, cwd, stdio: ['ignore', out, out] })
  closeSync(out)
  const exited = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.once('error', (error) => resolve({ code: null, signal: null, error }))
  })
  return { child, pid: child.pid, exited, running: () => child.exitCode === null && child.signalCode === null }
}

/** Signals the process and waits for its end; a process that does not end is killed, and that is an error. */
export async function end(process_, signal, ms, what) {
  if (process_.running()) process_.child.kill(signal)
  try {
    return await within(process_.exited, ms, `${what} ends after ${signal}`)
  } catch (error) {
    process_.child.kill('SIGKILL')
    await process_.exited
    throw error
  }
}

export function alive(pid) {
  try {
    process.kill(pid, 0)
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}

export function which(name, path = process.env.PATH ?? '') {
  return path.split(delimiter).map((d) => join(d, name)).find(existsSync)
}
