// Random numbers from a seed: the same seed makes the same choices, as far as concurrency lets it.

/** xmur3: a text to 32 bits. */
function mix(text) {
  let h = 1779033703 ^ text.length
  for (let i = 0; i < text.length; i++) {
    h = Math.imul(h ^ text.charCodeAt(i), 3432918353)
    h = (h << 13) | (h >>> 19)
  }
  h = Math.imul(h ^ (h >>> 16), 2246822507)
  h = Math.imul(h ^ (h >>> 13), 3266489909)
  return (h ^ (h >>> 16)) >>> 0
}

export class Rng {
  constructor(seed) {
    this.seed = String(seed)
    this.state = mix(this.seed)
  }

  /** A generator of its own for each party, so that one's number of draws does not change another's. */
  fork(name) {
    return new Rng(`${this.seed}/${name}`)
  }

  /** In [0, 1): mulberry32. */
  real() {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** An integer in [low, high]. */
  int(low, high) {
    return low + Math.floor(this.real() * (high - low + 1))
  }

  chance(p) {
    return this.real() < p
  }

  pick(list) {
    return list[Math.floor(this.real() * list.length)]
  }

  /** One of `choices`, pairs of weight and value. */
  weighted(choices) {
    let at = this.real() * choices.reduce((sum, [weight]) => sum + weight, 0)
    for (const [weight, value] of choices) if ((at -= weight) < 0) return value
    return choices.at(-1)[1]
  }

  text(alphabet, length) {
    let out = ''
    for (let i = 0; i < length; i++) out += alphabet[Math.floor(this.real() * alphabet.length)]
    return out
  }
}
