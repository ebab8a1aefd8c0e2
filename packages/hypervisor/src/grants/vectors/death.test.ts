import { describe } from 'vitest';
import { A, B, C, type GrantBench } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

const DEATH: readonly VectorRow[] = [
  [
    'D1: a mapper dies: bits and pins go before its ports close',
    (b) => {
      b.e(1, B, b.F);
      for (let count = 0; count < 3; count++) b.map(2);
      const port = b.domain(A).events.allocateUnbound(b.domain(B).id);
      if (typeof port === 'string') return port;
      b.domain(B).events.bindInterdomain(b.domain(A).id, port);
      const entry = b.entry();
      const seen: number[] = [];
      const { events } = b.machine.hypervisor;
      const closeAll = events.closeAll.bind(events);
      Object.assign(events, {
        closeAll: (block: number) => {
          seen.push((b.words[entry] as number) & 0xffff);
          closeAll(block);
        },
      });
      b.machine.destroyDomain(B);
      return [seen, b.pin(), b.machine.accounting(A)?.activeGrants];
    },
    [[1], 0, 0],
  ],
  [
    'D2 and D3: a granter dies while its page is mapped',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      const { bytes, base } = b.page(A, 0);
      b.machine.destroyDomain(A);
      const still = String.fromCharCode(bytes[base] as number);
      const zombie = b.machine.grantEntries(A) !== undefined;
      // A grant in use is mapped again by its record, as on Xen 4.17.
      const answers = [b.map(6), b.un(0), b.un(1), b.machine.grantEntries(A)];
      return [still, zombie, ...answers, b.map(6), b.from(), b.getVersion(0, A)];
    },
    ['F', true, 0, 0, 0, undefined, -2, -2, -3],
  ],
  [
    'D2: an idle grant of a dying domain: its memory is gone',
    (b) => {
      b.e(1, B, b.F);
      b.e(1, B, b.G, 9);
      b.map(6);
      b.machine.destroyDomain(A);
      return [b.map(6, { ref: 9 }), b.from(0, 4, 9), b.un()];
    },
    [-9, -9, 0],
  ],
  [
    'D4: a dead granter’s id stays taken while its page is mapped',
    (b) => {
      b.e(1, B, b.F);
      b.map(6);
      b.machine.destroyDomain(A);
      return [b.machine.hypervisor.domains.block(A) !== 0, b.un(), b.machine.hypervisor.domains.block(A)];
    },
    [true, 0, 0],
  ],
];

const HYPERCALL: readonly VectorRow[] = [
  ['H1: a count with bit 31', (b) => b.call(A, 0, 0x8000_0000), -22],
  ['H1: the same, negative', (b) => b.call(A, 0, -1), -22],
  ['H2: no such operation', (b) => [b.call(A, 13, 1), b.call(0, 13, 1)], [-38, -38]],
  [
    'H3: bits of a continuation',
    (b) => [b.call(0, 5 + (1 << 12), 1), b.call(A, 5 + (1 << 12), 1)],
    [-22, -38],
  ],
  ['H4: nothing to do', (b) => [b.call(A, 0, 0), b.call(A, 5, 0), b.call(A, 1, 0)], [0, 0, 0]],
  [
    'an argument outside the caller’s memory',
    (b) => [b.call(A, 5, 1, b.argument(B)), b.call(A, 0, 100_000, b.argument(A)), b.call(A, 0, 1, -64)],
    [-14, -14, -14],
  ],
];

const offered = (b: GrantBench, flags = 2, ref = 8): void => b.e(flags, B, 0, ref);
const pages = (b: GrantBench, domid: number): number =>
  b.words[b.machine.hypervisor.domains.block(domid) + 4] as number;

const TRANSFER: readonly VectorRow[] = [
  [
    'X1: a page changes hands',
    (b) => {
      offered(b);
      roomFor(b, A);
      const before = [pages(b, A), pages(b, B)];
      const status = b.transfer(B, b.ownFrame, A, 8);
      const owner = b.host.pageOwner(b.ownFrame);
      const moved = [pages(b, A) - (before[0] ?? 0), pages(b, B) - (before[1] ?? 0)];
      return [status, b.flags(), b.frameField() === b.ownFrame, owner, moved];
    },
    [0, 0xe, true, A, [1, -1]],
  ],
  [
    'X2: an entry that offers nothing: the page is lost',
    (b) => {
      roomFor(b, A);
      const frames = [0, 1, 2].map((index) => b.frame(B, index));
      const statuses = [6, 0x102, 1].map((flags, index) => {
        offered(b, flags);
        return b.transfer(B, frames[index] ?? 0, A, 8);
      });
      return [statuses, frames.map((frame) => b.host.pageOwner(frame)), b.flags()];
    },
    [[-1, -1, -1], [-1, -1, -1], 1],
  ],
  [
    'X3: a page of another, and one in use: kept',
    (b) => {
      offered(b);
      roomFor(b, A);
      b.e(1, C, b.ownFrame, 8, B);
      b.map(6, { caller: C, dom: B });
      return [
        b.transfer(B, b.F, A, 8),
        b.transfer(B, b.ownFrame, A, 8),
        b.host.pageOwner(b.ownFrame),
        b.flags(),
      ];
    },
    [-9, -9, B, 2],
  ],
  [
    'X4: switched off',
    (b) => b.transfer(B, b.ownFrame, A, 8),
    -95,
    { machine: { grantTables: { transfer: false } } },
  ],
  [
    'an unknown target: the page is lost',
    (b) => [b.transfer(B, b.ownFrame, 77, 8), b.host.pageOwner(b.ownFrame)],
    [-2, -1],
  ],
  [
    'a target at its limit',
    (b) => [offered(b), b.transfer(B, b.ownFrame, A, 8), b.flags()].slice(1),
    [-1, 2],
  ],
  [
    'an offer out of range',
    (b) => {
      roomFor(b, A);
      return [b.transfer(B, b.ownFrame, A, 9999), b.host.pageOwner(b.ownFrame)];
    },
    [-1, -1],
  ],
];

/** Raises a domain's limit of pages by one. */
function roomFor(b: GrantBench, domid: number): void {
  const limit = b.machine.hypervisor.domains.block(domid) + 5;
  b.words[limit] = (b.words[limit] as number) + 1;
}

describe('death', () => checkRows(DEATH));
describe('the hypercall as a whole', () => checkRows(HYPERCALL));
describe('transfer, version 1', () => checkRows(TRANSFER, { kind: 'pv' }));
describe('transfer, version 2', () => checkRows(TRANSFER, { kind: 'pv', versions: [2, 1, 1] }));
