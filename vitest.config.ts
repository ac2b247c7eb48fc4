import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['**/*.test.ts'],
    exclude: ['node_modules/**', 'dist/**'],
    // Native libraries (sodium, llama.cpp, SQLite) want a process of their own, not a worker thread.
    pool: 'forks',
    maxWorkers: 2,
    reporters: ['default', './house/test-reporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
