// What @electric-sql/y-electric needs besides an edge: tables, and an endpoint that stores what providers send.
import { createServer } from 'node:http'
import { once } from 'node:events'

export const TABLES = `create table ydoc_operations (id bigserial primary key, room text not null, op bytea not null);
  create table ydoc_awareness (client_id text, room text, op bytea not null, updated timestamptz not null default now(), primary key (client_id, room))`

/** PUT /operations?room= and PUT /awareness?room=&client_id=: the body is the update. */
export async function writeEndpoint(database) {
  const session = await database.session()
  const statements = {
    '/operations': ({ room, op }) => session.query('insert into ydoc_operations (room, op) values ($1, $2)', [room, op]),
    '/awareness': ({ room, client_id, op }) => session.query(
      'insert into ydoc_awareness (client_id, room, op) values ($1, $2, $3) on conflict (client_id, room) do update set op = $3, updated = now()', [client_id, room, op]),
  }
  const server = createServer(async (req, res) => {
    const { pathname, searchParams } = new URL(req.url, 'http://x')
    const pieces = []
    for await (const piece of req) pieces.push(piece)
    try {
      await statements[pathname]({ ...Object.fromEntries(searchParams), op: Buffer.concat(pieces) })
      res.writeHead(204).end()
    } catch (error) {
      res.writeHead(500).end(String(error))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
