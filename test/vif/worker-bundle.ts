import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

/** A worker's source as one file: no test runner translates what runs on another thread. */
export interface WorkerBundle {
  /** What `new Worker()` takes. */
  readonly file: string;
  remove(): void;
}

export async function bundleWorker(source: URL): Promise<WorkerBundle> {
  const directory = mkdtempSync(join(tmpdir(), 'vif-worker-'));
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
