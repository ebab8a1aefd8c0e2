// Compiles kernels/ into src/kernels.generated.ts.
import { fileURLToPath } from 'node:url';
import { buildKernels } from '../../hypervisor/kernels/build.mjs';

/** vitest `globalSetup`: tests run from a clean checkout without a build. */
export default async function setup() {
  await buildKernels(import.meta.url, 'src/kernels.generated.ts');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup();
