import { join } from 'node:path'
import { defineConfig } from 'vitest/config'
import { ARTIFACTS } from './lib/parties.mjs'

const asan = process.env.SLUICE_VARIANT === 'asan'

export default defineConfig({
  test: {
    include: ['*.test.mjs'],
    globalSetup: ['lib/global-setup.mjs'],
    setupFiles: ['lib/each-file.mjs'],
    pool: 'forks',
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    testTimeout: asan ? 120000 : 60000,
    hookTimeout: asan ? 120000 : 60000,
    teardownTimeout: 30000,
    reporters: ['default', 'json'],
    outputFile: { json: join(ARTIFACTS, 'report.json') },
  },
})
