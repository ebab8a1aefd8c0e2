import { describe, expect, it } from 'vitest';
import { inProcessPair } from './byte-duplex';
import { XenStoreServer } from './server';
import { RawClient, settle } from './testing/raw-client';
import { ask, commit, events, OK, read, type Step, start, World, watch, write, z } from './testing/scenario';

const ROWS: readonly { readonly title: string; readonly steps: readonly Step[] }[] = [
  {
    title: 'INTRODUCE wants three numbers',
    steps: [
      ask('d0', 'INTRODUCE', z('6', '1'), '!EINVAL'),
      ask('d0', 'INTRODUCE', z('x', '1', '1'), '!EINVAL'),
      ask('d0', 'INTRODUCE', z('6', '1', '-1'), '!EINVAL'),
      ask('d0', 'INTRODUCE', z('32752', '1', '1'), '!EINVAL'),
      ask('d0', 'INTRODUCE', z('6', '1', '1', 'more'), OK),
    ],
  },
  {
    title: 'INTRODUCE a second time fires nothing',
    steps: [
      watch('d0', '@introduceDomain', 't'),
      ask('d0b', 'INTRODUCE', z('5', '1', '1'), OK),
      events('d0', '@introduceDomain:t'),
    ],
  },
  {
    title: 'watches with a depth learn which domain it was',
    steps: [
      ask('d0', 'WATCH', z('@introduceDomain', 't', '1'), OK),
      watch('d0', '@releaseDomain/6', 'six'),
      ask('d0', 'INTRODUCE', z('6', '1', '1'), OK),
      ask('d0', 'INTRODUCE', z('7', '1', '1'), OK),
      ask('d0', 'RELEASE', z('7'), OK),
      ask('d0', 'RELEASE', z('6'), OK),
      events(
        'd0',
        '@introduceDomain:t',
        '@releaseDomain/6:six',
        '@introduceDomain/6:t',
        '@introduceDomain/7:t',
        '@releaseDomain/6:six',
      ),
    ],
  },
  {
    title: 'special events need the right to read',
    steps: [
      watch('d5', '@releaseDomain', 't'),
      (world) => {
        world.server.introduceDomain(6);
        world.server.releaseDomain(6);
      },
      events('d5', '@releaseDomain:t'),
      ask('d0', 'SET_PERMS', z('@releaseDomain', 'n0', 'r5'), OK),
      (world) => {
        world.server.introduceDomain(6);
        world.server.releaseDomain(6);
      },
      events('d5', '@releaseDomain:t'),
      ask('d0', 'SET_PERMS', z('@nosuch', 'n0'), '!ENOENT'),
    ],
  },
  {
    title: 'a shutdown fires once until RESUME',
    steps: [
      watch('d0', '@releaseDomain', 't'),
      events('d0', '@releaseDomain:t'),
      (world) => world.server.domainShutDown(5),
      events('d0', '@releaseDomain:t'),
      (world) => world.server.domainShutDown(5),
      events('d0'),
      ask('d0', 'RESUME', z('5'), OK),
      (world) => world.server.domainShutDown(5),
      events('d0', '@releaseDomain:t'),
      ask('d0', 'RESUME', z('77'), '!ENOENT'),
      ask('d0', 'RESUME', z('0'), '!EINVAL'),
    ],
  },
  {
    title: 'SET_TARGET wants two domains that are there, and ends with them',
    steps: [
      ask('d0', 'SET_TARGET', z('6', '5'), '!ENOENT'),
      (world) => world.server.introduceDomain(6),
      ask('d0', 'SET_TARGET', z('6', '9'), '!ENOENT'),
      ask('d0', 'SET_TARGET', z('6'), '!EINVAL'),
      ask('d0', 'SET_TARGET', z('6', '5'), OK),
      write('d6', '/local/domain/5/data/x', '1'),
      ask('d0', 'RELEASE', z('5'), OK),
      ask('d0', 'INTRODUCE', z('5', '1', '1'), OK),
      write('d0', '/local/domain/5/new', '1'),
      ask('d0', 'SET_PERMS', z('/local/domain/5/new', 'n5'), OK),
      read('d6', '/local/domain/5/new', '!EACCES'),
    ],
  },
  {
    title: 'features',
    steps: [
      ask('d5', 'GET_FEATURE', '', z('15')),
      ask('d0', 'GET_FEATURE', z('5'), z('15')),
      ask('d0', 'GET_FEATURE', z('77'), '!ENOENT'),
      ask('d0', 'SET_FEATURE', z('5', '1'), '!EBUSY'),
      ask('d0', 'SET_FEATURE', z('6', '16'), '!EINVAL'),
      ask('d0', 'SET_FEATURE', z('6', '4'), OK),
      ask('d0', 'GET_FEATURE', z('6'), z('4')),
    ],
  },
  {
    title: 'CONTROL',
    steps: [
      ask('d0', 'CONTROL', z('help'), /print <text>/),
      ask('d0', 'CONTROL', z('check'), OK),
      ask('d0', 'CONTROL', z('log', 'on'), OK),
      ask('d0', 'CONTROL', z('log', 'maybe'), '!EINVAL'),
      ask('d0', 'CONTROL', z('quota'), /nodes: 1000\n/),
      ask('d0', 'CONTROL', z('quota', 'set', 'nodes', '7'), OK),
      ask('d0', 'CONTROL', z('quota', '5'), /nodes: 7\n(.*\n)*nodes in use: 1\n/),
      ask('d0', 'CONTROL', z('quota', '77'), '!ENOENT'),
      ask('d0', 'CONTROL', z('quota', 'set', 'x', '7'), '!EINVAL'),
      ask('d0', 'CONTROL', z('statistics'), /connections: /),
      ask('d0', 'CONTROL', z('live-update'), '!EINVAL'),
      ask('d0', 'CONTROL', z('toString'), '!EINVAL'),
      ask('d0', 'CONTROL', '', '!EINVAL'),
    ],
  },
  {
    title: 'a transaction that names a domain which died answers EAGAIN',
    steps: [
      start('d0'),
      write('d0', '/t', '', OK, 1),
      ask('d0', 'SET_PERMS', z('/t', 'n0', 'r5'), OK, 1),
      ask('d0b', 'RELEASE', z('5'), OK),
      commit('d0', '!EAGAIN'),
      read('d0', '/t', '!ENOENT'),
    ],
  },
  {
    title: 'RELEASE deletes what the domain owns, with everything below, and fires nothing else',
    steps: [
      write('d5', 'data/a/b', ''),
      write('d0', '/local/domain/5/data/a/zero', ''),
      ask('d0', 'SET_PERMS', z('/local/domain/5/data/a/zero', 'n0'), OK),
      watch('d0', '/', 't'),
      events('d0', '/:t'),
      ask('d0b', 'RELEASE', z('5'), OK),
      events('d0'),
      ask('d0', 'DIRECTORY', z('/local/domain/5'), ''),
      ask('d0', 'GET_PERMS', z('/local/domain/5'), z('n0')),
    ],
  },
  {
    title: 'only the domain a permission was given to uses it',
    steps: [
      write('d0', '/p', 'v'),
      ask('d0', 'SET_PERMS', z('/p', 'n0', 'r9'), OK),
      (world) => world.server.introduceDomain(9),
      read('d9', '/p', '!EACCES'),
      ask('d0', 'SET_PERMS', z('/p', 'n0', 'r9'), OK),
      read('d9', '/p', 'v'),
      ask('d0', 'SET_PERMS', z('/p', 'n0', 'r32757'), OK),
      ask('d0', 'SET_PERMS', z('/p', 'n77'), '!ENOENT'),
    ],
  },
];

describe('domains', () => {
  it.each(ROWS)('$title', async ({ steps }) => {
    const world = new World();
    await world.prepare();
    for (const step of steps) await step(world);
    expect(world.server.statistics().faults).toBe(0);
  });

  it('asks its host for the ring of a domain introduced over the wire', async () => {
    const asked: number[][] = [];
    const released: number[] = [];
    const guests: RawClient[] = [];
    const server = new XenStoreServer({
      connectRing(domid, frame, port) {
        asked.push([domid, frame, port]);
        if (domid === 7) return undefined;
        const [ours, theirs] = inProcessPair();
        guests.push(new RawClient(theirs));
        return ours;
      },
      domainReleased: (domid) => released.push(domid),
    });
    const dom0 = new RawClient(server.connect({ domid: 0 }));
    expect(await dom0.ask('INTRODUCE', z('6', '4096', '3'))).toBe(OK);
    expect(await dom0.ask('INTRODUCE', z('7', '1', '1'))).toBe('!EINVAL');
    expect(await guests[0]?.ask('GET_DOMAIN_PATH', z('6'))).toBe(z('/local/domain/6'));
    expect(await dom0.ask('RELEASE', z('6'))).toBe(OK);
    await settle();
    expect(guests[0]?.closed).toBe(true);
    expect(asked).toEqual([
      [6, 4096, 3],
      [7, 1, 1],
    ]);
    expect(released).toEqual([6]);
  });

  it('believes its host about who exists, and forgets domains it was never told of', async () => {
    const existing = new Set([8]);
    const server = new XenStoreServer({ domainExists: (domid) => existing.has(domid) });
    const dom0 = new RawClient(server.connect({ domid: 0 }));
    await dom0.ask('WRITE', '/own\0');
    await dom0.ask('WRITE', '/shared\0');
    expect(await dom0.ask('SET_PERMS', z('/own', 'n8'))).toBe(OK);
    expect(await dom0.ask('SET_PERMS', z('/shared', 'n0', 'r8'))).toBe(OK);
    server.releaseDomain(8);
    expect(await dom0.ask('READ', z('/own'))).toBe('!ENOENT');
    expect(await dom0.ask('GET_PERMS', z('/shared'))).toBe(z('n0'));
  });
});
