#!/usr/bin/env node
// A file that is there before the build, so that npm can link it.
import { existsSync } from 'node:fs';

const program = new URL('../dist/nc2.js', import.meta.url);
if (existsSync(program)) {
  await import(program.href);
} else {
  process.stderr.write('nc2: not built yet: npm run build\n');
  process.exitCode = 2;
}
