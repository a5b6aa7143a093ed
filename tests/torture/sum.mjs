// Sums of hashes: a set of rows or a run of entries is compared in one step, whatever its size. Adding and removing commute, so
// what a transaction does to a set is one number.
import { hash } from 'node:crypto'

const MODULUS = 2 ** 48

export const hash48 = (text) => hash('md5', text, 'buffer').readUIntBE(0, 6)
export const add = (a, b) => (a + b) % MODULUS
export const sub = (a, b) => (a - b + MODULUS) % MODULUS

/** A row as a client has it: its key and the selected columns, sorted by name. */
export function rowHash(key, columns, values) {
  let text = key
  for (const name of columns) {
    const value = values[name]
    text += value === null ? '\u0001' : `\u0002${value}`
  }
  return hash48(text)
}

/** An object of columns, whatever order they come in. */
export function canonical(values) {
  if (!values) return ''
  let text = ''
  for (const name of Object.keys(values).sort()) text += values[name] === null ? `${name}\u0001` : `${name}\u0002${values[name]}\u0003`
  return text
}
