import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XenStoreServer } from './server';
import { RawClient } from './testing/raw-client';
import { z } from './testing/scenario';
import type { MessageName } from './wire';

interface Op {
  readonly operation: MessageName;
  readonly payload: string;
}

const path = fc.constantFrom(
  '/a',
  '/a/b',
  '/a/b/c',
  '/a/d',
  '/e',
  '/local/domain/5/data',
  '/local/domain/5/data/x',
  '/',
  '/none/x',
);
const op: fc.Arbitrary<Op> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      operation: fc.constantFrom<MessageName>('READ', 'DIRECTORY', 'GET_PERMS'),
      payload: path.map((place) => z(place)),
    }),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(path, fc.constantFrom('1', '2'))
      .map(([place, value]) => ({ operation: 'WRITE' as const, payload: `${place}\0${value}` })),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      operation: fc.constantFrom<MessageName>('MKDIR', 'RM'),
      payload: path.map((place) => z(place)),
    }),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(path, fc.constantFrom('n5', 'n0', 'r0'))
      .map(([place, owner]) => ({ operation: 'SET_PERMS' as const, payload: z(place, owner, 'r5') })),
  },
);

/** Clients 0 and 1 are of dom0, 2 of domain 5. */
const DOMIDS = [0, 0, 5] as const;
const action = fc.record({
  who: fc.nat(2),
  kind: fc.constantFrom('start', 'op', 'op', 'op', 'op', 'outside', 'commit', 'abort'),
  op,
});

/** The tree without its generations. */
function contents(server: XenStoreServer): unknown {
  return server
    .snapshot()
    .nodes.map(({ path: place, value, permissions }) => ({ place, value, permissions }));
}

/** What the requests answer, and leave behind, when nothing else happens. */
async function alone(server: XenStoreServer, domid: number, ops: readonly Op[]) {
  const copy = new XenStoreServer();
  copy.restore(server.snapshot());
  const client = new RawClient(copy.connect({ domid }));
  const answers: string[] = [];
  for (const { operation, payload } of ops) answers.push(await client.ask(operation, payload));
  return { answers, contents: contents(copy) };
}

describe('transactions', () => {
  it('a committed one has done what it would have done alone at that moment; any other has done nothing', async () => {
    let commits = 0;
    let conflicts = 0;
    const property = fc.asyncProperty(fc.array(action, { minLength: 40, maxLength: 80 }), async (actions) => {
      const server = new XenStoreServer();
      server.introduceDomain(5);
      const clients = DOMIDS.map((domid) => ({
        domid,
        client: new RawClient(server.connect({ domid })),
        transaction: 0,
        ops: [] as Op[],
        answers: [] as string[],
      }));
      await clients[0]?.client.ask('MKDIR', z('/local/domain/5/data'));
      await clients[0]?.client.ask('SET_PERMS', z('/local/domain/5/data', 'n5'));

      for (const { who, kind, op: request } of actions) {
        const actor = clients[who];
        if (actor === undefined) continue;
        const { client, transaction } = actor;
        if (kind === 'start' && transaction === 0) {
          actor.transaction = Number((await client.ask('TRANSACTION_START', '\0')).slice(0, -1));
          actor.ops = [];
          actor.answers = [];
        } else if (kind === 'outside') {
          await client.ask(request.operation, request.payload);
        } else if (kind === 'op' && transaction !== 0) {
          actor.ops.push(request);
          actor.answers.push(await client.ask(request.operation, request.payload, transaction));
        } else if ((kind === 'commit' || kind === 'abort') && transaction !== 0) {
          const expected = await alone(server, actor.domid, actor.ops);
          const before = contents(server);
          const answer = await client.ask('TRANSACTION_END', z(kind === 'commit' ? 'T' : 'F'), transaction);
          actor.transaction = 0;
          if (kind === 'commit' && answer === 'OK\0') {
            commits += 1;
            expect(actor.answers).toEqual(expected.answers);
            expect(contents(server)).toEqual(expected.contents);
          } else {
            if (kind === 'commit') conflicts += 1;
            expect(answer).toBe(kind === 'commit' ? '!EAGAIN' : 'OK\0');
            expect(contents(server)).toEqual(before);
          }
        }
      }
      expect(server.statistics().faults).toBe(0);
    });
    await fc.assert(property, { numRuns: 300, seed: 8 });
    expect(commits).toBeGreaterThan(100);
    expect(conflicts).toBeGreaterThan(50);
  });
});
