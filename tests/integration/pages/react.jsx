// Rows of a table by useShape, and a subset by a changes-only stream: what an application would do.
import { createRoot } from 'react-dom/client'
import { useShape } from '@electric-sql/react'

const { url, liveSse } = window.settings

function Rows({ where }) {
  const { data, isLoading, isError, error } = useShape({ url, liveSse, params: { table: 'todos', ...(where && { where }) } })
  if (isError) return <p id="error">{String(error)}</p>
  if (isLoading) return <p>loading</p>
  return (
    <ul data-where={where ?? 'all'}>
      {data.toSorted((a, b) => a.id - b.id).map((row) => <li key={row.id} data-id={row.id} data-done={row.done}>{row.title}</li>)}
    </ul>
  )
}

function Count() {
  const count = useShape({ url, liveSse, params: { table: 'todos' }, selector: ({ data }) => data.length })
  return <p id="count">{count}</p>
}

createRoot(document.getElementById('root')).render(<><Count /><Rows /><Rows where="done" /></>)
