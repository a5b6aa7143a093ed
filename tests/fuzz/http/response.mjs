// A strict reader of HTTP/1.1 responses: whatever a client could read in two ways is an error.

const NO_BODY = new Set([204, 304])
const STATUS_LINE = /^HTTP\/1\.1 ([1-5]\d\d) [\x20-\x7e]*$/
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+): ?([\x20-\x7e\x80-\xff\t]*)$/

function readHead(text, at) {
  const end = text.indexOf('\r\n\r\n', at)
  if (end < 0) return null
  const [line, ...lines] = text.slice(at, end).split('\r\n')
  const status = STATUS_LINE.exec(line)
  if (!status) throw new Error(`a status line that is none: ${JSON.stringify(line.slice(0, 200))}`)
  const headers = new Map()
  for (const header of lines) {
    const parts = HEADER.exec(header)
    if (!parts) throw new Error(`a header that is none: ${JSON.stringify(header.slice(0, 200))}`)
    const name = parts[1].toLowerCase()
    if (name === 'x-injected') throw new Error('a header of the client’s making')
    if (['content-length', 'transfer-encoding'].includes(name) && headers.has(name)) throw new Error(`two headers ${name}`)
    headers.set(name, parts[2])
  }
  return { status: Number(status[1]), headers, body: end + 4 }
}

/** Where a chunked body ends; null when it is not whole. */
function endOfChunks(text, at) {
  for (;;) {
    const line = text.indexOf('\r\n', at)
    if (line < 0) return null
    const size = text.slice(at, line)
    if (!/^[0-9a-fA-F]{1,8}$/.test(size)) throw new Error(`a chunk’s size that is none: ${JSON.stringify(size.slice(0, 40))}`)
    const end = line + 2 + parseInt(size, 16)
    if (text.length < end + 2) return null
    if (text.slice(end, end + 2) !== '\r\n') throw new Error('a chunk that is longer than it says')
    if (/^0+$/.test(size)) return end + 2
    at = end + 2
  }
}

/** Where the body ends; null when it is not whole. */
function endOfBody(text, head, mayBeHead) {
  const length = head.headers.get('content-length'), coding = head.headers.get('transfer-encoding')
  if (length !== undefined && coding !== undefined) throw new Error('a length and a transfer coding')
  if (NO_BODY.has(head.status) || head.status < 200) return head.body
  if (length !== undefined && !/^\d{1,15}$/.test(length)) throw new Error(`content-length ${length}`)
  if (mayBeHead && (head.body === text.length || text.startsWith('HTTP/1.1 ', head.body))) return head.body
  if (coding !== undefined) {
    if (coding !== 'chunked') throw new Error(`transfer-encoding ${coding}`)
    return endOfChunks(text, head.body)
  }
  if (length === undefined) return { untilClose: true }
  return head.body + Number(length) <= text.length ? head.body + Number(length) : null
}

/**
 * The statuses of all responses in `text` (latin1). `whole`: the server has said all it had to say, so the last one must not be
 * cut off. `mayBeHead`: some request may have been a HEAD, whose answer names a length and has no body. Throws what is wrong.
 */
export function readResponses(text, { whole, mayBeHead }) {
  const statuses = []
  for (let at = 0; at < text.length; ) {
    const head = readHead(text, at)
    const end = head && endOfBody(text, head, mayBeHead)
    if (end === null) {
      if (whole) throw new Error(`a response that is cut off: ${JSON.stringify(text.slice(at, at + 300))}`)
      return statuses
    }
    statuses.push(head.status)
    if (end.untilClose) return statuses
    at = end
  }
  return statuses
}
