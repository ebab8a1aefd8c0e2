/** cache_flush, which only Arm has, and the advisory about it (spec grant-tables.md §7.11, §11). */
import { describe } from 'vitest';
import { A, B, type GrantBench } from './grant-bench';
import { checkRows, type VectorRow } from './vector-rows';

const ARM = { machine: { grantTables: { architecture: 'arm' } } } as const;
const PV = { kind: 'pv' } as const;
const CACHE_FLUSH = 12;

/** B flushes part of a machine frame; operation 1 cleans, 2 invalidates. */
function flush(b: GrantBench, frame: number, offset = 0, length = 4096, operation = 1): number {
  const address = frame * 4096;
  const base = b.argument(B) >>> 2;
  b.words[base] = address | 0;
  b.words[base + 1] = Math.floor(address / 2 ** 32);
  b.words[base + 2] = offset | (length << 16);
  b.words[base + 3] = operation;
  return b.call(B, CACHE_FLUSH, 1);
}

const ROWS: readonly VectorRow[] = [
  [
    'XSA-232: cache_flush of a page of Xen’s own is refused, as is one of a page not mapped',
    (b) => {
      b.e(1, B, b.F);
      const xens = b.machine.hypervisor.grants.tableFrame(A, 0, false);
      const page = b.machineFrame(A, b.F);
      const before = flush(b, page);
      const mapped = [b.map(6), flush(b, page), flush(b, page, 4000, 96), b.un(), flush(b, page)];
      return [flush(b, xens), flush(b, 0x7f_ffff), before, mapped, flush(b, b.machineFrame(B, b.ownFrame))];
    },
    [-1, -22, -22, [0, 0, 0, 0, -22], 0],
    ARM,
  ],
  [
    'XSA-232: cache_flush refuses ranges beyond the page and operations that are none',
    (b) => {
      const own = b.machineFrame(B, b.ownFrame);
      const refused = [
        flush(b, own, 4096, 1),
        flush(b, own, 0, 4097),
        flush(b, own, 4000, 97),
        flush(b, own, 0, 4, 4),
      ];
      return [refused, flush(b, own, 0, 4, 0x8000_0001), flush(b, own, 0, 0), flush(b, own, 0, 4, 0)];
    },
    [[-22, -22, -22, -22], -22, 0, 0],
    ARM,
  ],
  ['XSA-232: x86 has no cache_flush', (b) => flush(b, b.machineFrame(B, b.ownFrame)), -38, PV],
];

describe('cache_flush', () => checkRows(ROWS));
