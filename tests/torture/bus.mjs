// The bus between the services over TCP, each of its addresses behind a proxy that can cut, hold, delay and reorder.
import net from 'node:net'
import { once } from 'node:events'
import { freePorts } from '../integration/lib/ports.mjs'
import { addEnvironment } from './programs.mjs'

/** What goes one way through a connection, in order, each piece when its delay is over. */
class Flow {
  constructor(link, from, to) {
    Object.assign(this, { link, from, to, queue: [], due: 0 })
    from.on('data', (bytes) => this.take(bytes))
    from.on('close', () => this.finish())
    to.on('drain', () => this.move())
  }

  take(bytes) {
    this.due = Math.max(this.due, Date.now() + this.link.delayMs)
    this.queue.push({ bytes, due: this.due })
    this.move()
  }

  move() {
    clearTimeout(this.timer)
    while (this.queue.length && !this.link.held && !this.to.writableNeedDrain && !this.to.destroyed) {
      const wait = this.queue[0].due - Date.now()
      if (wait > 0) {
        this.timer = setTimeout(() => this.move(), wait)
        return
      }
      this.to.write(this.queue.shift().bytes)
    }
    if (this.queue.length) this.from.pause()
    else this.from.resume()
    if (!this.queue.length && this.finished) this.to.end()
  }

  /** What is under way arrives, then the other side hears of the end. */
  finish() {
    this.finished = true
    this.move()
  }
}

/** One address of a service, as others reach it. */
export class Link {
  static async open(name, port, target) {
    const self = new Link()
    Object.assign(self, { name, target, delayMs: 0, held: false, refusing: false, pairs: new Set() })
    self.server = net.createServer((dialer) => self.adopt(dialer))
    self.server.listen(port, '127.0.0.1')
    await once(self.server, 'listening')
    return self
  }

  adopt(dialer) {
    if (this.refusing) return dialer.destroy()
    const listener = net.connect({ host: '127.0.0.1', port: this.target, noDelay: true })
    const pair = { dialer, listener, flows: [new Flow(this, dialer, listener), new Flow(this, listener, dialer)] }
    this.pairs.add(pair)
    for (const socket of [dialer, listener]) {
      socket.on('error', () => {})
      socket.on('close', () => dialer.destroyed && listener.destroyed && this.pairs.delete(pair))
    }
    return undefined
  }

  cut() {
    for (const { dialer, listener } of this.pairs) {
      dialer.destroy()
      listener.destroy()
    }
  }

  /** Whoever dialled hears of the end at once and comes again; what it had sent arrives later than what it sends then. */
  overtake() {
    for (const { dialer } of this.pairs) dialer.destroy()
  }

  move() {
    for (const { flows } of this.pairs) for (const flow of flows) flow.move()
  }

  hold() {
    this.held = true
  }

  heal() {
    Object.assign(this, { delayMs: 0, held: false, refusing: false })
    this.move()
  }

  close() {
    this.cut()
    this.server.close()
  }
}

const address = (port) => `tcp://127.0.0.1:${port}`

export class Bus {
  /** Has the services of `routers` routers and of `programs` (programs.mjs) speak through links. */
  static async open(programs, routers) {
    const self = new Bus()
    const each = Array.from({ length: routers }, (_, i) => [`notices of router-${i}`, `fetch of router-${i}`])
    const names = ['changes', 'control', ...each.flat()]
    const first = await freePorts(2 * names.length)
    const inner = (name) => first + names.indexOf(name)
    const outer = (name) => first + names.length + names.indexOf(name)
    self.links = await Promise.all(names.map((name) => Link.open(name, outer(name), inner(name))))
    const through = (list) => list.map((name) => address(outer(name))).join()
    addEnvironment(programs, 'ingest', { SLUICE_INGEST_CHANGES_URL: address(inner('changes')), SLUICE_INGEST_CONTROL_URL: address(inner('control')) })
    each.forEach(([notices, fetch], i) => addEnvironment(programs, `router-${i}`, {
      SLUICE_ROUTER_NOTICES_URL: address(inner(notices)), SLUICE_ROUTER_FETCH_URL: address(inner(fetch)),
    }))
    addEnvironment(programs, 'all', {
      SLUICE_INGEST_CHANGES_URLS: through(['changes']), SLUICE_INGEST_CONTROL_URLS: through(['control']),
      SLUICE_ROUTER_NOTICES_URLS: through(each.map(([notices]) => notices)), SLUICE_ROUTER_FETCH_URLS: through(each.map(([, fetch]) => fetch)),
    })
    return self
  }

  close() {
    for (const link of this.links) link.close()
  }
}
