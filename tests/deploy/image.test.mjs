// Dockerfile: the last stage has a package for every library that the programs name.
import test from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { REPOSITORY, binary } from './lib.mjs'

const BASE = /^(libc6|libgcc-s1|libstdc\+\+6)$/ // in every Debian image

function packageOf(path) {
  for (const candidate of [path, path.replace(/^\/usr/, ''), realpathSync(path), realpathSync(path).replace(/^\/usr/, '')]) {
    try {
      return execFileSync('dpkg', ['-S', candidate], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(':')[0]
    } catch {}
  }
  throw new Error(`no package owns ${path}`)
}

/** Libraries that the program itself names: package of each. */
function packagesOf(program) {
  const needed = new Set([...execFileSync('objdump', ['-p', program], { encoding: 'utf8' }).matchAll(/NEEDED\s+(\S+)/g)].map((m) => m[1]))
  const resolved = [...execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/^\s*(\S+) => (\S+)/gm)]
  return new Set(resolved.filter(([, name]) => needed.has(name)).map(([, , path]) => packageOf(path)))
}

test('the image has every library', () => {
  const stages = readFileSync(join(REPOSITORY, 'Dockerfile'), 'utf8').split(/^FROM /m)
  const installed = new Set(stages.at(-1).split(/[\s\\]+/))
  for (const service of ['ingest', 'router', 'edge', 'supervisor']) {
    for (const name of packagesOf(binary(service))) assert.ok(BASE.test(name) || installed.has(name), `sluice-${service} needs ${name}`)
  }
})

test('the image runs as a user of its own', () => {
  const dockerfile = readFileSync(join(REPOSITORY, 'Dockerfile'), 'utf8')
  assert.match(dockerfile, /^USER 10001:10001$/m)
})
