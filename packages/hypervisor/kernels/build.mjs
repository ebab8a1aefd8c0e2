// Compiles kernels/*.wat into src/machine/kernels.generated.ts: one base64 constant per kernel file. Writes only when
// something changed, so that watchers and parallel test runs are not disturbed.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import loadWabt from 'wabt';

const kernels = dirname(fileURLToPath(import.meta.url));
const generated = join(kernels, '..', 'src', 'machine', 'kernels.generated.ts');

export async function buildKernels() {
  const wabt = await loadWabt();
  const features = { threads: true, bulk_memory: true, simd: true };
  const lines = ['// Generated from packages/hypervisor/kernels by `npm run kernels`.'];
  for (const file of readdirSync(kernels)
    .filter((name) => name.endsWith('.wat'))
    .sort()) {
    const source = readFileSync(join(kernels, file), 'utf8');
    const module = wabt.parseWat(file, source, features);
    module.validate(features);
    const { buffer } = module.toBinary({});
    module.destroy();
    lines.push(
      `export const ${file.replace('.wat', '')}Kernel = '${Buffer.from(buffer).toString('base64')}';`,
    );
  }
  const text = `${lines.join('\n')}\n`;
  if (existsSync(generated) && readFileSync(generated, 'utf8') === text) return;
  const partial = `${generated}.${process.pid}`;
  writeFileSync(partial, text);
  renameSync(partial, generated);
}

/** vitest `globalSetup`: tests run from a clean checkout without a build. */
export default async function setup() {
  await buildKernels();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildKernels();
