// Where to read and where to write. `?api=` and `?sync=` win; the write server, when it serves the page itself,
// answers config.json; a page that an edge serves writes to the same host, port + 100.

const DEMO_PORT_ABOVE = 100

async function served() {
  const response = await fetch('config.json').catch(() => undefined)
  return response?.ok ? response.json().catch(() => ({})) : {}
}

function defaultApi() {
  const url = new URL(location.origin)
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  url.port = String(port + DEMO_PORT_ABOVE <= 65535 ? port + DEMO_PORT_ABOVE : port - DEMO_PORT_ABOVE)
  return url.origin
}

export async function endpoints() {
  const query = new URLSearchParams(location.search)
  const config = query.has('api') ? {} : await served()
  return {
    sync: query.get('sync') ?? config.sync ?? location.origin,
    api: query.get('api') ?? config.api ?? defaultApi(),
  }
}
