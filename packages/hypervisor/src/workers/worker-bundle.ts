/**
 * For tests: runs a TypeScript file on a worker thread, where no test runner translates it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

export interface WorkerBundle {
  /** What `new Worker()` takes. */
  readonly file: string;
  remove(): void;
}

/** Bundles a worker's source with everything of the repository it imports. */
export async function bundleWorker(source: URL): Promise<WorkerBundle> {
  const directory = mkdtempSync(join(tmpdir(), 'worker-bundle-'));
  await build({
    config: false,
    entry: { worker: fileURLToPath(source) },
    outDir: directory,
    format: ['cjs'],
    platform: 'node',
    target: 'node20',
    noExternal: [/.*/],
    silent: true,
    esbuildOptions(options) {
      options.conditions = ['source'];
    },
  });
  return {
    file: join(directory, 'worker.cjs'),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}
