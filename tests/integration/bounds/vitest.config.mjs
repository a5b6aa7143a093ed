import { mergeConfig } from 'vitest/config'
import base from '../vitest.config.mjs'

/** One after the other: they measure. */
export default mergeConfig(base, { test: { fileParallelism: false } })
