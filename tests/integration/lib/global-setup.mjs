// Once per run: checks that there is something to test, and starts the Postgres that most files share.
import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { Postgres } from './postgres.mjs'
import { ARTIFACTS } from './parties.mjs'
import { binary, SERVICES } from './stack.mjs'

export default async function setup(project) {
  const missing = SERVICES.map(binary).filter((path) => !existsSync(path))
  if (missing.length) throw new Error(`not built: ${missing.join(' ')} (make, or make VARIANT=asan with SLUICE_VARIANT=asan)`)
  rmSync(ARTIFACTS, { recursive: true, force: true })
  mkdirSync(ARTIFACTS, { recursive: true })
  const postgres = await Postgres.start()
  project.provide('postgres', postgres.handle())
  return () => postgres.destroy()
}
