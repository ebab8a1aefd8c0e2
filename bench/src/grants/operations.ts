/**
 * Operations on grants, one thread: a guest publishes and revokes, dom0 maps and copies through the ports a driver uses.
 */
import { Machine } from '@netchannel2/hypervisor';
import type { Domain, GrantEntries, GrantRef, PageArea } from '@netchannel2/xen';
import { medianRate, type RateOptions } from '../rate';

export type GrantTableVersion = 1 | 2;

interface Pair {
  readonly machine: Machine;
  readonly dom0: Domain;
  readonly guest: Domain;
  readonly entries: GrantEntries;
  readonly area: PageArea;
  readonly own: PageArea;
}

function pair(version: GrantTableVersion): Pair {
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const dom0 = machine.createDomain({ memoryPages: 512, grantTableVersion: version });
  const guest = machine.createDomain({ memoryPages: 512, grantTableVersion: version });
  const area = guest.memory.allocate(64);
  const own = dom0.memory.allocate(64);
  const { entries } = guest.grants;
  if (area === undefined || own === undefined || entries === undefined)
    throw new Error('no memory for the benchmark');
  return { machine, dom0, guest, entries, area, own };
}

/** A page of `area`, by any number. */
function frameOf({ pages }: PageArea, index: number) {
  const page = pages[index % pages.length];
  if (page === undefined) throw new Error('an area has pages');
  return page.frame;
}

/** Publications with their revocations, per second. */
export async function publishRevokeRate(version: GrantTableVersion, options: RateOptions): Promise<number> {
  const { machine, dom0, entries, area } = pair(version);
  const ref = entries.allocate();
  const frame = frameOf(area, 0);
  const rate = await medianRate((count) => {
    for (let done = 0; done < count; done++) {
      entries.publishFullPage(ref, dom0.id, frame, true);
      if (!entries.revoke(ref)) throw new Error('in use by nobody');
    }
  }, options);
  machine.shutdown();
  return rate;
}

/** Maps of one page with their unmaps, per second: two hypercalls each. */
export async function mapUnmapRate(version: GrantTableVersion, options: RateOptions): Promise<number> {
  const { machine, dom0, guest, entries, area } = pair(version);
  const ref = entries.allocate();
  entries.publishFullPage(ref, dom0.id, frameOf(area, 0), false);
  const refs = [ref];
  const rate = await medianRate((count) => {
    for (let done = 0; done < count; done++) {
      const mapping = dom0.foreign.map(guest.id, refs, 'readwrite');
      if (typeof mapping === 'number') throw new Error(`map answered ${mapping}`);
      mapping.unmap();
    }
  }, options);
  machine.shutdown();
  return rate;
}

/** Copies of `bytes` out of grants, per second, `batch` to a hypercall, each of another grant. */
export async function copyRate(
  version: GrantTableVersion,
  bytes: number,
  batch: number,
  options: RateOptions,
): Promise<number> {
  const { machine, dom0, guest, entries, area, own } = pair(version);
  const refs: GrantRef[] = [];
  for (let index = 0; index < Math.max(batch, 2); index++) {
    const ref = entries.allocate();
    entries.publishFullPage(ref, dom0.id, frameOf(area, index), true);
    refs.push(ref);
  }
  const copies = dom0.foreign.createCopyBatch(batch);
  const rate = await medianRate((count) => {
    for (let done = 0; done < count; done += batch) {
      copies.clear();
      for (let index = 0; index < batch; index++) {
        copies.addFromGrant(guest.id, refs[index] as GrantRef, 0, own, index * 4096, bytes);
      }
      copies.submit();
      if (copies.status(batch - 1) !== 0) throw new Error(`copy answered ${copies.status(batch - 1)}`);
    }
  }, options);
  machine.shutdown();
  return rate;
}
