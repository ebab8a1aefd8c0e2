#!/usr/bin/env node
/** `npm run test:xen`: makes the lab where it is missing, runs every job on real Xen and reports like a test run. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, homedir, loadavg } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

const here = fileURLToPath(new URL('.', import.meta.url));
const lab = join(here, 'lab');
const labDirectory =
  process.env.XEN_LAB_DIR ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'netchannel2-real-xen');

/** Seconds are a last bound for a busy machine: several times what an idle one of two cores needs. */
const JOBS = JSON.parse(readFileSync(join(here, 'jobs.json'), 'utf8'));

const BOOT_SECONDS = 300;

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

/** The image is built anew when what it is made of has changed: the lab's sources, or what was unpacked last. */
function imageIsFresh() {
  const image = join(labDirectory, 'image', 'dom0.cpio');
  if (!existsSync(image)) return false;
  const built = statSync(image).mtimeMs;
  const filesOf = (directory) =>
    readdirSync(directory, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const unpacked = filesOf(join(labDirectory, 'packages')).filter((file) => file.endsWith('.unpacked'));
  return [...filesOf(lab), ...unpacked].every((file) => statSync(file).mtimeMs < built);
}

/**
 * One folder for one boot: every job's bundle, and the script that runs them. What is read and compiled counts for much
 * under emulation, so a program gets only what it uses, without blanks, and shares the rest.
 */
async function bundle(jobs, directory) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const names = new Set(jobs.flatMap((job) => [job.name, ...(job.programs ?? [])]));
  const entry = Object.fromEntries(
    [...names].map((name) => [
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
    splitting: true,
    removeNodeProtocol: false,
    dts: false,
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    esbuildOptions(options) {
      options.conditions = ['source', 'import', 'node'];
      options.minifyWhitespace = true;
      options.minifySyntax = true;
      // RxJS as modules, of which only what is used comes along.
      options.alias = {
        vitest: join(here, 'runner/vitest-in-dom0.ts'),
        rxjs: join(here, '../../node_modules/rxjs/dist/esm/index.js'),
      };
    },
  });
  writeFileSync(join(directory, 'package.json'), readFileSync(join(here, '../../packages/cli/package.json')));
  writeFileSync(join(directory, 'run.sh'), runScript(jobs));
}

/**
 * The stages come one after the other; the lanes of a stage run side by side, since jobs wait much of the time. What stands in one
 * lane would disturb each other: two backends of all guests, or Linux's netback and ours.
 */
function runScript(jobs) {
  const grouped = (list, key) =>
    [...new Set(list.map((job) => job[key]))].map((value) => list.filter((job) => job[key] === value));
  const lines = grouped(jobs, 'stage').map((stage) => {
    const lanes = grouped(stage, 'lane');
    return `${lanes.map((lane) => `( ${lane.map((job) => `run_job ${job.name}`).join('; ')} ) &`).join(' ')} wait`;
  });
  // The report goes through a pipe, which is written at once: a file would lose its end when Node is made to exit.
  return `#!/bin/bash
export NO_COLOR=1
# Threads that compile and collect beside the program cost more than they bring where two emulated cores have enough to do.
mkdir /tmp/node; printf '#!/bin/sh\\nexec %s --single-threaded "$@"\\n' "$(command -v node)" > /tmp/node/node; chmod 755 /tmp/node/node
export PATH=/tmp/node:$PATH
run_job() {
  echo "LAB-JOB $1"
  node --test-force-exit --test-reporter=tap bin/$1.mjs 2>&1 | tee /out/$1.tap
  [ "\${PIPESTATUS[0]}" = 0 ] || touch /tmp/failed
  echo "LAB-JOB-DONE $1" | tee -a /out/$1.tap
}
${lines.join('\n')}
[ ! -e /tmp/failed ]
`;
}

/** Tests of a TAP report, those without tests below them only. */
function readReport(text) {
  const tests = [];
  const lines = text.split('\n');
  lines.forEach((line, index) => {
    const match = /^( *)(not )?ok \d+ - (.*?)( # (SKIP|TODO)(.*))?$/.exec(line);
    if (match === null) return;
    const isSuite = lines.slice(index, index + 5).some((next) => /type: 'suite'/.test(next));
    const skipped = match[5] === 'SKIP' ? (match[6] ?? '').trim() : undefined;
    if (!isSuite) tests.push({ name: match[3], ok: match[2] === undefined, skipped });
  });
  return tests;
}

/**
 * Boots the machine for a folder of jobs; says which job has ended, and how long it took by this machine's clock: the emulated
 * one goes wrong where the cores are busy.
 */
async function boot(directory, name, seconds) {
  const child = spawn('bash', [join(lab, 'boot.sh'), directory, String(seconds), name], {
    stdio: ['ignore', process.env.XEN_LAB_VERBOSE ? 'inherit' : 'ignore', 'inherit'],
    env: { ...process.env, XEN_LAB_DIR: labDirectory },
  });
  const began = new Map();
  const took = new Map();
  const watch = () => {
    const console_ = join(labDirectory, 'runs', name, 'console.log');
    const text = existsSync(console_) ? readFileSync(console_, 'latin1') : '';
    for (const [, job] of text.matchAll(/LAB-JOB ([\w-]+)/g)) if (!began.has(job)) began.set(job, Date.now());
    for (const [, job] of text.matchAll(/LAB-JOB-DONE ([\w-]+)/g)) {
      if (took.has(job)) continue;
      took.set(job, Math.round((Date.now() - (began.get(job) ?? Date.now())) / 1000));
      console.log(`   ${job} has ended after ${took.get(job)} s`);
    }
  };
  const timer = setInterval(watch, 500);
  const status = await new Promise((resolve) => child.on('exit', resolve));
  clearInterval(timer);
  watch();
  return { status, took };
}

/** Seconds of processor time that the emulator took, as the shell that started it tells: `0m1.2s 0m0.3s`, its own and then these. */
function processorSeconds(file) {
  const [, children = ''] = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  return [...children.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds),
    0,
  );
}

/** One line a job, and one a failure. */
function reportJob(job, out, seconds) {
  const file = join(out, `${job.name}.tap`);
  const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const tests = readReport(text);
  const failed = tests.filter((test) => !test.ok);
  const skipped = tests.filter((test) => test.ok && test.skipped !== undefined);
  const passed = tests.length - failed.length - skipped.length;
  const broken = !/^LAB-JOB-DONE /m.test(text) || tests.length === 0;
  const bad = broken || failed.length > 0;
  console.log(
    ` ${bad ? '✗' : '✓'} ${job.name}: ${passed} passed, ${failed.length} failed` +
      `${skipped.length > 0 ? `, ${skipped.length} skipped` : ''} (${seconds === undefined ? 'did not end' : `${seconds} s`})`,
  );
  for (const test of failed) console.log(`     ✗ ${test.name}`);
  for (const test of skipped) console.log(`     - ${test.name}: ${test.skipped}`);
  return { passed, failed: failed.length + (broken ? 1 : 0), skipped: skipped.length };
}

/** All jobs in one boot of the machine. */
async function run(jobs) {
  const name = jobs.length === JOBS.length ? 'all' : jobs.map((job) => job.name).join('-');
  const directory = join(labDirectory, 'jobs', name);
  await bundle(jobs, directory);
  const seconds = jobs.reduce((sum, job) => sum + job.seconds, BOOT_SECONDS);
  const { status, took } = await boot(directory, name, seconds);
  const ended = { 124: 'The machine ran out of time.', 125: 'dom0 did not come up.' }[status];
  const results = jobs.map((job) =>
    reportJob(job, join(labDirectory, 'runs', name, 'out'), took.get(job.name)),
  );
  const total = (count) => results.reduce((sum, result) => sum + result[count], 0);
  const failed = total('failed');
  if (ended !== undefined) console.log(`   ${ended}`);
  if (failed > 0) console.log(`   see ${join(labDirectory, 'runs', name)}`);
  console.log(
    `   the emulator took ${processorSeconds(join(labDirectory, 'runs', name, 'times')).toFixed(0)} s of processor time; ` +
      `this machine's load was ${loadavg()[2].toFixed(1)} on ${availableParallelism()} cores`,
  );
  return {
    passed: total('passed'),
    failed: failed === 0 && status !== 0 ? 1 : failed,
    skipped: total('skipped'),
  };
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
const began = Date.now();
const since = (start) => `${((Date.now() - start) / 1000).toFixed(0)} s`;
script('fetch.sh');
const fetched = Date.now();
console.log(`   packages are here after ${since(began)}`);
if (!imageIsFresh()) {
  script('build-image.sh');
  console.log(`   the image was built in ${since(fetched)}`);
}
const booted = Date.now();
const { passed, failed, skipped } = await run(
  JOBS.filter((job) => wanted.length === 0 || wanted.includes(job.name)),
);
console.log(
  `\n${passed} passed, ${failed} failed, ${skipped} skipped in ${since(began)}, ${since(booted)} from boot to end`,
);
process.exitCode = failed > 0 ? 1 : 0;
