// A router's disk: full, with what a power failure leaves of its file, and damaged.
import { execFileSync } from 'node:child_process'
import { randomBytes, randomUUID } from 'node:crypto'
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync, statfsSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { alive } from '../../integration/lib/process.mjs'
import { pause, until } from '../../integration/lib/wait.mjs'

const PAGE = 4096
const META_PAGES = 2
const SIZE = '1g'

const directory = (world, router) => join(world.stack.dir, router)
const someRouter = (world, rng) => `router-${rng.int(0, world.stack.routers - 1)}`

const mount = (directory, options) => execFileSync('mount', [...options, 'sluice-torture', directory], { stdio: 'pipe' })

/** Why no small file systems can be had here; undefined: they can. */
export function disksMissing() {
  const trial = mkdtempSync('/tmp/sluice-disk-')
  try {
    mount(trial, ['-t', 'tmpfs', '-o', `size=${SIZE}`])
    execFileSync('umount', [trial])
    return undefined
  } catch (error) {
    return `a file system cannot be mounted: ${String(error.stderr || error.message).trim()}`
  } finally {
    rmSync(trial, { recursive: true })
  }
}

/** Gives every router a file system of its own; returns what takes them away again. */
export function mountDisks(stack) {
  const mounted = stack.services().filter((name) => name.startsWith('router-')).map((name) => join(stack.dir, name))
  for (const dir of mounted) {
    mkdirSync(dir, { mode: 0o700 })
    mount(dir, ['-t', 'tmpfs', '-o', `size=${SIZE},mode=0700`])
  }
  return () => mounted.forEach((dir) => execFileSync('umount', ['-l', dir]))
}

async function full(world, rng) {
  const router = someRouter(world, rng)
  const dir = directory(world, router)
  const { blocks, bfree } = statfsSync(dir)
  const pages = blocks - bfree + rng.pick([0, 1, 10, 200])
  const ms = rng.pick([500, 3000, 10_000])
  world.event(`disk of ${router} full for ${ms} ms`)
  mount(dir, ['-o', `remount,size=${pages * PAGE}`])
  await pause(ms)
  mount(dir, ['-o', `remount,size=${SIZE}`])
}

/** Kills a router and does something to its files before there is another one. All its shapes may end. */
async function whileDead(world, router, work) {
  const over = world.excuses.begin({ router: Number(router.slice('router-'.length)) })
  const { supervisor } = world.stack
  supervisor.child.kill('SIGSTOP')
  try {
    const pid = world.stack.signal(router, 'SIGKILL')
    await until(() => !alive(pid), { what: `${router} is dead` })
    work(directory(world, router))
  } finally {
    supervisor.child.kill('SIGCONT')
  }
  over()
}

const fileOf = (dir) => join(dir, readdirSync(dir).find((name) => /\.mdb$/.test(name) && !/lock/.test(name)))

/** Random bytes or none in a part of the pages. */
function tear(dir, rng) {
  const path = fileOf(dir)
  const pages = Math.floor(statSync(path).size / PAGE)
  const fd = openSync(path, 'r+')
  const share = rng.pick([0.002, 0.02, 0.3])
  for (let page = META_PAGES; page < pages; page++) {
    if (!rng.chance(share)) continue
    const from = rng.chance(0.5) ? 0 : rng.int(0, PAGE - 1)
    writeSync(fd, rng.chance(0.5) ? randomBytes(PAGE - from) : Buffer.alloc(PAGE - from), 0, PAGE - from, page * PAGE + from)
  }
  closeSync(fd)
}

/** The machine went down: what was not synced is there in part, in any order, or not at all. */
async function powerFailure(world, rng) {
  const router = someRouter(world, rng)
  world.event(`power failure of ${router}`)
  await whileDead(world, router, (dir) => {
    if (rng.chance(0.7)) tear(dir, rng)
    else truncateSync(fileOf(dir), PAGE * rng.int(0, Math.floor(statSync(fileOf(dir)).size / PAGE)))
    writeFileSync(join(dir, 'store.state'), `open ${randomUUID()}\n`)
  })
}

/** Nobody says that anything happened. */
async function torn(world, rng) {
  const router = someRouter(world, rng)
  world.event(`pages of ${router} torn`)
  await whileDead(world, router, (dir) => tear(dir, rng))
}

export const disk = [[2, full], [1, powerFailure], [1, torn]]
