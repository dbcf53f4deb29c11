import { defineConfig } from 'vitest/config'
import whole from './vitest.config.ts'

/** The tests that mutation testing runs: those of the decisions, and nothing on the wire. */
export default defineConfig({ test: { ...whole.test, include: ['test/{model,planner}/*.test.ts'] } })
