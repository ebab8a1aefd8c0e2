import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XenStoreServer } from './server';
import { checkSnapshot } from './snapshot';
import { RawClient, settle } from './testing/raw-client';
import { encodeMessage, MESSAGE_TYPE, PAYLOAD_MAX } from './wire';

/** More messages, or the ones of a failure again: XENSTORE_FUZZ_MESSAGES=1000000 XENSTORE_FUZZ_SEED=1 */
const MESSAGES = Number(process.env.XENSTORE_FUZZ_MESSAGES ?? 10_000);
const SEED = Number(process.env.XENSTORE_FUZZ_SEED ?? 20_240_601);
const PER_RUN = 200;

const name = fc.constantFrom('a', 'b', 'data', 'local', 'domain', '5', '0', 'tool', '@', 'x'.repeat(300));
const path = fc.oneof(
  fc.array(name, { minLength: 1, maxLength: 6 }).map((names) => `/${names.join('/')}`),
  fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/')),
  fc.array(name, { maxLength: 2 }).map((names) => `/local/domain/5/data/${names.join('/')}`),
  fc.constantFrom(
    '/',
    '',
    '//',
    '/a/',
    '/local/domain/5',
    '@introduceDomain',
    '@releaseDomain',
    '@x',
    '/bad.path',
  ),
);
const word = fc.oneof(
  path,
  fc.constantFrom(
    'T',
    'F',
    '0',
    '1',
    '5',
    '6',
    '65535',
    '-1',
    'n5',
    'r0',
    'b32757',
    'w0x5',
    'q1',
    'nodes',
    'quota',
    'set',
  ),
  fc.string({ unit: 'binary', maxLength: 30 }).map((text) => Buffer.from(text, 'utf8').toString('latin1')),
);
const payload = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.array(word, { maxLength: 4 }).map((words) => words.map((each) => `${each}\0`).join('')),
  },
  { weight: 3, arbitrary: fc.tuple(path, word).map(([place, value]) => `${place}\0${value}`) },
  { weight: 1, arbitrary: fc.nat(PAYLOAD_MAX).map((length) => 'v'.repeat(length)) },
);
const type = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...Object.values(MESSAGE_TYPE)) },
  { weight: 1, arbitrary: fc.nat(0xffffffff) },
);
const mutation = fc.oneof(
  { weight: 12, arbitrary: fc.constant(undefined) },
  { weight: 1, arbitrary: fc.record({ at: fc.nat(40), value: fc.nat(255) }) },
);
const step = fc.record({
  who: fc.nat(3),
  type,
  payload: payload.map((text) => text.slice(0, PAYLOAD_MAX)),
  transactionId: fc.constantFrom(0, 0, 0, 1, 1, 2, 77),
  mutation,
  cut: fc.nat(60),
});

const DOMIDS = [0, 5, 5, 6] as const;

/** The tree hangs together, and the counts are those of the tree. */
async function checkConsistency(server: XenStoreServer): Promise<void> {
  const snapshot = checkSnapshot(JSON.parse(JSON.stringify(server.snapshot())));
  const tree = snapshot.nodes.filter((node) => node.path.startsWith('/'));
  expect(server.statistics()).toMatchObject({ nodes: tree.length, faults: 0 });
  const children = new Map<string, string[]>(tree.map((node) => [node.path, []]));
  const owned = new Map<number, number>();
  for (const node of snapshot.nodes) {
    const parent = node.path.slice(0, Math.max(1, node.path.lastIndexOf('/')));
    if (node.path.startsWith('/') && node.path !== '/') {
      children.get(parent)?.push(node.path.slice(node.path.lastIndexOf('/') + 1));
    }
    const owner = Number(node.permissions[0]?.replace(/[^0-9]/g, ''));
    owned.set(owner, (owned.get(owner) ?? 0) + 1);
  }
  for (const domid of [0, 5, 6]) expect(server.domainStatistics(domid).nodes).toBe(owned.get(domid) ?? 0);
  const client = new RawClient(server.connect({ domid: 0 }));
  for (const [place, names] of children) {
    expect(await client.ask('DIRECTORY', `${place}\0`)).toBe(names.map((each) => `${each}\0`).join(''));
  }
  client.duplex.close();
}

describe('the daemon under fuzz', () => {
  it(`answers or drops the client, ${MESSAGES} messages, seed ${SEED}`, { timeout: 3_600_000 }, async () => {
    const property = fc.asyncProperty(
      fc.array(step, { minLength: PER_RUN, maxLength: PER_RUN }),
      async (steps) => {
        const server = new XenStoreServer({ quotas: { nodes: 50 } });
        server.introduceDomain(5);
        server.introduceDomain(6);
        const setup = new RawClient(server.connect({ domid: 0 }));
        await setup.ask('MKDIR', '/local/domain/5/data\0');
        await setup.ask('SET_PERMS', '/local/domain/5/data\0n5\0b6\0');
        const connect = (index: number) => new RawClient(server.connect({ domid: DOMIDS[index] ?? 0 }));
        const clients = DOMIDS.map((_, index) => connect(index));

        for (const { who, mutation: change, cut, ...message } of steps) {
          let client = clients[who];
          if (client === undefined || client.closed) {
            client = connect(who);
            clients[who] = client;
          }
          const bytes = encodeMessage({ ...message, requestId: 1 });
          if (change !== undefined) bytes[change.at % bytes.length] = change.value;
          client.sendBytes(bytes.subarray(0, cut));
          client.sendBytes(bytes.subarray(cut));
          await settle();
        }
        expect(await setup.ask('GET_DOMAIN_PATH', '5\0')).toBe('/local/domain/5\0');
        await checkConsistency(server);
        for (const client of [...clients, setup]) client.duplex.close();
        await settle();
        expect(server.statistics()).toMatchObject({
          watches: 0,
          transactions: 0,
          connections: 0,
          queuedBytes: 0,
        });
      },
    );
    await fc.assert(property, { numRuns: Math.ceil(MESSAGES / PER_RUN), seed: SEED, endOnFailure: true });
  });
});
