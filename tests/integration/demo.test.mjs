// The demo page in a real browser: two windows, one write, both show it.
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Postgres } from './lib/postgres.mjs'
import { Stack, REPOSITORY } from './lib/stack.mjs'
import { start, end } from './lib/process.mjs'
import { freePorts } from './lib/ports.mjs'
import { addParty, artifactDir, logPath } from './lib/parties.mjs'
import { launch } from './lib/browser.mjs'
import { request } from './lib/http.mjs'
import { until } from './lib/wait.mjs'

const DEMO = join(REPOSITORY, 'examples/demo')

let db, stack, demo, api, browser
const consoleLines = []

beforeAll(async () => {
  if (!existsSync(join(DEMO, 'dist/main.js'))) throw new Error('the demo page is not built: make demo')
  db = await Postgres.attach(inject('postgres')).database()
  const log = logPath('demo')
  const port = await freePorts()
  stack = new Stack({ database: db, env: { SLUICE_EDGE_STATIC_DIR: join(DEMO, 'dist'), SLUICE_LONG_POLL_TIMEOUT: '5s' } })
  await stack.launch()
  demo = start(process.execPath, [join(DEMO, 'server.mjs')], { log, env: { ...process.env, DATABASE_URL: db.url, DEMO_PORT: String(port), SLUICE_URL: stack.url } })
  addParty('demo', log)
  addParty('browser', () => consoleLines.join('\n'))
  api = `http://127.0.0.1:${port}`
  await until(() => request(api, { path: '/health' }).then((a) => a.status === 200, () => false), { what: 'the write server answers' })
  await stack.ready()
  browser = await launch()
})

afterAll(async () => {
  await browser?.close()
  if (demo) await end(demo, 'SIGTERM', 10000, 'the write server')
  await stack?.destroy(db)
})

async function open(url) {
  const page = await (await browser.newContext({ viewport: { width: 640, height: 560 } })).newPage()
  page.on('console', (m) => consoleLines.push(`${m.type()} ${m.text()}`))
  page.on('pageerror', (e) => consoleLines.push(`error ${e}`))
  await page.goto(url)
  await page.locator('#state[data-state="live"]').waitFor()
  return page
}

const write = (method, path, body, headers = {}) => request(api, { method, path: `/api/todos${path}`, body: body && JSON.stringify(body), headers })

test('two windows, one write, both show it', async () => {
  const [one, two] = [await open(`${stack.url}/demo/?api=${api}`), await open(`${api}/demo/`)]
  await one.fill('#title', 'water the plants')
  await one.press('#title', 'Enter')
  for (const page of [one, two]) await page.locator('li .text').first().waitFor()
  for (const page of [one, two]) expect(await page.locator('li .text').inputValue()).toBe('water the plants')

  await two.locator('li input[type=checkbox]').click()
  await one.locator('li.done').waitFor()
  await two.locator('li .text').fill('water the garden')
  await two.locator('li .text').press('Enter')
  await until(async () => (await one.locator('li .text').inputValue()) === 'water the garden', { what: 'an edit shows' })
  await db.sql("insert into todos (title) values ('from psql')")
  for (const page of [one, two]) await page.locator('li').nth(1).waitFor()

  const dir = artifactDir('demo-page')
  await one.screenshot({ path: join(dir, 'one.png') })
  await two.screenshot({ path: join(dir, 'two.png') })

  await one.locator('li').first().locator('.remove').click()
  await until(async () => (await two.locator('li').count()) === 1, { what: 'a delete shows' })
  expect(consoleLines.filter((l) => l.startsWith('error'))).toEqual([])
})

test('the edge dies and comes back: the page goes on', async () => {
  const page = await open(`${api}/demo/`)
  await stack.kill('edge-0')
  await write('POST', '', { title: 'written meanwhile' })
  await page.locator('li[data-id]').nth(1).waitFor()
  await page.locator('#state[data-state="live"]').waitFor()
})

test('the edge serves the page and nothing beside it', async () => {
  for (const [path, type] of [['/demo/', 'text/html'], ['/demo/main.js', 'javascript'], ['/demo/style.css', 'text/css']]) {
    const answer = await request(stack.url, { path })
    expect([path, answer.status]).toEqual([path, 200])
    expect(answer.headers['content-type']).toContain(type)
  }
  for (const path of ['/demo/../server.mjs', '/demo/%2e%2e/server.mjs', '/demo/..%2fserver.mjs', '/demo/nothing', '/demo/../../demo/server.mjs', '/demo//etc/passwd']) {
    expect([path, (await request(stack.url, { path })).status]).toEqual([path, 404])
  }
})

test('the write server refuses what is wrong', async () => {
  for (const [method, path, body, status] of [
    ['POST', '', { title: '' }, 400], ['POST', '', { title: 5 }, 400], ['POST', '', { title: 'x'.repeat(501) }, 400], ['POST', '', [], 400], ['POST', '', { title: 'x'.repeat(20000) }, 413],
    ['PATCH', '/nonsense', { done: true }, 404], ['PATCH', '/00000000-0000-0000-0000-000000000000', { done: true }, 404], ['PATCH', '/00000000-0000-0000-0000-000000000000', { done: 'yes' }, 400],
    ['DELETE', '/00000000-0000-0000-0000-000000000000', undefined, 404], ['PUT', '', undefined, 404],
  ]) expect([method, path, (await write(method, path, body)).status]).toEqual([method, path, status])
  const text = '\'"<b>&\\ü😀'
  expect((await write('POST', '', { title: text })).status).toBe(201)
  expect(await db.sql('select title from todos where title = $1', [text])).toHaveLength(1)
  expect((await write('POST', '', { title: 'x' }, { origin: 'http://127.0.0.1:5000' })).headers['access-control-allow-origin']).toBe('http://127.0.0.1:5000')
  expect((await write('POST', '', { title: 'x' }, { origin: 'https://evil.example' })).status).toBe(403)
})
