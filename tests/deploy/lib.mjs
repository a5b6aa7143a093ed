// What the tests of the deployment files share: rendering, and what a service says about itself.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import YAML from 'yaml'

export const REPOSITORY = new URL('../..', import.meta.url).pathname
const BUILD = join(REPOSITORY, 'build', process.env.SLUICE_VARIANT ?? 'release')

/** kubectl has kustomize built in; tools/install-deps brings the program itself where there is no kubectl. */
let found
function kustomizeCommand() {
  if (found) return found
  for (const command of [['kustomize', 'build'], [join(REPOSITORY, '.tools/bin/kustomize'), 'build'], ['kubectl', 'kustomize']]) {
    if (spawnSync(command[0], ['--help']).status === 0) return (found = command)
  }
  throw new Error('neither kustomize nor kubectl is here: tools/install-deps check brings one')
}

/** All objects of a kustomization below deploy/k8s. */
export function render(directory) {
  const [program, ...args] = kustomizeCommand()
  const text = execFileSync(program, [...args, join(REPOSITORY, 'deploy/k8s', directory)], { encoding: 'utf8' })
  return YAML.parseAllDocuments(text).map((document) => {
    if (document.errors.length) throw document.errors[0]
    return document.toJS()
  })
}

export function binary(service) {
  const path = join(BUILD, `sluice-${service}`)
  if (!existsSync(path)) throw new Error(`${path} is not built: make`)
  return path
}

/** Every environment name that the service knows, aliases included, with its default as the manual states it. */
export function knobsOf(service) {
  const doc = execFileSync(binary(service), ['--doc'], { encoding: 'utf8' })
  const rows = doc.split('### Metrics')[0].split('\n').filter((line) => line.startsWith('| `'))
  return new Set(rows.flatMap((row) => [...row.split('|')[1].matchAll(/`([^`]+)`/g)].map((m) => m[1])))
}

export function help(service) {
  return execFileSync(binary(service), ['--help'], { encoding: 'utf8' })
}
