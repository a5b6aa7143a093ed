// A proxy between a client and an edge, or on the bus, for what networks do: connections that are cut, slow ones, and ways of different length.
import net from 'node:net'
import { once } from 'node:events'

/** What both sides of the bus say first. */
const isGreeting = (bytes) => bytes.length === 8 && bytes.subarray(0, 4).toString('latin1') === '\0SP\0'

export class Proxy {
  /** `target`: the URL of an edge, or the path of a unix socket; then `path` is another one to listen on. */
  static async start(target, path) {
    const self = new Proxy()
    const { hostname, port } = path ? {} : new URL(target)
    self.target = path ? { path: target } : { host: hostname, port }
    self.held = undefined // while answers are held: those that came
    self.pairs = new Set()
    self.cutAfter = undefined // bytes of an answer
    self.stallAfter = undefined // bytes of an answer: no more of it is passed on
    self.stalled = 0
    self.bytesPerSecond = undefined
    self.cuts = 0
    self.server = net.createServer((client) => self.adopt(client))
    self.server.listen(path ? { path } : { port: 0, host: '127.0.0.1' })
    await once(self.server, 'listening')
    self.url = path ? `ipc://${path}` : `http://127.0.0.1:${self.server.address().port}`
    return self
  }

  adopt(client) {
    const edge = net.connect(this.target)
    const pair = { client, edge, passed: 0 }
    this.pairs.add(pair)
    const end = () => this.cut(pair)
    for (const socket of [client, edge]) socket.on('error', end).on('close', end)
    client.on('data', (bytes) => {
      pair.passed = 0 // of the next answer
      edge.write(bytes)
    })
    edge.on('data', (bytes) => (this.held && !isGreeting(bytes) ? this.held.push([pair, bytes]) : this.pass(pair, bytes)))
  }

  /** Keeps what comes back from now on until release(), so far as its connection lives; on the bus new connections come about all the same. */
  hold() {
    this.held ??= []
  }

  release() {
    const held = this.held ?? []
    this.held = undefined
    for (const [pair, bytes] of held) this.pass(pair, bytes)
  }

  /** Passes on what was held and is `wanted(bytes)`, before what came earlier; goes on keeping. */
  releaseOnly(wanted) {
    const early = this.held.filter(([, bytes]) => wanted(bytes))
    this.held = this.held.filter((one) => !early.includes(one))
    for (const [pair, bytes] of early) this.pass(pair, bytes)
  }

  pass(pair, bytes) {
    const left = (this.cutAfter ?? Infinity) - pair.passed
    pair.passed += bytes.length
    if (pair.passed > (this.stallAfter ?? Infinity)) {
      this.stalled++
      pair.edge.pause()
      return
    }
    if (bytes.length > left) {
      this.cuts++
      pair.client.write(bytes.subarray(0, left), () => this.cut(pair))
      return
    }
    if (!pair.client.write(bytes)) {
      pair.edge.pause()
      pair.client.once('drain', () => pair.edge.resume())
    }
    if (this.bytesPerSecond) {
      pair.edge.pause()
      setTimeout(() => pair.edge.resume(), (bytes.length / this.bytesPerSecond) * 1000)
    }
  }

  cut(pair) {
    if (!this.pairs.delete(pair)) return
    this.held = this.held?.filter(([of]) => of !== pair)
    pair.client.destroy()
    pair.edge.destroy()
  }

  cutAll() {
    for (const pair of [...this.pairs]) this.cut(pair)
  }

  async close() {
    this.cutAll()
    this.server.close()
    await once(this.server, 'close')
  }
}
