/** `nc2 xenstored`: what a shell, Debian's tools and a second start see of it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectXenStore } from '@netchannel2/xenstore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DebianTools, toolsInstalled, toolsTitle } from './debian-tools';
import { start } from './running-command';

const LAUNCHER = fileURLToPath(new URL('../../packages/cli/bin/nc2.js', import.meta.url));
const BUILT = fileURLToPath(new URL('../../packages/cli/dist/nc2.js', import.meta.url));

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'nc2-xenstored-'));
});
afterAll(() => rmSync(directory, { recursive: true }));

describe('nc2 xenstored', () => {
  it('says when it is ready, keeps others away from its socket, and removes it at the end', async () => {
    const socket = join(directory, 'run', 'socket');
    const daemon = start('xenstored', '--socket', socket);
    expect(await daemon.ready).toBe(`xenstored: ready on ${socket}\n`);
    expect(statSync(socket).mode & 0o777).toBe(0o600);

    const second = start('xenstored', '--socket', socket);
    expect(await second.exited).toBe(2);
    expect(second.error()).toContain('Another daemon serves');

    const client = await connectXenStore({ path: socket });
    await client.write('/a', '1');
    expect(await client.read('/a')).toBe('1');
    expect(await client.request('CONTROL', 'print', 'hello')).toEqual(['OK']);
    expect(daemon.error()).toBe('xenstored: hello\n');
    expect(await daemon.stop()).toBe(0);
    await expect(client.read('/a')).rejects.toMatchObject({ name: 'XenStoreError' });
    expect(existsSync(socket)).toBe(false);
    expect(daemon.out()).toBe(`xenstored: ready on ${socket}\n`);
  });

  it('keeps the tree in a file; clients that reconnect go on where they were', async () => {
    const socket = join(directory, 'kept');
    const dump = join(directory, 'dump.json');
    const first = start('xenstored', '--socket', socket, '--dump', dump);
    await first.ready;
    const client = await connectXenStore({ path: socket, reconnect: { delay: () => 5 } });
    await client.write('/kept/b', 'v');
    await client.write('/kept/a', 'w');
    const events: string[] = [];
    client.watch('/kept').subscribe(({ path }) => events.push(path));
    await client.read('/kept/b');
    expect(await first.stop()).toBe(0);
    expect(statSync(dump).mode & 0o777).toBe(0o600);

    const again = start('xenstored', '--socket', socket, '--dump', dump);
    await again.ready;
    const other = await connectXenStore({ path: socket });
    expect(await other.list('/kept')).toEqual(['b', 'a']);
    expect(await other.read('/kept/b')).toBe('v');
    // The watch is registered anew, so it fires once more, and then for what others do.
    await expect.poll(() => events).toEqual(['/kept', '/kept']);
    await other.write('/kept/c', '1');
    await expect.poll(() => events.at(-1)).toBe('/kept/c');
    expect(await client.list('/kept')).toEqual(['b', 'a', 'c']);
    client.close();
    other.close();
    expect(await again.stop()).toBe(0);
  });

  it('does not start on a dump that is none', async () => {
    const dump = join(directory, 'broken.json');
    writeFileSync(dump, '{"format":"something else"}');
    const daemon = start('xenstored', '--socket', join(directory, 'x'), '--dump', dump);
    expect(await daemon.exited).toBe(2);
    expect(daemon.error()).toContain('no dump of a xenstore');
    expect(readFileSync(dump, 'utf8')).toContain('something else');
  });

  it.each([
    ['nodes=many', 'name=number'],
    ['no-such=1', 'name=number'],
  ])('refuses --quota %s', async (quota, reason) => {
    const daemon = start('xenstored', '--quota', quota, '--socket', join(directory, 'q'));
    expect(await daemon.exited).toBe(2);
    expect(daemon.error()).toContain(reason);
  });

  it.runIf(existsSync(BUILT))('as a process: ready line, dump on SIGUSR2, clean end at SIGTERM', async () => {
    const socket = join(directory, 'process');
    const dump = join(directory, 'process.json');
    const child = spawn(process.execPath, [LAUNCHER, 'xenstored', '-s', socket, '--dump', dump], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await Promise.race([once(child.stdout, 'data'), once(child, 'exit')])) as unknown[];
    expect(String(line)).toBe(`xenstored: ready on ${socket}\n`);
    const client = await connectXenStore({ path: socket });
    await client.write('/x', '1');
    child.kill('SIGUSR2');
    await expect.poll(() => existsSync(dump)).toBe(true);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    expect(existsSync(socket)).toBe(false);
    client.close();
  });
});

describe.runIf(toolsInstalled)(toolsTitle('Debian’s xenstore-utils on nc2 xenstored'), () => {
  it('a session', async () => {
    const socket = join(directory, 'debian');
    const daemon = start('xenstored', '--socket', socket);
    await daemon.ready;
    const tools = new DebianTools(socket);
    expect(await tools.output('ls', '-f')).toBe(['/tool = ""', '/tool/xenstored = ""', ''].join('\n'));
    const watch = tools.watch(4, '/demo');
    await watch.started;
    await tools.output('write', '/demo/a', 'one', '/demo/b', 'two');
    await tools.output('rm', '/demo/a');
    expect(await watch.lines).toEqual(['/demo', '/demo/a', '/demo/b', '/demo/a']);
    expect(await tools.output('read', '/demo/b')).toBe('two\n');
    expect(await tools.output('list', '/demo')).toBe('b\n');
    expect((await tools.run('exists', '/demo/a')).status).toBe(1);
    expect((await tools.run('exists', '/demo/b')).status).toBe(0);
    await tools.output('chmod', '/demo/b', 'r0');
    expect(await tools.output('ls', '-fp', '/demo')).toMatch(/^\/demo\/b = "two" +[ .]*\(r0\)\n$/);
    await tools.output('rm', '-t', '/demo/b');
    expect((await tools.run('exists', '/demo')).status).toBe(1);
    expect((await tools.run('write', '/bad path', 'x')).status).toBe(1);
    expect(await daemon.stop()).toBe(0);
  });
});
