import { defineConfig } from 'vitest/config';

/** Tests read the sources of every package (export condition `source`), so they need no build. */
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'], externalConditions: ['source'] } },
  test: {
    environment: 'node',
    pool: 'forks',
    testTimeout: 60_000,
    passWithNoTests: true,
  },
});
