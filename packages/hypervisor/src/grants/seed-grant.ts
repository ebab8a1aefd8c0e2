import { PAGE_SHIFT } from '@netchannel2/xen';
import type { Hypervisor } from '../hypervisor';

/** `GTF_permit_access`, writable. */
const PERMIT_ACCESS = 1;
/** Words of an entry of version 1: flags and grantee, then the frame. */
const ENTRY_WORDS = 2;

/** The entry by which a domain's builder grants the xenstore page (`GNTTAB_RESERVED_XENSTORE`). */
export const RESERVED_XENSTORE = 1;

/**
 * Publishes a reserved entry (0 … 7) in the table of a domain that has not run yet, as its builder does: the table has
 * version 1 and one frame, and a change of version keeps the reserved entries.
 */
export function seedGrant(
  hypervisor: Hypervisor,
  domid: number,
  ref: number,
  peer: number,
  guestFrame: number,
): void {
  const { words } = hypervisor.memory;
  const frame = hypervisor.grants.tableFrame(domid, 0, false);
  const entry = (frame << (PAGE_SHIFT - 2)) + ref * ENTRY_WORDS;
  words[entry + 1] = guestFrame;
  Atomics.store(words, entry, PERMIT_ACCESS | (peer << 16));
}
