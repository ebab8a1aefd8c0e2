import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

/** Compiles the WebAssembly kernels, which are generated and not kept in the repository. */
const kernels = ['hypervisor', 'netback', 'netchannel2-link'].map((name) =>
  fileURLToPath(new URL(`./packages/${name}/kernels/build.mjs`, import.meta.url)),
);

/** Tests read the sources of every package (export condition `source`), so they need no build. */
export default defineConfig({
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'], externalConditions: ['source'] } },
  test: {
    environment: 'node',
    globalSetup: kernels,
    pool: 'forks',
    testTimeout: 60_000,
    passWithNoTests: true,
  },
});
