import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

/** A worker's source, translated with everything of the repository it imports: no test runner does that for threads. */
export interface BundledWorker {
  /** What `new Worker()` takes. */
  readonly file: string;
  remove(): void;
}

export async function bundledWorker(source: URL): Promise<BundledWorker> {
  const directory = mkdtempSync(join(tmpdir(), 'nc2-worker-'));
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
