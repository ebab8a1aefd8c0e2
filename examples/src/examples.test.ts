/** Each example is run as it stands; what it prints is what it promises. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parseCapture } from '@netchannel2/bridge';
import { build } from 'tsup';
import { afterEach, describe, expect, it, vi } from 'vitest';

const read = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

/** Runs an example. @returns what it printed, line by line. */
async function run(load: () => Promise<unknown>): Promise<string[]> {
  const lines: string[] = [];
  vi.spyOn(console, 'log').mockImplementation((line: string) => void lines.push(line));
  await load();
  return lines;
}

afterEach(() => vi.restoreAllMocks());

describe('examples', () => {
  it('two-guests', async () => {
    const lines = await run(() => import('./two-guests'));
    expect(lines[0]).toBe('bob received 1514 bytes of EtherType 0x88b5');
    expect(lines.slice(1)).toEqual([
      expect.stringMatching(/^dom0: \d+ grant operations, \d+ bytes copied$/),
      expect.stringMatching(/^alice: /),
      expect.stringMatching(/^bob: /),
    ]);
  });

  it('frame-filter', async () => {
    const lines = await run(() => import('./frame-filter'));
    expect(lines.sort()).toEqual([
      'inside received 42 bytes',
      'inside received 500 bytes',
      'outside received 60 bytes',
    ]);
  });

  it('bridge-with-capture', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nc2-example-'));
    const file = join(directory, 'monitor.pcapng');
    const before = process.argv;
    process.argv = ['node', 'bridge-with-capture', file];
    try {
      const lines = await run(() => import('./bridge-with-capture'));
      expect(lines.slice(0, 2).sort()).toEqual(['guest2 received 60 bytes', 'guest3 received 60 bytes']);
      expect(lines.slice(2)).toEqual([
        'guest1 received 1514 bytes',
        expect.stringMatching(/^02:00:00:00:00:01 is behind vif/),
        expect.stringMatching(/^02:00:00:00:00:02 is behind vif2/),
        `recorded: ${file}`,
      ]);
      const recorded = parseCapture(file, readFileSync(file));
      expect(recorded.frames.map((frame) => frame.bytes.byteLength)).toEqual([60]);
    } finally {
      process.argv = before;
      rmSync(directory, { recursive: true });
    }
  });

  it('bad-wire, the same each time', async () => {
    const lines = await run(() => import('./bad-wire'));
    expect(lines).toEqual([
      expect.stringMatching(/^lost: \d+/),
      expect.stringMatching(/^twice: \d+/),
      expect.stringMatching(/^late: /),
    ]);
  });

  it('hostile-guest', async () => {
    const lines = await run(() => import('./hostile-guest'));
    expect(lines).toEqual([
      'vif2 of domain 3 was closed: 71 message size not a multiple of 8',
      'bob received 1514 bytes',
    ]);
  });

  it('guest-on-a-thread, built, since threads load what is built', async () => {
    const outDir = mkdtempSync(join(tmpdir(), 'nc2-example-'));
    try {
      await build({
        config: false,
        entry: [fileURLToPath(new URL('./guest-on-a-thread.ts', import.meta.url))],
        outDir,
        format: ['esm'],
        // For what is not a module among the dependencies.
        banner: {
          js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
        },
        outExtension: () => ({ js: '.mjs' }),
        platform: 'node',
        target: 'node20',
        noExternal: [/.*/],
        silent: true,
        esbuildOptions(options) {
          options.conditions = ['source'];
        },
      });
      const { stdout } = await promisify(execFile)(process.execPath, [join(outDir, 'guest-on-a-thread.mjs')]);
      expect(stdout).toBe('the thread was answered: 1514 bytes, the last is 42\n');
    } finally {
      rmSync(outDir, { recursive: true });
    }
  }, 60_000);

  it('the README shows two-guests as it is, and names every example', () => {
    const readme = read('../../README.md');
    expect(readme).toContain(`\`\`\`ts\n${read('./two-guests.ts')}\`\`\`\n`);
    const names = readdirSync(new URL('.', import.meta.url))
      .filter((file) => !file.endsWith('.test.ts'))
      .map((file) => file.replace('.ts', ''));
    for (const name of names) expect(readme).toContain(`\`${name}\``);
  });
});
