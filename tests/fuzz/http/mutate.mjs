// What makes odd requests from sound ones. Everything comes from one seeded generator: the same seed gives the same bytes.

/** A small generator of 32 bits of state (xorshift); `below(n)` is a whole number from 0. */
export function generator(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>>= 0)
  }
  for (let i = 0; i < 8; i++) next()
  const below = (n) => next() % n
  return { below, chance: (p) => next() / 2 ** 32 < p, pick: (list) => list[below(list.length)] }
}

const cut = (bytes, from, to, middle = Buffer.alloc(0)) => Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)])
const some = (r, most) => Buffer.from(Array.from({ length: 1 + r.below(most) }, () => r.below(256)))

/** A part of the bytes: from and to. */
function span(r, bytes, most = 64) {
  const from = r.below(bytes.length + 1)
  return [from, Math.min(bytes.length, from + r.below(most))]
}

/** Where a header line may begin. */
function lineStart(r, bytes) {
  const starts = []
  for (let at = bytes.indexOf('\r\n'); at >= 0; at = bytes.indexOf('\r\n', at + 2)) starts.push(at + 2)
  return starts.length ? r.pick(starts) : 0
}

const mutations = [
  (r, b) => cut(b, ...span(r, b, 8), some(r, 8)),
  (r, b) => cut(b, ...span(r, b)),
  (r, b, w) => { const at = r.below(b.length + 1); return cut(b, at, at, r.pick(w.words)) },
  (r, b, w) => { const at = r.below(b.length + 1); return cut(b, at, at, r.pick(w.words)) },
  (r, b, w) => cut(b, ...span(r, b, 16), r.pick(w.words)),
  (r, b, w) => { const at = lineStart(r, b); return cut(b, at, at, r.pick(w.words)) },
  (r, b) => { const [from, to] = span(r, b); return cut(b, to, to, b.subarray(from, to)) },
  (r, b) => { const [from, to] = span(r, b, 8); return cut(b, from, to, Buffer.concat(Array(1 + r.below(1500)).fill(b.subarray(from, to)))) },
  (r, b) => { const at = r.below(b.length + 1); return cut(b, at, at, Buffer.alloc(r.pick([255, 4095, 9990, 10010, 20000, 70000]), r.pick(['a', '%', ' ', '(', 'x: y\r\n', '%00']))) },
  (r, b) => { if (!b.length) return b; const c = Buffer.from(b); c[r.below(c.length)] ^= 1 << r.below(8); return c },
  (r, b, w) => { const other = r.pick(w.corpus); return cut(b, ...span(r, b, 200), other.subarray(...span(r, other, 200))) },
  (r, b) => Buffer.from(b.toString('latin1').replaceAll('\r\n', r.pick(['\n', '\r', '\r\r\n', '\r\n '])), 'latin1'),
]

/** The bytes of one connection: some requests, most of them bent. `words`, `corpus`: buffers. */
export function connectionBytes(r, world) {
  const requests = []
  for (let n = 1 + (r.chance(0.3) ? r.below(5) : 0); n > 0; n--) {
    let bytes = r.pick(world.corpus)
    for (let m = r.chance(0.1) ? 0 : 1 + r.below(5); m > 0; m--) bytes = r.pick(mutations)(r, bytes, world)
    requests.push(bytes)
  }
  return Buffer.concat(requests).subarray(0, 1 << 20)
}

/** The same bytes in the pieces in which they are sent. */
export function pieces(r, bytes) {
  if (r.chance(0.5)) return [bytes]
  const list = []
  for (let at = 0; at < bytes.length && list.length < 40; ) {
    const to = list.length === 39 ? bytes.length : at + 1 + r.below(r.chance(0.5) ? 8 : bytes.length)
    list.push(bytes.subarray(at, to))
    at = to
  }
  return list
}
