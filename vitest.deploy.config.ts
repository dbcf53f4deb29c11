import { defineConfig } from 'vitest/config'
import whole from './vitest.config.ts'

/** Deploys to an AWS account on loopback. It needs Python and half a minute of installing, so it is no part of `npm test`. */
export default defineConfig({ test: { ...whole.test, include: ['test/deploy/*.test.ts'], exclude: [], testTimeout: 300_000, hookTimeout: 600_000 } })
