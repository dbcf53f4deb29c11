import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They need Python: vitest.deploy.config.ts.
    exclude: ['test/deploy/**'],
    testTimeout: 60_000,
    restoreMocks: true,
    // Half of two cores would be one.
    maxWorkers: '100%',
  },
})
