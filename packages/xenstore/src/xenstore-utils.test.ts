import { execFile, spawn } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { XenStoreServer } from './server';
import { listenOnSocket, type XenStoreListener } from './unix-socket';

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((directory) => {
    try {
      accessSync(join(directory, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

const installed = onPath('xenstore-ls');
const title = installed
  ? "Debian's xenstore-utils against the socket"
  : "Debian's xenstore-utils against the socket (not run: install the package xenstore-utils)";

describe.runIf(installed)(title, () => {
  const directory = mkdtempSync('/tmp/xenstore-utils-');
  const server = new XenStoreServer();
  let listener: XenStoreListener | undefined;
  const environment = { ...process.env, XENSTORED_PATH: join(directory, 'socket') };

  /** Runs a tool; answers its exit status and output. */
  function run(tool: string, ...options: readonly string[]): Promise<{ status: number; output: string }> {
    return new Promise((resolve) => {
      execFile(
        `xenstore-${tool}`,
        options,
        { env: environment, timeout: 10_000 },
        (error, stdout, stderr) => {
          const status = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          resolve({ status, output: stdout + stderr });
        },
      );
    });
  }

  /** The output of a tool that succeeds. */
  async function output(tool: string, ...options: readonly string[]): Promise<string> {
    const { status, output: text } = await run(tool, ...options);
    expect(status, text).toBe(0);
    return text;
  }

  beforeAll(async () => {
    listener = await listenOnSocket(server, environment.XENSTORED_PATH);
    server.introduceDomain(5);
    server.introduceDomain(6);
  });

  afterAll(async () => {
    server.close();
    await listener?.close();
    rmSync(directory, { recursive: true, force: true });
  });

  it('write and read', async () => {
    await output('write', '/a/b', 'hello world');
    expect(await output('read', '/a/b')).toBe('hello world\n');
    await output('write', '/m/1', 'one', '/m/2', 'two');
    expect(await output('read', '/m/1', '/m/2')).toBe('one\ntwo\n');
    expect(await output('read', '-p', '/m/1')).toBe('/m/1: one\n');
  });

  it('write decodes escapes, read encodes them', async () => {
    await output('write', '/raw', 'tab\\tend\\x01');
    expect(await output('read', '/raw')).toBe('tab\\tend\\001\n');
    expect(await output('read', '-R', '/raw')).toBe('tab\tend\u0001');
  });

  it('exists', async () => {
    expect((await run('exists', '/a/b')).status).toBe(0);
    expect((await run('exists', '/a/none')).status).toBe(1);
  });

  it('list, and a list that takes several messages', async () => {
    expect(await output('list', '/m')).toBe('1\n2\n');
    const names = Array.from({ length: 300 }, (_, index) => `name-of-19-bytes${index + 100}`);
    const values = names.flatMap((name) => [`/long/${name}`, '']);
    await output('write', ...values);
    expect(await output('list', '/long')).toBe(`${names.join('\n')}\n`);
  });

  it('ls -f -p', async () => {
    await output('write', '/tree/one/two', '2', '/tree/three', '3');
    expect(await output('ls', '-f', '/tree')).toBe(
      ['/tree/one = ""', '/tree/one/two = "2"', '/tree/three = "3"', ''].join('\n'),
    );
    expect(await output('ls', '-p', '/tree/one')).toMatch(/^two = "2" [ .]+\(n0\)\n$/);
    expect(await output('ls', '-f')).toContain('/tool/xenstored = ""');
  });

  it('chmod', async () => {
    await output('write', '/c/d', '1');
    await output('chmod', '-r', '/c', 'n5', 'r6');
    expect(await output('ls', '-p', '/c')).toMatch(/d = "1" [ .]+\(n5,r6\)/);
    await output('chmod', '-u', '/c/d', 'b0');
    expect(await output('ls', '-p', '/c')).toMatch(/d = "1" [ .]+\(b0\)/);
  });

  it('rm, and rm -t with the parents left empty', async () => {
    await output('write', '/r/s/t', '1', '/r/keep', '1');
    await output('rm', '/r/s/t');
    expect((await run('exists', '/r/s/t')).status).toBe(1);
    await output('write', '/r/s/t', '1');
    await output('rm', '-t', '/r/s/t');
    expect((await run('exists', '/r/s')).status).toBe(1);
    expect((await run('exists', '/r/keep')).status).toBe(0);
  });

  it('watch', async () => {
    const watching = spawn('xenstore-watch', ['-n', '3', '/watched'], { env: environment });
    let seen = '';
    watching.stdout.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
    });
    const left = new Promise((resolve) => watching.once('close', resolve));
    while (server.statistics().watches === 0) await new Promise((resolve) => setImmediate(resolve));
    await output('write', '/watched/x', '1');
    await output('rm', '/watched');
    expect(await left).toBe(0);
    expect(seen).toBe('/watched\n/watched/x\n/watched\n');
    while (server.statistics().watches > 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('leaves nothing open', async () => {
    while (server.statistics().connections > 0) await new Promise((resolve) => setImmediate(resolve));
    expect(server.statistics()).toMatchObject({ watches: 0, transactions: 0, faults: 0 });
  });
});
