import { writeFileSync } from 'node:fs';
import { PAGE_SIZE } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { openProbedHost } from './dom0-host';

const ROUNDS = 40;
/** Bytes of what is moved: a small frame, a usual one, a page, the largest. */
const SIZES = [64, 1514, 4096, 65_536] as const;

/**
 * What it costs to bring bytes of a peer's pages here: by grant copies in one batch, or by mapping the pages, copying, and
 * unmapping. Emulated, so only the ratio of the two says something; it is recorded, and never judged by a clock.
 */
export function describeTransferCosts(): void {
  describe('grant copies and mappings', () => {
    it('bring the same bytes; what each took is written down', async () => {
      const granter = await openProbedHost(64);
      const taker = await openProbedHost(64);
      const pages = granter.domain.grants.share(taker.domain.id, 16, 'readonly');
      const own = taker.domain.memory.allocate(16);
      if (pages === undefined || own === undefined) throw new Error('no pages');
      pages.area.bytes.fill(0x5a);
      const owner = granter.domain.id;
      const lines: string[] = [];
      for (const size of SIZES) {
        const count = Math.ceil(size / PAGE_SIZE);
        const refs = pages.refs.slice(0, count);
        const batch = taker.domain.foreign.createCopyBatch(16);
        let copy = 0;
        let map = 0;
        for (let round = 0; round < ROUNDS; round++) {
          own.bytes.fill(0, own.base, own.base + own.byteLength);
          let begin = performance.now();
          batch.clear();
          refs.forEach((ref, page) => {
            const at = page * PAGE_SIZE;
            batch.addFromGrant(owner, ref, 0, own, at, Math.min(PAGE_SIZE, size - at));
          });
          batch.submit();
          copy += performance.now() - begin;
          expect(own.bytes[own.base + size - 1]).toBe(0x5a);
          own.bytes.fill(0, own.base, own.base + own.byteLength);
          begin = performance.now();
          const mapping = taker.domain.foreign.map(owner, refs, 'readonly');
          if (typeof mapping === 'number') throw new Error(`not mapped: ${mapping}`);
          taker.domain.memory.copy(own, 0, mapping.area, 0, size);
          mapping.unmap();
          map += performance.now() - begin;
          expect(own.bytes[own.base + size - 1]).toBe(0x5a);
        }
        lines.push(
          `${size} bytes: ${ROUNDS} times copied ${copy.toFixed(1)} ms, mapped ${map.toFixed(1)} ms, ratio ${(map / copy).toFixed(1)}`,
        );
      }
      writeFileSync('/out/transfer-costs.txt', `${lines.join('\n')}\n`);
      console.log(lines.join('\n'));
      pages.end();
      for (const host of [granter, taker]) host.close();
    });
  });
}
