/** `nc2 replay` as a shell sees it: standard output, standard error, exit code, and the file it writes. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseCapture, readCapture } from '@netchannel2/bridge';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nc2 } from './quiet-terminal';

const CAPTURE = fileURLToPath(new URL('../../examples/captures/linux-veth.pcap', import.meta.url));
const LAUNCHER = fileURLToPath(new URL('../../packages/cli/bin/nc2.js', import.meta.url));
const BUILT = fileURLToPath(new URL('../../packages/cli/dist/nc2.js', import.meta.url));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nc2-main-job-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

const quick = (...words: string[]) => nc2('replay', '-r', '1', '-w', '0', '--no-output', ...words);

/** Exactly the keys of `shape`, and values of its types; an array's first element stands for all. */
function expectShape(value: unknown, shape: unknown, path = 'object'): void {
  if (Array.isArray(shape)) {
    expect(Array.isArray(value), path).toBe(true);
    for (const [index, element] of (value as unknown[]).entries())
      expectShape(element, shape[0], `${path}[${index}]`);
  } else if (typeof shape === 'object' && shape !== null) {
    expect(Object.keys(value as object), path).toEqual(Object.keys(shape));
    for (const [key, inner] of Object.entries(shape))
      expectShape((value as Record<string, unknown>)[key], inner, `${path}.${key}`);
  } else {
    expect(typeof value, path).toBe(typeof shape);
  }
}

describe('nc2 replay --json', () => {
  it('prints one line of the documented shape and nothing else', async () => {
    const { exitCode, out, error } = await quick('--json', CAPTURE);
    expect([exitCode, error]).toEqual([0, '']);
    expect(out.endsWith('}\n')).toBe(true);
    expect(out.trimEnd()).not.toContain('\n');
    const report: unknown = JSON.parse(out);
    expectShape(report, {
      ok: true,
      capture: { file: '', frames: 0, bytes: 0 },
      paths: [
        {
          class: '',
          grantTableVersions: { '0': 2, '1': 1, '2': 2 },
          framesSent: 0,
          framesReceived: 0,
          mismatches: 0,
          framesPerSecond: 0,
          domains: [{ domid: 0, nsPerFrame: 0, grantOperations: 0, bytesCopied: 0, notifications: 0 }],
        },
      ],
    });
    expect(report).toMatchObject({
      ok: true,
      capture: { file: CAPTURE, frames: 996, bytes: 1_473_020 },
      paths: [
        {
          class: 'vif',
          grantTableVersions: { '0': 2, '1': 1, '2': 2 },
          domains: [{ domid: 0 }, { domid: 1 }, { domid: 2 }],
        },
        { class: 'vif2' },
      ],
    });
  });

  it('versions and class by flag', async () => {
    const words = ['--dom0', '1', '--guest1', '2', '--guest2', 'v1', '--class', 'vif2', '-c', CAPTURE];
    const { out } = await quick('--json', ...words);
    expect(JSON.parse(out)).toMatchObject({
      paths: [{ class: 'vif2', grantTableVersions: { '0': 1, '1': 2, '2': 1 } }],
    });
  });
});

describe('nc2 replay', () => {
  it('prints the comparison within 100 columns', async () => {
    const { exitCode, out, error } = await quick('-r', '2');
    expect([exitCode, error]).toEqual([0, '']);
    for (const part of [
      'frames/s',
      'Gbit/s',
      'grant operations',
      'bytes copied',
      'notifications',
      'vif2 : vif',
      'dom0',
    ])
      expect(out).toContain(part);
    expect(out.match(/1,992 +once, in order, byte for byte/g)).toHaveLength(2);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  it('explains itself', async () => {
    const { exitCode, out } = await nc2('replay', '--help');
    expect(exitCode).toBe(0);
    for (const flag of [
      '[capture]',
      '--rounds',
      '--class',
      '--dom0',
      '--guest1',
      '--guest2',
      '--output',
      '--json',
      'Exit code',
    ])
      expect(out).toContain(flag);
    for (const line of out.split('\n')) expect(line.length).toBeLessThanOrEqual(105);
  });

  it.each<[string, string[], string]>([
    ['rounds', ['-r', '0'], 'Give a whole number from 1'],
    ['rounds that are no number', ['-r', '1e3'], 'Give a whole number from 1'],
    ['a table version', ['--dom0', '3'], 'A grant table has version 1 or 2'],
    ['a class', ['--class', 'vif3'], 'Give vif, vif2 or both'],
    ['faults', ['--faults', 'loss=2'], 'give loss, duplicate or reorder as 0 … 1'],
    ['an unknown flag', ['--bogus'], "unknown option '--bogus'"],
    ['two captures', [CAPTURE, '-c', CAPTURE], 'the capture is named twice'],
  ])('refuses wrong %s with exit code 2', async (_, words, message) => {
    const { exitCode, out, error } = await quick(...words);
    expect([exitCode, out]).toEqual([2, '']);
    expect(error).toContain(message);
  });

  it('refuses an output file that cannot be written', async () => {
    const { exitCode, error } = await quick(CAPTURE, '-o', '/proc/nc2/none/out.pcapng');
    expect(exitCode).toBe(2);
    expect(error).toContain('/proc/nc2/none/out.pcapng cannot be written');
  });

  it('refuses an unknown command, and prints its verbs when asked for none', async () => {
    expect(await nc2('relpay')).toMatchObject({ exitCode: 2, out: '' });
    const { exitCode, error } = await nc2();
    expect(exitCode).toBe(2);
    expect(error).toContain('replay');
    expect((await nc2('--version')).out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('a bad wire', () => {
  it.each<[string, RegExp]>([
    [
      'loss=0.02',
      /nc2: vif2?: frame \d+ of the capture \(\d+ bytes, round 1, guest \d to guest \d\) is missing before/,
    ],
    ['duplicate=0.02,seed=5', /frame \d+ of the capture .* arrived again or too late/],
    ['reorder=0.02', /frame \d+ of the capture .* is missing before frame \d+/],
  ])('%s: exit code 1, and the frame', async (faults, message) => {
    const { exitCode, out, error } = await quick('--json', '--class', 'vif2', '--faults', faults, CAPTURE);
    expect(exitCode).toBe(1);
    expect(error).toMatch(message);
    const report: { ok: boolean; paths: { mismatches: number }[] } = JSON.parse(out);
    expect(report.ok).toBe(false);
    for (const path of report.paths) expect(path.mismatches).toBeGreaterThan(0);
  });
});

describe('captures that cannot be replayed', () => {
  it.each<[string, (file: string) => void, string]>([
    ['missing', () => {}, 'there is no such file'],
    ['text', (file) => writeFileSync(file, 'this is not a capture'), 'neither a pcap nor a pcapng file'],
    ['empty', (file) => writeFileSync(file, ''), 'the file is empty'],
    [
      'cut',
      (file) => {
        copyFileSync(CAPTURE, file);
        truncateSync(file, 1000);
      },
      'the file ends inside',
    ],
    ['frameless', (file) => writeFileSync(file, readFileSync(CAPTURE).subarray(0, 24)), 'holds no frames'],
    [
      'one-sided',
      (file) => writeFileSync(file, readFileSync(CAPTURE).subarray(0, 24 + 16 + 42)),
      'all frames come from one side',
    ],
  ])('%s: exit code 2, the reason, no output', async (name, make, message) => {
    const file = join(directory, `${name}.pcap`);
    make(file);
    const { exitCode, out, error } = await quick('--json', file);
    expect([exitCode, out]).toEqual([2, '']);
    expect(error).toContain(`nc2: ${file}: `);
    expect(error).toContain(message);
  });
});

/** Wireshark's own dissector, where it is installed. */
const hasTshark = (() => {
  try {
    execFileSync('tshark', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

describe('what guest 2 received', () => {
  const received = () => join(directory, 'deep', 'er', 'guest2.pcapng');
  const sentToGuest2 = () =>
    readCapture(CAPTURE)
      .frames.map(({ bytes }) => Buffer.from(bytes))
      .filter((bytes) => bytes[11] === 0x0a);

  beforeAll(async () => {
    expect(await nc2('replay', '-r', '2', '-w', '1', '-o', received(), CAPTURE)).toMatchObject({
      exitCode: 0,
    });
  });

  it('is what guest 1 sent in one round, once for each class', () => {
    const frames = parseCapture('received', readFileSync(received())).frames.map(({ bytes }) =>
      Buffer.from(bytes),
    );
    const sent = sentToGuest2();
    expect(frames).toHaveLength(2 * sent.length);
    expect(Buffer.concat(frames).equals(Buffer.concat([...sent, ...sent]))).toBe(true);
  });

  it('opens in Wireshark', ({ skip }) => {
    if (!hasTshark) skip('tshark is not installed (Debian package tshark)');
    const fields = ['frame.interface_name', 'frame.len', 'frame.packet_flags_direction', 'eth.src'];
    const dissected = execFileSync(
      'tshark',
      ['-r', received(), '-T', 'fields', ...fields.flatMap((field) => ['-e', field])],
      { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const rows = dissected.trimEnd().split('\n');
    const expected = (name: string) =>
      sentToGuest2().map((bytes) => [name, bytes.byteLength, '0x00000001', '02:00:00:00:00:0a'].join('\t'));
    expect(rows).toEqual([...expected('guest2-vif'), ...expected('guest2-vif2')]);
  });
});

describe('as a process', () => {
  it('exits with its code and keeps to its streams', ({ skip }) => {
    if (!existsSync(BUILT)) skip('nc2 is not built (npm run build)');
    const run = (...words: string[]) =>
      spawnSync(process.execPath, [LAUNCHER, ...words], { encoding: 'utf8', cwd: directory });
    const good = run('replay', '-r', '1', '-w', '0', '--json', CAPTURE);
    expect([good.status, good.stderr]).toEqual([0, '']);
    expect(JSON.parse(good.stdout)).toMatchObject({ ok: true });
    expect(existsSync(join(directory, 'out', 'guest2.pcapng'))).toBe(true);
    const bad = run('replay', 'missing.pcap');
    expect([bad.status, bad.stdout, bad.stderr]).toEqual([
      2,
      '',
      'nc2: missing.pcap: there is no such file\n',
    ]);
  });
});
