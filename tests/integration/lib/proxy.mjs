// A TCP proxy between a client and an edge, for what networks do: connections that are cut, and slow ones.
import net from 'node:net'
import { once } from 'node:events'

export class Proxy {
  /** `target`: the URL of an edge. */
  static async start(target) {
    const self = new Proxy()
    self.target = new URL(target)
    self.pairs = new Set()
    self.cutAfter = undefined // bytes of an answer
    self.stallAfter = undefined // bytes of an answer: no more of it is passed on
    self.stalled = 0
    self.bytesPerSecond = undefined
    self.cuts = 0
    self.server = net.createServer((client) => self.adopt(client))
    self.server.listen(0, '127.0.0.1')
    await once(self.server, 'listening')
    self.url = `http://127.0.0.1:${self.server.address().port}`
    return self
  }

  adopt(client) {
    const edge = net.connect({ host: this.target.hostname, port: this.target.port })
    const pair = { client, edge, passed: 0 }
    this.pairs.add(pair)
    const end = () => this.cut(pair)
    for (const socket of [client, edge]) socket.on('error', end).on('close', end)
    client.on('data', (bytes) => {
      pair.passed = 0 // of the next answer
      edge.write(bytes)
    })
    edge.on('data', (bytes) => this.pass(pair, bytes))
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
