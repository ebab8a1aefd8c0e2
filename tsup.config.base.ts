import { defineConfig, type Options } from 'tsup';

/** What every package's build shares: ESM for Node 20, declarations beside it, dependencies left outside. */
export function packageBuild(overrides: Options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'node20',
    platform: 'node',
    dts: true,
    clean: true,
    sourcemap: true,
    splitting: true,
    treeshake: true,
    silent: true,
    ...overrides,
  });
}
