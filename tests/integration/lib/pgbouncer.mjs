// pgbouncer in transaction mode as Debian has it: it refuses start-up parameters that it does not know.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { addParty, logPath } from './parties.mjs'
import { freePorts } from './ports.mjs'
import { end, start } from './process.mjs'

const program = ['/usr/sbin/pgbouncer', '/usr/bin/pgbouncer'].find(existsSync)

export class PgBouncer {
  static available = program !== undefined

  /** In front of `postgres` (postgres.mjs). */
  static async start(postgres) {
    const self = new PgBouncer()
    self.dir = mkdtempSync('/tmp/sluice-pool-')
    self.port = await freePorts()
    self.log = logPath('pgbouncer')
    addParty('pgbouncer', self.log)
    writeFileSync(join(self.dir, 'users'), '"postgres" "wavelet"\n')
    writeFileSync(join(self.dir, 'ini'), `[databases]\n* = host=127.0.0.1 port=${postgres.port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = ${self.port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = ${self.dir}/users\npool_mode = transaction\ndefault_pool_size = 2\nserver_login_retry = 1\n`)
    execFileSync('chmod', ['-R', 'a+rX', self.dir])
    self.launch()
    return self
  }

  /** Should it die by itself, as Debian's does at times when a cancel request comes late, it is started again. */
  launch() {
    const process_ = start(program, [join(this.dir, 'ini')], { log: this.log, user: process.getuid() === 0 ? 'postgres' : undefined, cwd: '/' })
    this.process = process_
    process_.exited.then(() => this.process === process_ && this.launch())
  }

  stop() {
    const process_ = this.process
    this.process = undefined
    return end(process_, 'SIGINT', 10000, 'pgbouncer')
  }

  async destroy() {
    await this.stop()
    rmSync(this.dir, { recursive: true, force: true })
  }

  /** How many connections it has been asked for. */
  logins() {
    return readFileSync(this.log, 'utf8').split('\n').filter((line) => /login attempt/.test(line)).length
  }
}
