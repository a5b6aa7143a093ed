#!/usr/bin/env node
// Stands in for a service in the tests of the supervisor. Its name (argv[1]) says which; FAKE_<SERVICE>_EXIT makes it refuse to start
// with that status. An edge answers /v1/health and shows its environment at /env.
import { createServer } from 'node:http'
import { basename } from 'node:path'

const service = basename(process.argv[1], '.mjs').replace('sluice-', '')
const refuse = process.env[`FAKE_${service.toUpperCase()}_EXIT`]
if (refuse) {
  console.error(`fake ${service} refuses`)
  process.exit(Number(refuse))
}
const server = createServer((req, res) => {
  const body = req.url === '/env' ? JSON.stringify({ pid: process.pid, env: process.env }) : '{"status":"active"}'
  res.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(body)
})
server.listen(service === 'edge' ? Number(process.env.SLUICE_HTTP_PORT) : 0, '127.0.0.1')
process.on('SIGTERM', () => {
  console.error(`fake ${service} drained`)
  process.exit(0)
})
