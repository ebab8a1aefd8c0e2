import type { DomainMemory, GrantEntries, GrantRef, PageArea } from '@netchannel2/xen';

/**
 * Ends grants on the pages of one area. The area goes back when the last of them ended: a page that a peer may still
 * write to is never reused.
 *
 * @returns how many were still in use.
 */
export function endShare(
  entries: GrantEntries,
  memory: DomainMemory,
  area: PageArea,
  refs: readonly GrantRef[],
): number {
  const held: GrantRef[] = [];
  for (const ref of refs) {
    if (entries.revoke(ref)) entries.free(ref);
    else held.push(ref);
  }
  let left = held.length;
  if (left === 0) memory.free(area);
  for (const ref of held) {
    entries.revokeDeferred(ref, () => {
      left--;
      if (left === 0) memory.free(area);
    });
  }
  return held.length;
}
