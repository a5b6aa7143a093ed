// @electric-sql/y-electric: Yjs documents that meet in Postgres, at two edges and two routers.
import { beforeAll, describe, expect, test } from 'vitest'
import * as Y from 'yjs'
import { Awareness } from 'y-protocols/awareness'
import { ElectricProvider, parseToDecoder } from '@electric-sql/y-electric'
import { useStack } from './lib/fixture.mjs'
import { Proxy } from './lib/proxy.mjs'
import { TABLES, writeEndpoint } from './lib/ydocs.mjs'
import { until } from './lib/wait.mjs'

const ctx = useStack({ routers: 2, edges: 2 })
let endpoint

beforeAll(async () => {
  await ctx.db.sql(TABLES)
  endpoint = await writeEndpoint(ctx.db)
  return () => endpoint.close()
})

/** A document of a room with its provider. */
function join(room, { base = ctx.stack.url, liveSse = false, withAwareness = false, resumeState, doc = new Y.Doc() } = {}) {
  const common = { url: `${base}/v1/shape`, parser: parseToDecoder, liveSse, backoffOptions: { initialDelay: 20, maxDelay: 200, multiplier: 1.5 }, onError: () => ({}) }
  const shape = (table) => ({ ...common, params: { table, where: 'room = $1', params: [room] } })
  const awareness = new Awareness(doc)
  const provider = new ElectricProvider({
    doc, resumeState,
    documentUpdates: { shape: shape('ydoc_operations'), sendUrl: `${endpoint.url}/operations?room=${room}`, getUpdateFromRow: (row) => row.op, sendErrorRetryHandler: async () => true },
    ...(withAwareness && {
      awarenessUpdates: { shape: shape('ydoc_awareness'), sendUrl: `${endpoint.url}/awareness?room=${room}&client_id=${doc.clientID}`, protocol: awareness, getUpdateFromRow: (row) => row.op },
    }),
  })
  const party = { doc, provider, awareness, text: doc.getText('text'), map: doc.getMap('map') }
  provider.on('resumeState', (state) => (party.resumeState = structuredClone(state)))
  ctx.cleanup(() => {
    awareness.destroy()
    provider.destroy()
    doc.destroy()
  })
  return party
}

const picture = ({ text, map }) => JSON.stringify([text.toString(), Object.entries(map.toJSON()).sort()])
const joined = (...parties) => until(() => parties.every((p) => p.provider.connected), { what: 'every provider is connected' })

/** All documents are alike, and so is one that is made of the table's rows alone. */
async function converge(room, ...parties) {
  await until(() => new Set(parties.map(picture)).size === 1, { within: 30000, what: () => `the documents are alike: ${parties.map(picture).join('\n').slice(0, 1000)}` })
  const stored = async () => {
    const doc = new Y.Doc()
    for (const { op } of await ctx.db.sql('select op from ydoc_operations where room = $1 order by id', [room])) {
      const decoder = parseToDecoder.bytea(`\\x${op.toString('hex')}`)
      while (decoder.pos < decoder.arr.length) {
        let length = 0
        for (let shift = 0, byte = 128; byte >= 128; shift += 7) length |= ((byte = decoder.arr[decoder.pos++]) & 127) << shift
        Y.applyUpdate(doc, decoder.arr.subarray(decoder.pos, (decoder.pos += length)))
      }
    }
    return picture({ text: doc.getText('text'), map: doc.getMap('map') })
  }
  await until(async () => (await stored()) === picture(parties[0]), { what: 'the table makes the same document' })
}

function type(party, who, n) {
  party.text.insert(Math.floor(party.text.length / 2), `${who}${n} `)
  party.map.set(`${who}${n % 5}`, n)
  if (n % 4 === 0) party.text.delete(0, 2)
}

for (const liveSse of [false, true]) {
  describe(liveSse ? 'on streams' : 'with polls', () => {
    test('two documents converge while both are typed into', async () => {
      const room = `typing_${liveSse}`
      const [a, b] = [join(room, { liveSse }), join(room, { liveSse, base: ctx.stack.edgeUrl(1) })]
      await joined(a, b)
      for (let n = 0; n < 40; n++) {
        type(a, 'a', n)
        type(b, 'b', n)
        if (n % 10 === 0) await until(() => picture(a) === picture(b))
      }
      await converge(room, a, b)
      const late = join(room, { liveSse })
      await converge(room, a, b, late)
    })

    test('awareness: who is there, what it says, who has left', async () => {
      const room = `aware_${liveSse}`
      const options = { liveSse, withAwareness: true }
      const [a, b] = [join(room, options), join(room, { ...options, base: ctx.stack.edgeUrl(1) })]
      await joined(a, b)
      const seen = (of, by) => by.awareness.getStates().get(of.doc.clientID)?.user
      // The awareness stream begins at `now`: what is said before it listens is said again.
      await until(() => {
        a.awareness.setLocalStateField('user', 'alice')
        b.awareness.setLocalStateField('user', 'bob')
        return seen(a, b) === 'alice' && seen(b, a) === 'bob'
      }, { every: 200, what: 'each sees the other' })
      a.awareness.setLocalStateField('user', 'alicia')
      await until(() => seen(a, b) === 'alicia', { what: 'a change is seen' })
      await ctx.db.sql('delete from ydoc_awareness where room = $1 and client_id = $2', [room, String(a.doc.clientID)])
      await until(() => seen(a, b) === undefined, { what: 'a deleted row is somebody who left' })
    })

    test('kill -9 of every service and cut connections in between', async () => {
      const room = `faults_${liveSse}`
      const proxy = await Proxy.start(ctx.stack.edgeUrl(1))
      ctx.cleanup(() => proxy.close())
      const [a, b] = [join(room, { liveSse }), join(room, { liveSse, base: proxy.url })]
      await joined(a, b)
      for (const [n, disturb] of [() => ctx.stack.kill('edge-0'), () => ctx.stack.kill('router-0'), () => ctx.stack.kill('ingest'), () => proxy.cutAll(), () => ctx.stack.kill('router-1')].entries()) {
        for (let k = 0; k < 8; k++) {
          type(a, 'a', n * 10 + k)
          type(b, 'b', n * 10 + k)
        }
        await disturb()
        await ctx.stack.ready()
        type(a, 'x', n)
        await converge(room, a, b)
      }
    })

    test('goes on where it was; the shape is deleted meanwhile', async () => {
      const room = `resumed_${liveSse}`
      const a = join(room, { liveSse })
      const b = join(room, { liveSse })
      await joined(a, b)
      type(a, 'a', 1)
      await converge(room, a, b)
      await until(() => b.resumeState?.document, { what: 'b can go on' })
      b.provider.disconnect()
      type(b, 'offline', 2)
      for (let n = 2; n < 10; n++) type(a, 'a', n)
      const c = join(room, { liveSse, doc: b.doc, resumeState: b.resumeState, base: ctx.stack.edgeUrl(1) })
      await converge(room, a, c)
      const deleted = await ctx.stack.shape({ table: 'ydoc_operations', where: 'room = $1', 'params[1]': room }, { method: 'DELETE' })
      expect(deleted.status).toBe(202)
      type(a, 'after', 3)
      await converge(room, a, c)
    })
  })
}
