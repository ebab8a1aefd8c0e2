/** Our netfront, as `nc2 netfront`, against Linux's netback: dom0 is its own guest, the frontend's side in a network of its own. */
import { existsSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { expect } from 'vitest';
import { pingLoss } from './ping';
import { Companion, run, until } from './programs';
import { tcpEcho, udpEcho } from './traffic';

const BACKEND = '/local/domain/0/backend/vif/0/0';
const FRONTEND = '/local/domain/0/device/vif/0';
const MAC = '00:16:3e:00:00:09';
const PEER = '10.9.0.2';
const GENERATED = 2000;
const timeout = 600_000;

/** What a toolstack writes; the frontend's state comes last, for it is what the others wait for. */
async function attach(): Promise<void> {
  const backend = {
    frontend: FRONTEND,
    'frontend-id': '0',
    online: '1',
    handle: '0',
    mac: MAC,
    script: '/opt/lab/vif-plugged',
    'hotplug-status': 'connected',
    state: '1',
  };
  const frontend = { backend: BACKEND, 'backend-id': '0', handle: '0', mac: MAC, mtu: '1500', state: '1' };
  const words = (directory: string, nodes: Readonly<Record<string, string>>): string[] =>
    Object.entries(nodes).flatMap(([node, value]) => [`${directory}/${node}`, value]);
  await run('xenstore-write', ...words(BACKEND, backend), ...words(FRONTEND, frontend));
}

const stateOf = async (directory: string): Promise<string> =>
  (await run('xenstore-read', `${directory}/state`).catch(() => '')).trim();

let frontend: Companion;
let room: Companion;
let services: Companion[] = [];

before(async () => {
  await run('modprobe', 'xen-netback');
  frontend = new Companion('node', 'bin/nc2.mjs', 'netfront', '0', '--tap', 'inside');
  await frontend.said('driving vif 0');
  await until('the TAP', 20, () => (existsSync('/sys/class/net/inside') ? true : undefined));
  room = new Companion('unshare', '-n', 'sh', '-c', 'echo pid $$; exec sleep 100000');
  const pid = (await room.said('pid ')).slice('pid '.length).trim();
  const inside = (...words: readonly string[]): readonly string[] => ['-t', pid, '-n', ...words];
  await run('ip', 'link', 'set', 'inside', 'netns', pid);
  await run('nsenter', ...inside('ip', 'addr', 'add', `${PEER}/24`, 'dev', 'inside'));
  await run('nsenter', ...inside('ip', 'link', 'set', 'inside', 'up'));
  services = [
    new Companion('nsenter', ...inside('nc', '-ll', '-p', '7', '-e', 'cat')),
    new Companion(
      'nsenter',
      ...inside('nc.traditional', '-u', '-l', '-p', '7', '-e', '/usr/lib/busybox/cat'),
    ),
  ];
  await attach();
});

after(async () => {
  console.log(frontend.lines.join('\n'));
  for (const each of [...services, room]) await each.stop('SIGKILL');
  await frontend.stop('SIGKILL');
  await run('xenstore-rm', BACKEND);
  // Threads of its devices, and whoever was told of them, hold the module a little longer.
  await until('Linux’s netback to be let go', 60, () =>
    run('rmmod', 'xen-netback').then(
      () => true,
      () => undefined,
    ),
  );
});

describe("nc2 netfront against Linux's netback", () => {
  it('connects', { timeout }, async () => {
    await until('both ends to connect', 90, async () =>
      (await stateOf(FRONTEND)) === '4' && (await stateOf(BACKEND)) === '4' ? true : undefined,
    );
    await run('ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'vif0.0');
    await run('ip', 'link', 'set', 'vif0.0', 'up');
  });

  it('answers pings without a loss', { timeout }, async () => {
    await until('a first answer', 60, async () => ((await pingLoss(PEER, 1)) === 0 ? true : undefined));
    expect(await pingLoss(PEER, 20)).toBe(0);
    expect(await pingLoss(PEER, 10, 1472)).toBe(0);
  });

  it('carries TCP there and back unchanged', { timeout }, async () => {
    expect(await tcpEcho(PEER, 2 << 20)).toBe(true);
  });

  it('carries UDP datagrams there and back', { timeout }, async () => {
    expect(await udpEcho(PEER, 500, 1400)).toBe(500);
  });

  it('closes in good order', { timeout }, async () => {
    expect(await frontend.stop()).toBe(0);
    expect(await stateOf(FRONTEND)).toBe('6');
  });

  it('generates frames, all of which come out of the other end', { timeout }, async () => {
    await run('xenstore-rm', BACKEND);
    await until('the interface to go', 60, () => (existsSync('/sys/class/net/vif0.0') ? undefined : true));
    const generator = new Companion(
      'node',
      ...['bin/nc2.mjs', 'netfront', '0', '--generate', String(GENERATED), '--size', '1000'],
    );
    await generator.said('driving vif 0');
    await attach();
    await until('the interface', 60, () => (existsSync('/sys/class/net/vif0.0') ? true : undefined));
    // Counted by who sees every frame: Linux's netback forgets its own numbers when it disconnects. It takes none before it is up.
    const captured = new Companion(
      'tcpdump',
      ...[
        '-Z',
        'root',
        '-i',
        'any',
        '-s',
        '64',
        '-B',
        '16384',
        '-c',
        String(GENERATED),
        '-w',
        '/tmp/generated.pcap',
      ],
      ...['ether', 'proto', '0x88b5'],
    );
    await captured.said('listening on');
    await run('ip', 'link', 'set', 'vif0.0', 'up');
    await generator.said(`sent ${GENERATED} frames of 1000 bytes`);
    expect(await captured.ended()).toBe(0);
    expect(await generator.ended()).toBe(0);
    console.log([...generator.lines, ...captured.lines].join('\n'));
  });
});
