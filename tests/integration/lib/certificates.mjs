// Certificates for the tests, made by openssl(1) in a directory of their own.
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })

export class Authority {
  constructor(dir, name) {
    this.dir = dir
    this.name = name
    this.file = join(dir, `${name}.pem`)
    this.key = join(dir, `${name}.key`)
    openssl('req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', this.key, '-out', this.file, '-subj', `/CN=${name}`, '-days', '2')
  }

  /** A certificate for a host name; `days` below zero: one that has ended. */
  issue(host, { days = 2, name = `${this.name}-${host}-${days}` } = {}) {
    const [cert, key, request, ext] = ['pem', 'key', 'csr', 'ext'].map((end) => join(this.dir, `${name}.${end}`))
    writeFileSync(ext, `subjectAltName=DNS:${host}\n`)
    openssl('req', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', request, '-subj', `/CN=${host}`)
    openssl('x509', '-req', '-in', request, '-CA', this.file, '-CAkey', this.key, '-CAcreateserial', '-out', cert, '-days', String(days), '-extfile', ext)
    return { ca: this.file, cert, key }
  }
}
