import { describe, expect, it } from 'vitest';
import { RawClient } from './testing/raw-client';
import { ask, commit, OK, pair, read, type Step, start, World, watch, write, z } from './testing/scenario';

const LIMITS = {
  nodes: 10,
  watches: 3,
  transactions: 2,
  'transaction-nodes': 20,
  'node-permissions': 2,
  'node-size': 100,
  'path-max': 40,
};

const times = (count: number, step: (index: number) => Step): Step[] =>
  Array.from({ length: count }, (_, index) => step(index));

/** `data` and nine more make ten. */
const fillNodes = times(9, (index) => write('d5', `data/${index}`, ''));

const ROWS: readonly { readonly title: string; readonly steps: readonly Step[] }[] = [
  {
    title: 'nodes: the tenth is allowed, the next is not, for dom0 it is',
    steps: [
      ...fillNodes,
      write('d5', 'data/x', '', '!ENOSPC'),
      ask('d5', 'MKDIR', z('data/x'), '!ENOSPC'),
      write('d5', 'data/0', 'rewritten'),
      write('d0', '/local/domain/5/data/x', ''),
      ask('d5', 'RM', z('data/x'), OK),
      ask('d5', 'RM', z('data/0'), OK),
      write('d5', 'data/y', ''),
    ],
  },
  {
    title: 'nodes: parents made on the way count',
    steps: [write('d5', `data/${'p/'.repeat(9)}q`, '', '!ENOSPC'), read('d5', 'data/p', '!ENOENT')],
  },
  {
    title: 'nodes: inside a transaction, and what became of it at the commit',
    steps: [
      ...fillNodes,
      start('d5'),
      write('d5', 'data/x', '', '!ENOSPC', 1),
      ask('d5', 'RM', z('data/0'), OK, 1),
      write('d5', 'data/x', '', OK, 1),
      commit('d5'),
      start('d5', 2),
      ask('d5', 'RM', z('data/x'), OK, 2),
      ask('d5', 'TRANSACTION_END', z('F'), OK, 2),
      write('d5', 'data/0', '', '!ENOSPC'),
    ],
  },
  {
    title: 'nodes: a quota overrun by others meanwhile stops the commit',
    steps: [
      ask('d0', 'MKDIR', z('/local/domain/5/data/sub'), OK),
      ...times(7, (index) => write('d5', `data/${index}`, '')),
      start('d5'),
      write('d5', 'data/sub/x', '', OK, 1),
      write('d0', '/elsewhere', ''),
      ask('d0', 'SET_PERMS', z('/elsewhere', 'n5'), OK),
      commit('d5', '!ENOSPC'),
      read('d5', 'data/sub/x', '!ENOENT'),
    ],
  },
  {
    title: 'watches, of all connections of the domain',
    steps: [
      ...times(2, (index) => watch('d5', 'data', `${index}`)),
      watch('d5b', 'data', '0'),
      ask('d5', 'WATCH', z('data', 'x'), '!ENOSPC'),
      ask('d5b', 'UNWATCH', z('data', '0'), OK),
      watch('d5', 'data', 'x'),
      ...times(10, (index) => watch('d0', '/', `${index}`)),
    ],
  },
  {
    title: 'transactions',
    steps: [
      start('d5', 1),
      start('d5', 2),
      ask('d5', 'TRANSACTION_START', '\0', '!ENOSPC'),
      commit('d5', OK, 1),
      start('d5', 3),
      ...times(5, (index) => start('d0', index + 1)),
    ],
  },
  {
    title: 'transaction nodes: the transaction is lost',
    steps: [
      start('d5'),
      ...times(8, (index) => read('d5', `data/${index}`, '!ENOENT', 1)),
      ...times(11, (index) => read('d5', `data/x${index}`, '!ENOENT', 1)),
      read('d5', 'data/y', '!ENOSPC', 1),
      commit('d5', '!ENOMEM'),
    ],
  },
  {
    title: 'permissions of a node',
    steps: [
      ask('d5', 'SET_PERMS', z('data', 'n5', 'r0'), OK),
      ask('d5', 'SET_PERMS', z('data', 'n5', 'r0', 'r1'), '!ENOSPC'),
      ask('d0', 'SET_PERMS', z('/local/domain/5/data', 'n5', 'r0', 'r1'), OK),
    ],
  },
  {
    title: 'size of a node: its value and its child list',
    steps: [
      write('d5', 'data/k', 'x'.repeat(68)),
      write('d5', 'data/k', 'x'.repeat(69), '!ENOSPC'),
      write('d5', 'data/l', 'x'.repeat(69), '!ENOSPC'),
      read('d5', 'data/l', '!ENOENT'),
      write('d5', `data/${'n'.repeat(30)}`, ''),
      write('d5', `data/${'m'.repeat(30)}`, ''),
      write('d5', `data/${'o'.repeat(30)}`, '', '!ENOSPC'),
      write('d0', '/local/domain/5/data/k', 'x'.repeat(1000)),
    ],
  },
  {
    title: 'length of a path, below the home directory of a domain',
    steps: [
      read('d5', `data/${'x'.repeat(35)}`, '!ENOENT'),
      read('d5', `data/${'x'.repeat(36)}`, '!EINVAL'),
      read('d5', `/${'x'.repeat(40)}`, '!EINVAL'),
      read('d0', `/${'x'.repeat(40)}`, '!ENOENT'),
    ],
  },
  {
    title: 'other limits for one domain',
    steps: [
      ask('d0', 'SET_QUOTA', z('5', 'watches', '1'), OK),
      ask('d0', 'GET_QUOTA', z('5', 'watches'), z('1')),
      ask('d0', 'GET_QUOTA', z('watches'), z('3')),
      watch('d5', 'data', '0'),
      ask('d5', 'WATCH', z('data', '1'), '!ENOSPC'),
      ask('d0', 'SET_QUOTA', z('5', 'watches', '0'), OK),
      ...times(20, (index) => watch('d5', 'data', `more${index}`)),
      ask('d0', 'SET_QUOTA', z('nonsense', '0'), '!EINVAL'),
      ask('d0', 'SET_QUOTA', z('77', 'watches', '0'), '!ENOENT'),
      ask('d0', 'SET_QUOTA', z('watches', '-1'), '!EINVAL'),
      ask('d0', 'GET_QUOTA', '', /^nodes watches transactions .*\0$/),
      ask('d0', 'RELEASE', z('5'), OK),
      ask('d0', 'INTRODUCE', z('5', '1', '1'), OK),
      ask('d0', 'GET_QUOTA', z('5', 'watches'), z('3')),
    ],
  },
];

describe('quotas', () => {
  it.each(ROWS)('$title', async ({ steps }) => {
    const world = new World({ quotas: LIMITS });
    await world.prepare();
    for (const step of steps) await step(world);
    expect(world.server.statistics().faults).toBe(0);
  });

  it('outstanding: requests of a domain that does not read wait, those of others do not', async () => {
    const world = new World();
    await world.prepare();
    const greedy = world.client('d5');
    greedy.duplex.pause();
    await world.client('d0').ask('WRITE', pair('/local/domain/5/data/long', 'x'.repeat(4000)));
    const before = world.server.statistics().requests;
    const replies = Array.from({ length: 400 }, () => greedy.ask('READ', z('data/long')));
    await world.client('d0').ask('READ', z('/'));
    for (let turn = 0; turn < 200; turn++) await world.client('d0').ask('READ', z('/'));
    expect(world.server.statistics().requests - before - 201).toBeLessThan(400);
    greedy.duplex.resume();
    expect(new Set(await Promise.all(replies))).toEqual(new Set(['x'.repeat(4000)]));
  });

  it('events wait 20 seconds, then they are dropped', async () => {
    let now = 0;
    const world = new World({ now: () => now });
    await world.prepare();
    const slow = world.client('d5');
    await slow.ask('WATCH', z('data', 't'.repeat(1000)));
    await slow.takeEvents();
    slow.duplex.pause();
    const writer = new RawClient(world.server.connect({ domid: 0 }));
    for (let index = 0; index < 200; index++)
      await writer.ask('WRITE', pair(`/local/domain/5/data/${index}`, ''));
    expect(world.server.statistics().droppedEvents).toBe(0);
    now = 20_001;
    await writer.ask('WRITE', pair('/local/domain/5/data/late', ''));
    expect(world.server.statistics().droppedEvents).toBeGreaterThan(0);
    slow.duplex.resume();
    expect((await slow.takeEvents()).at(-1)).toMatch(/^data\/late:/);
  });
});
