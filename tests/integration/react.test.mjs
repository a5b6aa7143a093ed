// useShape of @electric-sql/react, in jsdom and in Chromium, at two edges and two routers.
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { JSDOM } from 'jsdom'
import { useStack } from './lib/fixture.mjs'
import { Browser, servePage } from './lib/browser.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ routers: 2, edges: 2 })
const sql = (text, values) => ctx.db.sql(text, values)

beforeAll(async () => {
  await sql(`create table todos (id int primary key, title text not null, done bool not null default false);
    insert into todos select n, 'todo ' || n, n % 3 = 0 from generate_series(1, 20) n`)
})

/** What a list must show: [id, title, done] in the order of ids. */
async function expected(where = 'true') {
  const rows = await sql(`select id, title, done from todos where ${where} order by id`)
  return JSON.stringify(rows.map((r) => [String(r.id), r.title, String(r.done)]))
}

const shown = (list) => JSON.stringify([...list.querySelectorAll('li')].map((li) => [li.dataset.id, li.textContent, li.dataset.done]))

async function writes() {
  await sql("insert into todos values (100, 'quotes '' \" < > & ü 😀', true)")
  await sql("update todos set done = not done where id % 2 = 0; update todos set title = 'edited' where id = 7; delete from todos where id in (1, 3, 6)")
  await sql("update todos set id = 50 where id = 5")
}

describe('jsdom', () => {
  let root, React, useShape

  beforeAll(async () => {
    const dom = new JSDOM('<div id="root"></div>', { url: 'http://localhost/', pretendToBeVisual: true }) // a hidden page pauses its streams
    Object.assign(globalThis, { window: dom.window, document: dom.window.document })
    globalThis.navigator ??= dom.window.navigator // newer Node.js has one
    React = await import('react')
    ;({ useShape } = await import('@electric-sql/react'))
    const { createRoot } = await import('react-dom/client')
    root = createRoot(document.getElementById('root'))
  })

  afterAll(() => {
    root?.unmount()
  })

  for (const liveSse of [false, true]) {
    test(`hooks re-render with what SELECT says, ${liveSse ? 'on streams' : 'with polls'}`, async () => {
      const abort = new AbortController()
      ctx.cleanup(() => abort.abort())
      let renders = 0
      const h = React.createElement
      function Rows({ where, edge }) {
        const { data, isLoading, lastSyncedAt } = useShape({ url: `${ctx.stack.edgeUrl(edge)}/v1/shape`, liveSse, signal: abort.signal, params: { table: 'todos', where } })
        renders++
        if (isLoading) return h('p', null, 'loading')
        return h('ul', { 'data-where': where, 'data-synced': lastSyncedAt }, data.toSorted((a, b) => a.id - b.id).map((row) => h('li', { key: row.id, 'data-id': row.id, 'data-done': row.done }, row.title)))
      }
      root.render(h('div', null, h(Rows, { where: 'id > 0', edge: 0, key: `a${liveSse}` }), h(Rows, { where: 'done', edge: 1, key: `b${liveSse}` })))
      const becomes = async (where) => {
        const wanted = await expected(where)
        const now = () => {
          const list = [...document.querySelectorAll('ul')].find((ul) => ul.dataset.where === where)
          return list ? shown(list) : document.body.innerHTML
        }
        await until(() => now() === wanted, { what: () => `the list is ${wanted}, not ${now()}` })
      }
      for (const where of ['id > 0', 'done']) await becomes(where)
      await writes().catch(async () => sql("update todos set title = title || '!'"))
      for (const where of ['id > 0', 'done']) await becomes(where)
      await ctx.stack.kill('router-0')
      await ctx.stack.kill('router-1')
      await sql('update todos set done = not done')
      for (const where of ['id > 0', 'done']) await becomes(where)
      expect(renders).toBeLessThan(200)
    })
  }
})

describe('Chromium', () => {
  let browser, site

  beforeAll(async () => {
    site = await servePage('react.jsx')
    browser = await Browser.start()
  })

  afterAll(async () => {
    await browser?.close()
    site?.close()
  })

  for (const liveSse of [false, true]) {
    test(`#23 #24 #25 a page of another origin follows the table, ${liveSse ? 'on streams' : 'with polls'}; deletion, a dead edge, truncate`, async () => {
      await sql("truncate todos; insert into todos select n, 'todo ' || n, n % 3 = 0 from generate_series(1, 20) n")
      const pages = await Promise.all([0, 1].map((edge) => browser.open(site.url, { url: `${ctx.stack.edgeUrl(edge)}/v1/shape`, liveSse })))
      const becomes = async () => {
        for (const page of pages) {
          for (const [name, where] of [['all', 'true'], ['done', 'done']]) {
            const wanted = await expected(where)
            const now = () => page.locator(`[data-where="${name}"]`).evaluate((list) => JSON.stringify([...list.querySelectorAll('li')].map((li) => [li.dataset.id, li.textContent, li.dataset.done]))).catch(() => undefined)
            await until(async () => (await now()) === wanted, { within: 30000, what: async () => `the page shows ${wanted}, not ${await now()}` })
          }
          const [{ count }] = await sql('select count(*)::int count from todos')
          await until(async () => (await page.locator('#count').innerText()) === String(count), { what: 'the count is right' })
        }
      }
      await becomes()
      await writes()
      await becomes()
      await browser.screenshot(pages[0], 'react-page', liveSse ? 'stream' : 'poll')
      await ctx.stack.kill('edge-0')
      await sql("insert into todos values (200, 'while the edge was away', false)")
      await becomes()
      await ctx.stack.shape({ table: 'todos' }, { method: 'DELETE' })
      await sql("insert into todos values (201, 'after the deletion', true)")
      await becomes()
      await sql("truncate todos; insert into todos values (1, 'after truncate', true)")
      await becomes()
      for (const page of pages) await page.close()
      expect(browser.errors()).toEqual([])
    })
  }
})
