// Clients that are no good: they read a little at a time, or nothing, or never finish what they ask.
import net from 'node:net'
import { until } from '../../lib/wait.mjs'

const open = (port) =>
  new Promise((resolve, reject) => {
    const socket = net.connect({ port, host: '127.0.0.1' })
    socket.once('connect', () => {
      socket.on('error', () => {})
      resolve(socket)
    })
    socket.once('error', reject)
  })

/** `count` connections, 200 at a time. */
export async function openMany(port, count) {
  const sockets = []
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(200, count - sockets.length) }, () => open(port))
    sockets.push(...(await Promise.all(some)))
  }
  return sockets
}

/** Sends a GET of `target(i)` on each, and reads `bytesPerSecond` of each answer until stop(). */
export class SlowReaders {
  constructor(sockets, target, bytesPerSecond) {
    this.sockets = sockets
    this.read = 0
    sockets.forEach((socket, i) => {
      socket.on('readable', () => {}) // not flowing: only what is asked for is taken
      socket.write(`GET ${target(i)} HTTP/1.1\r\nhost: slow\r\n\r\n`)
    })
    this.timer = setInterval(() => this.sip(bytesPerSecond), 1000)
  }

  sip(bytes) {
    for (const socket of this.sockets) this.read += socket.read(Math.min(bytes, socket.readableLength))?.length ?? 0
  }

  /** Until each has had something. */
  async allServed() {
    await until(() => this.sockets.every((s) => s.bytesRead > 0 || s.destroyed), { within: 60000, what: () => `${this.sockets.filter((s) => !s.bytesRead).length} slow readers have had nothing` })
  }

  stop() {
    clearInterval(this.timer)
    for (const socket of this.sockets) socket.destroy()
  }
}
