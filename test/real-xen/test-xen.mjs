#!/usr/bin/env node
/** `npm run test:xen`: makes the lab where it is missing, runs every job on real Xen and reports like a test run. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

const here = fileURLToPath(new URL('.', import.meta.url));
const lab = join(here, 'lab');
const labDirectory =
  process.env.XEN_LAB_DIR ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'netchannel2-real-xen');

/** Each job is one boot of the machine. Seconds are for an idle machine of two cores, with room. */
const JOBS = JSON.parse(readFileSync(join(here, 'jobs.json'), 'utf8'));

const TOOLS = [
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['busybox', 'busybox-static'],
  ['cpio', 'cpio'],
  ['python3', 'python3'],
  ['strip', 'binutils'],
  ['apt-get', 'apt (a Debian 12 machine)'],
  ['dpkg-deb', 'dpkg (a Debian 12 machine)'],
];

function missing() {
  const found = (tool) => spawnSync('sh', ['-c', `command -v ${tool}`]).status === 0;
  return TOOLS.filter(([tool]) => !found(tool)).map(([tool, provider]) => `  ${tool}: install ${provider}`);
}

function script(name, ...words) {
  const result = spawnSync('bash', [join(lab, name), ...words], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, XEN_LAB_DIR: labDirectory },
  });
  if (result.status !== 0) throw new Error(`${name} failed`);
}

/** The image is built anew when what it is made of has changed. */
function imageIsFresh() {
  const image = join(labDirectory, 'image', 'dom0.cpio');
  if (!existsSync(image)) return false;
  const built = statSync(image).mtimeMs;
  const sources = readdirSync(lab, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return sources.every((entry) => statSync(join(entry.parentPath ?? entry.path, entry.name)).mtimeMs < built);
}

async function bundle(job, directory) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const entry = Object.fromEntries(
    [job.name, ...(job.programs ?? [])].map((name) => [
      name,
      existsSync(join(here, 'jobs', `${name}.job.ts`))
        ? join(here, 'jobs', `${name}.job.ts`)
        : join(here, '../../packages/cli/src', `${name}.ts`),
    ]),
  );
  await build({
    entry,
    format: ['esm'],
    outExtension: () => ({ js: '.mjs' }),
    target: 'node20',
    platform: 'node',
    outDir: join(directory, 'bin'),
    noExternal: [/.*/],
    external: ['koffi'],
    config: false,
    silent: true,
    clean: true,
    splitting: false,
    removeNodeProtocol: false,
    dts: false,
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    esbuildOptions(options) {
      options.conditions = ['source', 'import', 'node'];
      options.alias = { vitest: join(here, 'runner/vitest-in-dom0.ts') };
    },
  });
  writeFileSync(join(directory, 'package.json'), readFileSync(join(here, '../../packages/cli/package.json')));
  writeFileSync(
    join(directory, 'run.sh'),
    `#!/bin/bash
export NO_COLOR=1
node --test-force-exit --test-reporter=spec --test-reporter-destination=stdout \\
  --test-reporter=tap --test-reporter-destination=/out/report.tap bin/${job.name}.mjs
`,
  );
}

/** Tests of a TAP report, those without tests below them only. */
function readReport(text) {
  const tests = [];
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    const match = /^( *)(not )?ok \d+ - (.*?)( # (SKIP|TODO).*)?$/.exec(line);
    if (match === null) return;
    const isSuite = lines.slice(index, index + 5).some((next) => /type: 'suite'/.test(next));
    if (!isSuite) tests.push({ name: match[3], ok: match[2] === undefined });
  });
  return tests;
}

function boot(job, directory) {
  const child = spawn('bash', [join(lab, 'boot.sh'), directory, String(job.seconds), job.name], {
    stdio: ['ignore', process.env.XEN_LAB_VERBOSE ? 'inherit' : 'ignore', 'inherit'],
    env: {
      ...process.env,
      XEN_LAB_DIR: labDirectory,
      XEN_ARGS: job.xen ?? '',
      DOM0_ARGS: job.dom0 ?? '',
    },
  });
  return new Promise((resolve) => child.on('exit', resolve));
}

async function run(job) {
  const directory = join(labDirectory, 'jobs', job.name);
  await bundle(job, directory);
  const started = Date.now();
  const status = await boot(job, directory);
  const report = join(labDirectory, 'runs', job.name, 'out', 'report.tap');
  const tests = existsSync(report) ? readReport(readFileSync(report, 'utf8')) : [];
  const failed = tests.filter((test) => !test.ok);
  const seconds = ((Date.now() - started) / 1000).toFixed(0);
  const ended = { 124: 'ran out of time', 125: 'dom0 did not come up' }[status];
  const broken = ended !== undefined || tests.length === 0 || (status !== 0 && failed.length === 0);
  console.log(
    ` ${broken || failed.length > 0 ? '✗' : '✓'} ${job.name}: ${tests.length - failed.length} passed, ${failed.length} failed (${seconds} s)${ended ? `, ${ended}` : ''}`,
  );
  for (const test of failed) console.log(`     ✗ ${test.name}`);
  if (broken || failed.length > 0) console.log(`     see ${join(labDirectory, 'runs', job.name)}`);
  return { passed: tests.length - failed.length, failed: failed.length + (broken ? 1 : 0) };
}

const lacking = missing();
if (lacking.length > 0) {
  console.error(
    `test:xen boots real Xen in QEMU and needs programs this machine lacks:\n${lacking.join('\n')}`,
  );
  process.exit(2);
}
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !JOBS.some((job) => job.name === name));
if (unknown.length > 0) {
  console.error(`no job ${unknown.join(', ')}; there are ${JOBS.map((job) => job.name).join(', ')}`);
  process.exit(2);
}
const started = Date.now();
script('fetch.sh');
if (!imageIsFresh()) script('build-image.sh');
let passed = 0;
let failed = 0;
for (const job of JOBS) {
  if (wanted.length > 0 && !wanted.includes(job.name)) continue;
  const result = await run(job);
  passed += result.passed;
  failed += result.failed;
}
console.log(`\n${passed} passed, ${failed} failed in ${((Date.now() - started) / 1000).toFixed(0)} s`);
process.exitCode = failed > 0 ? 1 : 0;
