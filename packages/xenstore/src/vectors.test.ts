import { describe, expect, it } from 'vitest';
import { settle } from './testing/raw-client';
import {
  ask,
  commit,
  events,
  hex,
  OK,
  pair,
  read,
  type Step,
  start,
  World,
  watch,
  write,
  z,
} from './testing/scenario';
import { encodeMessage, MESSAGE_TYPE } from './wire';

const READ_AB = hex('02 00 00 00 00 00 00 00 00 00 00 00 05 00 00 00 2f 61 2f 62 00');
const AB_VALUE = hex('02 00 00 00 00 00 00 00 00 00 00 00 03 00 00 00 78 0a 79');

/** Sends bytes in pieces and compares all that comes back. */
function bytes(who: string, pieces: readonly (readonly number[])[], expected: readonly number[]): Step {
  return async (world) => {
    const client = world.client(who);
    await settle();
    client.received = [];
    for (const piece of pieces) {
      client.sendBytes(piece);
      await settle();
    }
    expect(client.received).toEqual(expected);
  };
}

const header = (type: number, length: number): number[] => [
  ...encodeMessage({ type, requestId: 0, transactionId: 0, payload: '' }).subarray(0, 12),
  length & 0xff,
  length >> 8,
  0,
  0,
];

const closedSilently = (who: string): Step => {
  return async (world) => {
    await settle();
    expect(world.client(who)).toMatchObject({ closed: true, received: [] });
  };
};

const introduce = (...domids: readonly number[]): Step => {
  return (world) => {
    for (const domid of domids) world.server.introduceDomain(domid);
  };
};

const disconnect = (who: string): Step => {
  return async (world) => {
    world.client(who).duplex.close();
    world.forget(who);
    await settle();
  };
};

const permissions = (path: string, ...list: readonly string[]): Step =>
  ask('d0', 'SET_PERMS', z(path, ...list), OK);

const XYZ = [write('d0', '/x/y/z', '1')];
const MANY = Array.from({ length: 1000 }, (_, index) => `name-of-20-bytes${String(index).padStart(4, '0')}`);
const manyChildren: Step = async (world) => {
  const client = world.client('d0');
  for (const name of MANY) await client.ask('MKDIR', z(`/many/${name}`));
};

const partByPart: Step = async (world) => {
  const client = world.client('d0');
  let list = '';
  const generations = new Set<string>();
  for (let part = ''; !part.endsWith('\0\0'); ) {
    part = await client.ask('DIRECTORY_PART', z('/many', String(list.length)));
    expect(part.length).toBeLessThanOrEqual(4096);
    const end = part.indexOf('\0');
    generations.add(part.slice(0, end));
    list += part.slice(end + 1);
  }
  expect(list).toBe(`${z(...MANY)}\0`);
  expect(generations.size).toBe(1);
};

const generationChanges: Step = async (world) => {
  const client = world.client('d0');
  const generation = async () => (await client.ask('DIRECTORY_PART', z('/many', '0'))).split('\0')[0];
  const before = await generation();
  await client.ask('MKDIR', z('/many/one-more'));
  expect(await generation()).not.toBe(before);
};

/** d5 reads nothing while it sends; then every answer is there, in order. */
const fiftyRequests: Step = async (world) => {
  const client = world.client('d5');
  client.duplex.pause();
  for (let id = 1; id <= 50; id++) {
    client.duplex.send(
      encodeMessage({ type: MESSAGE_TYPE.READ, requestId: id, transactionId: 0, payload: z('data') }),
    );
  }
  await settle();
  expect(client.replies).toHaveLength(0);
  client.duplex.resume();
  await settle();
  expect(client.replies.map((reply) => reply.requestId)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
};

/** 10^5 events for a reader that never reads. */
const slowReader =
  (who: string): Step =>
  async (world) => {
    const slow = world.client(who);
    await slow.ask('WATCH', z('data', 'x'.repeat(1000)));
    slow.duplex.pause();
    const writer = world.client('d0b');
    const base = who === 'd5' ? '/local/domain/5/data' : '/local/domain/0/data';
    let most = 0;
    for (let round = 0; round < 1000; round++) {
      for (let index = 0; index < 100; index++) {
        const payload = pair(`${base}/${who === 'd5' ? 'k' : ''}${(round * 100 + index) % 20_000}`, '1');
        writer.duplex.send(
          encodeMessage({ type: MESSAGE_TYPE.WRITE, requestId: 0, transactionId: 0, payload }),
        );
      }
      await writer.ask('READ', z('/'));
      most = Math.max(most, world.server.statistics().queuedBytes);
    }
    expect(most).toBeLessThan(20 * 1024 * 1024);
    expect(await writer.ask('READ', z(`${base}`))).toBe('');
    const { droppedEvents, connections } = world.server.statistics();
    // The unprivileged reader loses events, the privileged one its connection.
    expect(who === 'd5' ? droppedEvents > 0 : connections === 1).toBe(true);
  };

interface Row {
  readonly id: number | string;
  readonly title: string;
  readonly steps: readonly Step[];
}

const row = (id: number | string, title: string, ...steps: readonly Step[]): Row => ({ id, title, steps });

const ROWS: readonly Row[] = [
  row(1, 'READ, byte for byte', write('d0', '/a/b', 'x\ny'), bytes('d0', [READ_AB], AB_VALUE)),
  row(
    2,
    'READ of a missing node, byte for byte',
    bytes('d0', [READ_AB], hex('10 00 00 00 00 00 00 00 00 00 00 00 07 00 00 00 45 4e 4f 45 4e 54 00')),
  ),
  row(
    3,
    'a message in pieces',
    write('d0', '/a/b', 'x\ny'),
    bytes('d0', [READ_AB.slice(0, 16), READ_AB.slice(16)], AB_VALUE),
    bytes(
      'd0',
      READ_AB.map((byte) => [byte]),
      AB_VALUE,
    ),
  ),
  row(
    4,
    'TRANSACTION_START, byte for byte',
    bytes(
      'd0',
      [hex('06 00 00 00 07 00 00 00 00 00 00 00 01 00 00 00 00')],
      hex('06 00 00 00 07 00 00 00 00 00 00 00 02 00 00 00 31 00'),
    ),
  ),
  row(
    5,
    'two requests in one chunk',
    write('d0', '/a/b', 'x\ny'),
    bytes('d0', [[...READ_AB, ...READ_AB]], [...AB_VALUE, ...AB_VALUE]),
  ),
  row(6, 'oversized', (world) => world.client('d0').sendBytes(header(2, 4097)), closedSilently('d0')),
  row(7, 'READ without payload', ask('d0', 'READ', '', '!EINVAL')),
  row(8, 'types nobody may send', ...[20, 99, 15, 16].map((type) => ask('d0', type, '\0', '!ENOSYS'))),
  row(9, 'no trailing NUL', ask('d0', 'READ', '/a', '!EINVAL')),
  row(10, 'two arguments for one', ask('d0', 'READ', z('/a', 'b'), '!EINVAL')),
  row(11, 'empty value', write('d0', '/w', ''), read('d0', '/w', '')),
  row(12, 'value with a NUL', write('d0', '/w', 'a\0b'), read('d0', '/w', 'a\0b')),
  row(13, 'parents are made', ...XYZ, ask('d0', 'DIRECTORY', z('/x'), z('y')), read('d0', '/x', '')),
  row(14, 'MKDIR of an existing node', ...XYZ, ask('d0', 'MKDIR', z('/x/y'), OK), read('d0', '/x/y/z', '1')),
  row(15, 'illegal character', write('d0', '/bad.path', '1', '!EINVAL')),
  row(16, 'malformed paths', ...['/a//b', '/a/', ''].map((path) => write('d0', path, '1', '!EINVAL'))),
  row(17, 'READ of a special path', read('d0', '@releaseDomain', '!EINVAL')),
  row(18, 'GET_PERMS of a special path', ask('d0', 'GET_PERMS', z('@releaseDomain'), /^n0\0/)),
  row(
    19,
    'path of 3073 bytes',
    read('d0', `/${'a'.repeat(3072)}`, '!EINVAL'),
    read('d0', `/${'a'.repeat(3071)}`, '!ENOENT'),
  ),
  row(20, 'relative path of dom0', write('d0', 'rel', '1'), read('d0', '/local/domain/0/rel', '1')),
  row(21, 'relative path of a guest', write('d5', 'data/k', 'v'), read('d5', '/local/domain/5/data/k', 'v')),
  row(22, 'inherited permissions', write('d5', 'data/k', 'v'), ask('d5', 'GET_PERMS', z('data/k'), z('n5'))),
  row(23, 'WRITE below a read-only parent', write('d5', 'name2', 'v', '!EACCES')),
  row(24, 'missing below a readable parent', read('d5', '/local/domain/5/none', '!ENOENT')),
  row(25, 'missing below an unreadable parent', read('d5', '/secret/none', '!EACCES')),
  row(26, 'WRITE into another domain', write('d5', '/local/domain/6/data/x', '1', '!EACCES')),
  row(27, 'RM of the root', ask('d0', 'RM', z('/'), '!EINVAL')),
  row(28, 'RM of a missing node', ...XYZ, ask('d0', 'RM', z('/x/none'), OK)),
  row(29, 'RM below a missing node', ask('d0', 'RM', z('/none/none'), '!ENOENT')),
  row(30, 'RM is recursive', ...XYZ, ask('d0', 'RM', z('/x'), OK), read('d0', '/x/y/z', '!ENOENT')),
  row(
    31,
    'children in creation order',
    ...['b', 'a', 'c'].map((name) => write('d0', `/o/${name}`, '')),
    ask('d0', 'DIRECTORY', z('/o'), z('b', 'a', 'c')),
  ),
  row(
    32,
    'a child made anew comes last',
    ...['b', 'a', 'c'].map((name) => write('d0', `/o/${name}`, '')),
    ask('d0', 'RM', z('/o/a'), OK),
    write('d0', '/o/a', ''),
    ask('d0', 'DIRECTORY', z('/o'), z('b', 'c', 'a')),
  ),
  row(
    33,
    'a new node inherits its permissions',
    write('d0', '/local/domain/5/device', ''),
    ask('d0', 'GET_PERMS', z('/local/domain/5/device'), z('n0', 'r5')),
  ),
  row(
    34,
    'SET_PERMS and GET_PERMS',
    write('d0', '/p', ''),
    permissions('/p', 'n5', 'r6'),
    ask('d0', 'GET_PERMS', z('/p'), z('n5', 'r6')),
  ),
  row(35, 'the owner sets permissions', ask('d5', 'SET_PERMS', z('data', 'n5', 'b0'), OK)),
  row(36, 'the owner may not give away', introduce(6), ask('d5', 'SET_PERMS', z('data', 'n6'), '!EPERM')),
  row(37, 'SET_PERMS without entries', write('d0', '/p', ''), ask('d0', 'SET_PERMS', z('/p'), '!EINVAL')),
  row(38, 'SET_PERMS with nonsense', write('d0', '/p', ''), ask('d0', 'SET_PERMS', z('/p', 'x5'), '!EINVAL')),
  row(
    39,
    'too many entries',
    ask('d5', 'SET_PERMS', z('data', 'n5', 'r0', 'r1', 'r2', 'r3', 'r4'), '!ENOSPC'),
  ),
  row(
    40,
    'who may read and write',
    introduce(6, 7),
    write('d0', '/p', 'v'),
    permissions('/p', 'r0', 'b5', 'n6'),
    read('d5', '/p', 'v'),
    read('d6', '/p', '!EACCES'),
    read('d7', '/p', 'v'),
    write('d5', '/p', 'w'),
    write('d7', '/p', 'w', '!EACCES'),
  ),
  row(
    41,
    'WATCH fires at once',
    bytes(
      'd0',
      [[...header(4, 5), ...Buffer.from('/a\0t\0')]],
      [
        ...header(4, 3),
        ...Buffer.from('OK\0'),
        ...hex('0f 00 00 00 00 00 00 00 00 00 00 00 05 00 00 00 2f 61 00 74 00'),
      ],
    ),
  ),
  row(42, 'the same watch twice', watch('d0', '/a', 't'), ask('d0', 'WATCH', z('/a', 't'), '!EEXIST')),
  row(43, 'another token', watch('d0', '/a', 't'), watch('d0', '/a', 'u'), events('d0', '/a:t', '/a:u')),
  row(
    44,
    'both tokens fire',
    watch('d0', '/a', 't'),
    watch('d0', '/a', 'u'),
    events('d0', '/a:t', '/a:u'),
    write('d0b', '/a/b', '1'),
    events('d0', '/a/b:t', '/a/b:u'),
  ),
  row(45, 'UNWATCH of nothing', ask('d0', 'UNWATCH', z('/a', 'nope'), '!ENOENT')),
  row(46, 'WATCH without a token', ask('d0', 'WATCH', z('/a'), '!EINVAL')),
  row(
    47,
    'what RM fires',
    write('d0', '/a/b/c', ''),
    watch('d0', '/a', '1'),
    watch('d0', '/a/b', '2'),
    watch('d0', '/a/b/c', '3'),
    events('d0', '/a:1', '/a/b:2', '/a/b/c:3'),
    ask('d0b', 'RM', z('/a/b'), OK),
    events('d0', '/a/b/c:3', '/a/b:1', '/a/b:2'),
  ),
  row(
    48,
    'relative watch',
    watch('d5', 'data', 't'),
    write('d0', '/local/domain/5/data/q', '1'),
    events('d5', 'data:t', 'data/q:t'),
  ),
  row(
    49,
    'no event without the right to read',
    watch('d5', '/secret', 't'),
    write('d0', '/secret', '1'),
    events('d5', '/secret:t'),
  ),
  row(50, 'WATCH ignores the transaction', ask('d0', 'WATCH', z('/a', 't'), OK, 999)),
  row(51, 'unknown transaction', read('d0', '/', '!ENOENT', 999)),
  row(52, 'END with nonsense', start('d0'), ask('d0', 'TRANSACTION_END', z('X'), '!EINVAL', 1)),
  row(53, 'END without transaction', ask('d0', 'TRANSACTION_END', z('T'), '!ENOENT')),
  row(54, 'START inside a transaction', start('d0'), ask('d0', 'TRANSACTION_START', '\0', '!EBUSY', 1)),
  row(
    55,
    'isolation',
    write('d0', '/k', '1'),
    start('d0'),
    write('d0', '/k', '2', OK, 1),
    read('d0b', '/k', '1'),
    commit('d0'),
    read('d0b', '/k', '2'),
  ),
  row(
    56,
    'conflict on a value',
    write('d0', '/k', '1'),
    start('d0'),
    read('d0', '/k', '1', 1),
    write('d0b', '/k', 'outside'),
    write('d0', '/k', '2', OK, 1),
    commit('d0', '!EAGAIN'),
    read('d0', '/k', 'outside'),
  ),
  row(
    57,
    'conflict on a missing node',
    start('d0'),
    read('d0', '/none', '!ENOENT', 1),
    write('d0b', '/none', '1'),
    commit('d0', '!EAGAIN'),
  ),
  row(
    58,
    'new siblings conflict',
    ask('d0', 'MKDIR', z('/dir'), OK),
    start('d0'),
    write('d0', '/dir/a', '1', OK, 1),
    write('d0b', '/dir/b', '1'),
    commit('d0', '!EAGAIN'),
  ),
  row(
    59,
    'existing siblings do not conflict',
    write('d0', '/dir/a', '0'),
    write('d0', '/dir/b', '0'),
    start('d0'),
    write('d0', '/dir/a', '1', OK, 1),
    write('d0b', '/dir/b', '1'),
    commit('d0'),
    read('d0', '/dir/a', '1'),
  ),
  row(
    60,
    'abort',
    write('d0', '/k', 'old'),
    start('d0'),
    write('d0', '/k', 'new', OK, 1),
    ask('d0', 'TRANSACTION_END', z('F'), OK, 1),
    read('d0', '/k', 'old'),
  ),
  row(
    61,
    'one event per node',
    watch('d0b', '/k', 't'),
    start('d0'),
    write('d0', '/k', '1', OK, 1),
    write('d0', '/k', '2', OK, 1),
    events('d0b', '/k:t'),
    commit('d0'),
    events('d0b', '/k:t'),
  ),
  row(
    62,
    'made and removed in one transaction',
    watch('d0b', '/', 't'),
    events('d0b', '/:t'),
    start('d0'),
    write('d0', '/k', '1', OK, 1),
    ask('d0', 'RM', z('/k'), OK, 1),
    commit('d0'),
    read('d0', '/k', '!ENOENT'),
    events('d0b'),
  ),
  row(
    63,
    'a closed connection aborts',
    watch('d0b', '/k', 't'),
    events('d0b', '/k:t'),
    start('d0'),
    write('d0', '/k', '1', OK, 1),
    disconnect('d0'),
    read('d0b', '/k', '!ENOENT'),
    events('d0b'),
  ),
  row(64, 'GET_DOMAIN_PATH', ask('d5', 'GET_DOMAIN_PATH', z('5'), z('/local/domain/5'))),
  row(
    65,
    'IS_DOMAIN_INTRODUCED',
    ask('d0', 'IS_DOMAIN_INTRODUCED', z('5'), z('T')),
    ask('d0', 'IS_DOMAIN_INTRODUCED', z('9'), z('F')),
  ),
  row(
    66,
    'not for guests',
    ask('d5', 'INTRODUCE', z('6', '1', '1'), '!EACCES'),
    ask('d5', 'CONTROL', z('help'), '!EACCES'),
    ask('d5', 'RESUME', z('5'), '!EACCES'),
  ),
  row(67, 'INTRODUCE with port 0', ask('d0', 'INTRODUCE', z('6', '1', '0'), '!EINVAL')),
  row(
    68,
    '@introduceDomain',
    watch('d0', '@introduceDomain', 't'),
    ask('d0b', 'INTRODUCE', z('6', '1', '1'), OK),
    events('d0', '@introduceDomain:t', '@introduceDomain:t'),
  ),
  row(
    69,
    'RELEASE',
    write('d5', 'data/k', '1'),
    watch('d0', '@releaseDomain', 't'),
    events('d0', '@releaseDomain:t'),
    ask('d0b', 'RELEASE', z('5'), OK),
    events('d0', '@releaseDomain:t'),
    read('d0', '/local/domain/5/data/k', '!ENOENT'),
  ),
  row(70, 'RELEASE of dom0', ask('d0', 'RELEASE', z('0'), '!EINVAL')),
  row(71, 'RELEASE of nobody', ask('d0', 'RELEASE', z('77'), '!ENOENT')),
  row(72, 'a long DIRECTORY', manyChildren, ask('d0', 'DIRECTORY', z('/many'), '!E2BIG')),
  row(73, 'DIRECTORY_PART by DIRECTORY_PART', manyChildren, partByPart),
  row(
    74,
    'DIRECTORY_PART without children',
    write('d0', '/leaf', ''),
    ask('d0', 'DIRECTORY_PART', z('/leaf', '0'), /^[0-9]+\0\0$/),
  ),
  row(75, 'a new child changes the generation', manyChildren, generationChanges),
  row(
    76,
    'RESET_WATCHES',
    watch('d0', '/a', 't'),
    start('d0'),
    ask('d0', 'RESET_WATCHES', '\0', OK),
    write('d0b', '/a', '1'),
    events('d0', '/a:t'),
    read('d0', '/', '!ENOENT', 1),
  ),
  row(
    81,
    'a failed lookup remembers the parent',
    ask('d0', 'MKDIR', z('/a'), OK),
    start('d0'),
    read('d0', '/a/none', '!ENOENT', 1),
    write('d0b', '/a/other', '1'),
    commit('d0', '!EAGAIN'),
  ),
  row(
    82,
    'the same value conflicts, too',
    write('d0', '/k', '1'),
    start('d0'),
    read('d0', '/k', '1', 1),
    write('d0b', '/k', '1'),
    commit('d0', '!EAGAIN'),
  ),
  row(
    83,
    'parents made on the way fire nothing',
    watch('d0b', '/', 't'),
    start('d0'),
    write('d0', '/n1/n2/n3', 'v', OK, 1),
    commit('d0'),
    events('d0b', '/:t', '/n1/n2/n3:t'),
  ),
  row(
    84,
    'events in order of first access',
    watch('d0b', '/', 't'),
    start('d0'),
    ...['/b', '/a', '/b'].map((path) => write('d0', path, '1', OK, 1)),
    commit('d0'),
    events('d0b', '/:t', '/b:t', '/a:t'),
  ),
  row(85, 'empty transactions', start('d0', 1), start('d0', 2), commit('d0', OK, 1), commit('d0', OK, 2)),
  row(
    86,
    'a list without its values',
    write('d0', '/dir/x', '1'),
    start('d0'),
    ask('d0', 'DIRECTORY', z('/dir'), z('x'), 1),
    write('d0b', '/dir/x', '2'),
    commit('d0'),
  ),
  row(
    87,
    'permissions conflict',
    write('d0', '/k', '1'),
    start('d0'),
    read('d0', '/k', '1', 1),
    ask('d0b', 'SET_PERMS', z('/k', 'n0', 'r5'), OK),
    commit('d0', '!EAGAIN'),
  ),
  row(
    88,
    'the same watch of two connections',
    watch('d0', '/a', 't'),
    watch('d0b', '/a', 't'),
    write('d0c', '/a', '1'),
    // The second event equals the first and may be merged with it only while that one is unread.
    async (world) => {
      expect(await world.client('d0').takeEvents()).toContain('/a:t');
      expect(await world.client('d0b').takeEvents()).toContain('/a:t');
    },
    write('d0c', '/a/b', '1'),
    events('d0', '/a/b:t'),
    events('d0b', '/a/b:t'),
  ),
  row(
    89,
    'RM of a missing node fires nothing',
    ask('d0', 'MKDIR', z('/a'), OK),
    watch('d0', '/a', 't'),
    ask('d0', 'RM', z('/a/none'), OK),
    events('d0', '/a:t'),
  ),
  row(
    90,
    'a node that never was',
    ask('d0', 'MKDIR', z('/a/b'), OK),
    watch('d0', '/a/b/c', 't'),
    ask('d0', 'RM', z('/a/b'), OK),
    events('d0', '/a/b/c:t'),
  ),
  row(
    91,
    'depth 1',
    ask('d0', 'WATCH', z('/', 't', '1'), OK),
    write('d0', '/x', ''),
    write('d0', '/x/y', ''),
    events('d0', '/:t', '/x:t'),
  ),
  row(
    92,
    'depth 0',
    ask('d0', 'WATCH', z('/a', 't', '0'), OK),
    events('d0', '/a:t'),
    write('d0', '/a', ''),
    write('d0', '/a/b', ''),
    events('d0', '/a:t'),
  ),
  row(93, 'negative depth', ask('d0', 'WATCH', z('/a', 't', '-1'), '!EINVAL')),
  row(
    94,
    'a special path nobody fires',
    watch('d0', '@nosuch', 't'),
    introduce(6),
    write('d0', '/a', '1'),
    events('d0', '@nosuch:t'),
  ),
  row(
    95,
    'relative watch of dom0',
    watch('d0', 'rel', 't'),
    write('d0', '/local/domain/0/rel/x', '1'),
    events('d0', 'rel:t', 'rel/x:t'),
  ),
  row(96, 'GET_FEATURE', ask('d0', 'GET_FEATURE', '', z('14'))),
  row(
    97,
    'features and quotas are not for guests',
    ask('d5', 'GET_FEATURE', z('5'), '!EACCES'),
    ask('d5', 'SET_FEATURE', z('5', '0'), '!EACCES'),
    ask('d5', 'GET_QUOTA', '', '!EACCES'),
  ),
  row(98, 'IS_DOMAIN_INTRODUCED of oneself', ask('d0', 'IS_DOMAIN_INTRODUCED', z('32752'), z('T'))),
  row(
    99,
    'how domids are read',
    ask('d0', 'GET_DOMAIN_PATH', z('007'), z('/local/domain/7')),
    ask('d0', 'GET_DOMAIN_PATH', z('x'), '!EINVAL'),
    ask('d0', 'GET_DOMAIN_PATH', z('70000'), '!EINVAL'),
  ),
  row(
    100,
    'SET_TARGET',
    introduce(6),
    write('d0', '/t', 'v'),
    permissions('/t', 'n5'),
    read('d6', '/t', '!EACCES'),
    ask('d0', 'SET_TARGET', z('6', '5'), OK),
    read('d6', '/t', 'v'),
    write('d6', '/t', 'w'),
  ),
  row(
    101,
    'a later domain inherits nothing',
    write('d0', '/p', 'v'),
    permissions('/p', 'n0', 'r5'),
    read('d5', '/p', 'v'),
    ask('d0', 'RELEASE', z('5'), OK),
    ask('d0', 'INTRODUCE', z('5', '1', '1'), OK),
    read('d5b', '/p', '!EACCES'),
  ),
  row(102, 'fifty requests before the first answer is read', fiftyRequests),
  row('103a', 'an unprivileged reader that never reads', slowReader('d5')),
  row('103b', 'a privileged reader that never reads', slowReader('d0')),
  row(
    104,
    'half a header, then the end',
    (world) => world.client('d0').sendBytes(header(2, 3).slice(0, 10)),
    disconnect('d0'),
    (world) => expect(world.server.statistics()).toMatchObject({ connections: 0, faults: 0 }),
  ),
];

describe('vectors of the specification', () => {
  it.each(ROWS)('row $id: $title', async ({ steps }) => {
    const world = new World();
    await world.prepare();
    for (const step of steps) await step(world);
    expect(world.server.statistics().faults).toBe(0);
  });
});
