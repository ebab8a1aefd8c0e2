// Compiles a package's kernels/ into TypeScript: one base64 constant per directory. The files of a directory hold
// functions and globals, one idea each; together they are one module over the machine memory, so that they share them; calls
// are compiled away (inline.mjs).
// Writes only when something changed, so that watchers and parallel test runs are not disturbed.
import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import loadWabt from 'wabt';
import { inlined } from './inline.mjs';

const OPENING = '(module (import "machine" "memory" (memory 1 65536 shared))\n';
const FEATURES = { threads: true, bulk_memory: true, simd: true };

/** The joined text of a kernel, and which line of it is whose. */
function joined(kernels, kernel) {
  const origins = [`${kernel}:0`];
  let text = OPENING;
  for (const file of readdirSync(join(kernels, kernel)).sort()) {
    const lines = readFileSync(join(kernels, kernel, file), 'utf8')
      .trimEnd()
      .split('\n');
    for (const [index] of lines.entries()) origins.push(`${kernel}/${file}:${index + 1}`);
    text += `${lines.join('\n')}\n`;
  }
  return { text: `${text})`, origins };
}

function binaryOf(wabt, name, text) {
  const module = wabt.parseWat(name, text, FEATURES);
  module.validate(FEATURES);
  const { buffer } = module.toBinary({});
  module.destroy();
  return Buffer.from(buffer);
}

function compiled(wabt, kernels, kernel) {
  const { text, origins } = joined(kernels, kernel);
  try {
    // What is wrong is found before anything is moved.
    binaryOf(wabt, kernel, text);
  } catch (error) {
    // wabt names lines of the joined text.
    const placed = new RegExp(`\\b${kernel}:(\\d+)`, 'g');
    throw new Error(
      error.message.replace(placed, (_, line) => origins[line - 1] ?? kernel),
      { cause: error },
    );
  }
  return binaryOf(wabt, `${kernel}, inlined`, inlined(text)).toString('base64');
}

/** @param script of the package, in its kernels/. @param generated path of the result, from the package. */
export async function buildKernels(script, generated) {
  const kernels = dirname(fileURLToPath(script));
  const target = join(kernels, '..', generated);
  const wabt = await loadWabt();
  const names = readdirSync(kernels, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
  const constants = names.map((name) => `export const ${name}Kernel = '${compiled(wabt, kernels, name)}';\n`);
  const text = `// Generated from the package's kernels/ by \`npm run kernels\`.\n${constants.join('')}`;
  if (existsSync(target) && readFileSync(target, 'utf8') === text) return;
  const partial = `${target}.${process.pid}`;
  writeFileSync(partial, text);
  renameSync(partial, target);
}

/** vitest `globalSetup`: tests run from a clean checkout without a build. */
export default async function setup() {
  await buildKernels(import.meta.url, 'src/machine/kernels.generated.ts');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup();
