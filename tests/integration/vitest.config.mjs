import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { ARTIFACTS } from './lib/parties.mjs'
import { deadlineMs } from './lib/wait.mjs'

export default defineConfig({
  test: {
    include: ['*.test.mjs'],
    globalSetup: ['lib/global-setup.mjs'],
    setupFiles: ['lib/each-file.mjs'],
    pool: 'forks',
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    testTimeout: deadlineMs(60000),
    hookTimeout: deadlineMs(60000),
    teardownTimeout: 30000,
    reporters: ['default', 'json'],
    outputFile: { json: join(ARTIFACTS, 'report.json') },
  },
})
