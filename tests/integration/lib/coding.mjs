// Content codings, undone.
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { execFileSync } from 'node:child_process'

export const CODINGS = ['gzip', 'br', 'zstd']

const decoders = { gzip: gunzipSync, br: brotliDecompressSync, zstd: (bytes) => execFileSync('zstd', ['-dc'], { input: bytes }) }

/** The text of an answer, whatever its coding. */
export function decoded({ headers, buffer }) {
  const coding = headers['content-encoding']
  return (coding ? decoders[coding](buffer) : buffer).toString()
}
