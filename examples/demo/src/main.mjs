// The page: reads the table `todos` through Sluice, writes through the API of server.mjs. It never
// shows a write of its own before it comes back through Postgres.
import { Shape, ShapeStream } from '@electric-sql/client'
import { endpoints } from './config.mjs'
import { List } from './list.mjs'

const byId = (id) => document.getElementById(id)
const { sync, api } = await endpoints()

function showError(text) {
  byId('error').textContent = text
  byId('error').hidden = !text
}

async function send(method, path, body) {
  try {
    const response = await fetch(`${api}/api/todos${path}`, {
      method,
      headers: body ? { 'content-type': 'application/json' } : {},
      body: body && JSON.stringify(body),
    })
    if (!response.ok) throw new Error((await response.json().catch(() => ({}))).error ?? `status ${response.status}`)
    showError('')
    return true
  } catch (error) {
    showError(`The write was not made: ${error.message} (write server ${api})`)
    return false
  }
}

const list = new List(byId('list'), {
  toggle: (id, done) => send('PATCH', `/${id}`, { done }),
  edit: (id, title) => send('PATCH', `/${id}`, { title }),
  remove: (id) => send('DELETE', `/${id}`),
})

byId('add').addEventListener('submit', async (event) => {
  event.preventDefault()
  const input = byId('title')
  const title = input.value.trim()
  if (!title) return
  input.value = ''
  if (!(await send('POST', '', { title })) && !input.value) input.value = title
})

function setState(state, text) {
  byId('state').dataset.state = state
  byId('state').textContent = text
}

const stream = new ShapeStream({
  url: `${sync}/v1/shape`,
  params: { table: 'todos' },
  backoffOptions: { initialDelay: 200, maxDelay: 3000, multiplier: 2, maxRetries: Infinity, onFailedAttempt: () => setState('offline', 'reconnecting') },
  onError: (error) => {
    setState('offline', 'not connected')
    showError(`${sync} says: ${error.message}`)
  },
})

new Shape(stream).subscribe(({ rows }) => {
  list.show(rows)
  byId('empty').hidden = rows.length > 0
  byId('count').textContent = rows.length === 1 ? '1 row' : `${rows.length} rows`
})
stream.subscribe(() => {
  byId('offset').textContent = stream.lastOffset
  setState(stream.isUpToDate ? 'live' : 'connecting', stream.isUpToDate ? 'live' : 'catching up')
})
