// Runs in every worker before a file's tests: logs are kept of what failed.
import { beforeEach } from 'vitest'
import { collectLogs } from './parties.mjs'

beforeEach(({ onTestFailed }) => {
  onTestFailed(({ task }) => {
    const dir = collectLogs(task.name)
    console.error(`logs of "${task.name}": ${dir}`)
  })
})
