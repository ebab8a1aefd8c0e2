/** `nc2 network-attach`, `-list` and `-detach` on a simulation, over nothing but its xenstore socket. */
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connectXenStore } from '@netchannel2/xenstore';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DebianTools, toolsInstalled, toolsTitle } from '../xenstore/debian-tools';
import { nc2, type RunningCommand, start } from '../xenstore/running-command';

const LAUNCHER = fileURLToPath(new URL('../../packages/cli/bin/nc2.js', import.meta.url));
const BUILT = fileURLToPath(new URL('../../packages/cli/dist/nc2.js', import.meta.url));

let directory: string;
let socket: string;
let simulation: RunningCommand;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'nc2-simulate-'));
  socket = join(directory, 'socket');
  simulation = start('simulate', '--guests', '2', '--vif', 'mac=00:16:3e:00:00:01', '--socket', socket);
  expect(await simulation.ready).toBe(`simulate: dom0 and 2 guests, xenstore on ${socket}\n`);
});
afterAll(() => rmSync(directory, { recursive: true }));

const on = (...words: string[]) => nc2(...words, '--socket', socket);

describe('network commands on a running simulation', () => {
  it('list what it started with', async () => {
    const { code, out } = await on('network-list');
    expect(code).toBe(0);
    expect(out).toBe(
      [
        'Domain  Idx  Class  BE  MAC                Bridge  Frontend   Backend    Remarks',
        'guest1  0    vif    0   00:16:3e:00:00:01  xenbr0  Connected  Connected',
        'guest2  0    vif    0   00:16:3e:00:00:02  xenbr0  Connected  Connected',
        '',
      ].join('\n'),
    );
  });

  it.each(['vif', 'vif2'])('attach, list and detach a %s', async (type) => {
    const mac = '00:16:3e:00:00:07';
    const attached = await on('network-attach', 'guest2', `mac=${mac},bridge=xenbr0,type=${type}`);
    const number = type === 'vif' ? 1 : 0;
    expect(attached).toEqual({ code: 0, out: `${type} ${number}\n`, error: '' });
    const listed = await on('network-list', '2', '--json');
    const devices = JSON.parse(listed.out) as Record<string, unknown>[];
    expect(devices.find((device) => device.mac === mac)).toEqual({
      domain: 2,
      number,
      class: type,
      backend: 0,
      mac,
      bridge: 'xenbr0',
      frontendState: 'Connected',
      backendState: 'Connected',
      requestedClass: type,
      errors: [],
      frontendPath: `/local/domain/2/device/${type}/${number}`,
      backendPath: `/local/domain/0/backend/${type}/2/${number}`,
    });
    const detached = await on('network-detach', 'guest2', mac);
    expect(detached).toEqual({ code: 0, out: `${type} ${number} detached\n`, error: '' });
    expect((await on('network-list', '2', '--json')).out).not.toContain(mac);
  });

  it('words separated by blanks, options of xl, a number of one’s own', async () => {
    const attached = await on(
      'network-attach',
      '1',
      'type=vif2',
      'rate=10Mb/s',
      'mtu=9000',
      'devid=5',
      '--json',
    );
    expect(attached.code).toBe(0);
    expect(JSON.parse(attached.out)).toMatchObject({ class: 'vif2', number: 5 });
    const store = await connectXenStore({ path: socket });
    expect(await store.read('/local/domain/0/backend/vif2/1/5/rate')).toBe('62500,50000');
    expect(await store.read('/local/domain/1/device/vif2/5/mtu')).toBe('9000');
    store.close();
    expect((await on('network-detach', '1', '5', '--force')).code).toBe(0);
  });

  it.each([
    [
      ['network-attach', 'guest9'],
      2,
      'there is no domain "guest9"; there are dom0 (0), guest1 (1), guest2 (2)',
    ],
    [['network-attach', '1', 'mac=nonsense'], 2, 'mac "nonsense" should be six bytes in hex'],
    [['network-attach', '1', 'colour=red'], 2, '"colour" in "colour=red" is not a key of a vif'],
    [
      ['network-attach', '1', 'backend=guest9'],
      2,
      'backend=guest9 should be the id or name of a running domain',
    ],
    [['network-attach', '1', 'devid=0'], 2, 'domain 1 already has a vif number 0'],
    [['network-detach', '1', '7'], 2, 'the domain has no device "7"; it has vif 0 00:16:3e:00:00:01'],
    [['network-list', 'guest9'], 2, 'there is no domain "guest9"'],
  ])('%j is refused in words', async (words, code, message) => {
    const answer = await on(...words);
    expect(answer.code).toBe(code);
    expect(answer.error).toContain(message);
    expect(answer.out).toBe('');
  });

  it('without a store: exit code 2 and where it was looked for', async () => {
    const missing = join(directory, 'nobody');
    const answer = await nc2('network-list', '--socket', missing);
    expect(answer).toMatchObject({ code: 2, error: `nc2: no xenstore answers at ${missing}: ENOENT\n` });
  });

  it('a number both classes have needs --type', async () => {
    expect((await on('network-attach', '1', 'type=vif2')).code).toBe(0);
    const vague = await on('network-detach', '1', '0');
    expect(vague).toMatchObject({ code: 2, error: 'nc2: "0" is a vif and a vif2: say which with --type\n' });
    expect((await on('network-detach', '1', '0', '--type', 'vif2')).code).toBe(0);
  });

  it('--watch follows what others do', async () => {
    const live = start('network-list', '--watch', '--json', '--socket', socket);
    expect(JSON.parse(await live.ready)).toHaveLength(2);
    await on('network-attach', 'guest1', 'type=vif2');
    await expect.poll(() => live.out()).toContain('"class":"vif2","backend":0');
    await on('network-detach', 'guest1', '0', '--type', 'vif2');
    expect(await live.stop()).toBe(0);
  });

  it.runIf(existsSync(BUILT))('from another process', async () => {
    const run = promisify(execFile);
    const environment = { env: { ...process.env, XENSTORED_PATH: socket } };
    const command = (...words: string[]) => run(process.execPath, [LAUNCHER, ...words], environment);
    expect((await command('network-attach', 'guest1', 'type=vif2,mac=00:16:3e:00:00:08')).stdout).toBe(
      'vif2 0\n',
    );
    expect((await command('network-list', 'guest1')).stdout).toContain('00:16:3e:00:00:08');
    expect((await command('network-detach', 'guest1', '00:16:3e:00:00:08')).stdout).toBe('vif2 0 detached\n');
  });

  it.runIf(toolsInstalled)(toolsTitle('and Debian’s tools see it all'), async () => {
    const tools = new DebianTools(socket);
    expect(await tools.output('ls', '/local/domain/1/device')).toMatch(/^vif = ""/);
    expect(await tools.output('read', '/local/domain/1/device/vif/0/state')).toBe('4\n');
    const watch = tools.watch(3, '/local/domain/1/data');
    await watch.started;
    await tools.output('write', '/local/domain/1/data/x', '1');
    await tools.output('rm', '/local/domain/1/data/x');
    expect(await watch.lines).toEqual([
      '/local/domain/1/data',
      '/local/domain/1/data/x',
      '/local/domain/1/data/x',
    ]);
  });

  it('ends without anything left behind', async () => {
    expect(await simulation.stop()).toBe(0);
    expect(simulation.error()).toBe('');
    expect(existsSync(socket)).toBe(false);
  });
});
