// Every process that a test talks to writes a log. When a test fails, all of them are laid side by
// side in artifacts/<test>.
import { mkdirSync, mkdtempSync, copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** A run that goes on beside another one needs a directory of its own: it is emptied at the start. */
export const ARTIFACTS = resolve(process.env.SLUICE_TEST_ARTIFACTS ?? new URL('../artifacts', import.meta.url).pathname)

const parties = new Map()

/** `log` is the path of a file, or a function that returns text. */
export function addParty(name, log) {
  let unique = name
  for (let i = 2; parties.has(unique); i++) unique = `${name}-${i}`
  parties.set(unique, log)
  return unique
}

export function artifactDir(testName) {
  const dir = join(ARTIFACTS, testName.replace(/[^\w.-]+/g, '-').slice(0, 120))
  mkdirSync(dir, { recursive: true })
  return dir
}

export function collectLogs(testName) {
  const dir = artifactDir(testName)
  for (const [name, log] of parties) {
    const to = join(dir, `${name}.log`)
    if (typeof log === 'function') writeFileSync(to, log())
    else if (existsSync(log)) copyFileSync(log, to)
  }
  return dir
}

const logDirs = []
process.once('exit', () => logDirs.forEach((dir) => rmSync(dir, { recursive: true, force: true })))

/** A path for a log that lives as long as this process: what is stopped may still have to be looked at. */
export function logPath(name) {
  const dir = mkdtempSync('/tmp/sluice-log-')
  logDirs.push(dir)
  return join(dir, name)
}
