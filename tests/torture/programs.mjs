// A directory of programs as the supervisor expects it, in which every service is a script that changes its environment and then
// becomes the real one: another address on the bus, another clock. The process keeps its id.
import { appendFileSync, chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { binary } from '../integration/lib/stack.mjs'

const script = (dir) => `#!/bin/sh
case \${0##*/} in
sluice-router) name=router-$SLUICE_ROUTER_INDEX ;;
sluice-edge) name=edge-$SLUICE_HTTP_PORT ;;
*) name=ingest ;;
esac
. ${dir}/all.env
. ${dir}/$name.env
exec ${dirname(binary('ingest'))}/\${0##*/} "$@"
`

/** Makes them below `dir`; returns the directory for Stack's `programs`. */
export function makePrograms(dir) {
  mkdirSync(dir)
  copyFileSync(binary('supervisor'), join(dir, 'sluice-supervisor'))
  for (const service of ['ingest', 'router', 'edge']) {
    writeFileSync(join(dir, `sluice-${service}`), script(dir))
    chmodSync(join(dir, `sluice-${service}`), 0o755)
  }
  return dir
}

/** Adds to what a service finds in its environment at its next start. `name`: ingest, router-0, edge-<HTTP port>, all. */
export function addEnvironment(dir, name, variables) {
  const lines = Object.entries(variables).map(([key, value]) => `export ${key}='${value}'\n`)
  appendFileSync(join(dir, `${name}.env`), lines.join(''))
}
