/** What a slot costs the backend: copied by its share of a batch, by size, or mapped and unmapped. Run by hand. */
import { Machine } from '@netchannel2/hypervisor';
import { bench, describe } from 'vitest';

const SLOTS = 64;
const machine = Machine.boot({ memoryBytes: 64 << 20 });
const host = machine.createDomain({ memoryPages: 4096 });
const guest = machine.createDomain({ memoryPages: 4096 });
const pages = guest.memory.allocate(SLOTS)?.pages ?? [];
const own = host.memory.allocate(SLOTS)?.pages ?? [];
const refs = pages.map((page) => {
  const ref = guest.grants.entries?.allocate();
  if (ref === undefined) throw new Error('the guest cannot grant');
  guest.grants.entries?.publishFullPage(ref, host.id, page.frame, true);
  return ref;
});
const batch = host.foreign.createCopyBatch(SLOTS);

describe(`${SLOTS} slots`, () => {
  for (const size of [64, 256, 1514, 4096]) {
    bench(`copied, ${size} bytes each`, () => {
      batch.clear();
      refs.forEach((ref, index) => {
        const page = own[index];
        if (page !== undefined) batch.addFromGrant(guest.id, ref, 0, page, 0, size);
      });
      batch.submit();
    });
  }

  bench('mapped and unmapped', () => {
    for (const ref of refs) {
      const mapped = host.foreign.map(guest.id, [ref], 'readonly');
      if (typeof mapped === 'number') throw new Error(`map: ${mapped}`);
      mapped.unmap();
    }
  });
});
