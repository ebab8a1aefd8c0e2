import type { Domain, DomainId, GrantRef } from '@netchannel2/xen';

/** What a domain does over and over with pages that another one granted it. */
export type GranteeWork =
  | { readonly kind: 'map-unmap' }
  | { readonly kind: 'copy'; readonly bytes: number; readonly batch: number };

/** References a kind of work needs, each of another page. */
export function refsFor(work: GranteeWork): number {
  return work.kind === 'copy' ? work.batch : 1;
}

/**
 * Work of `domain` on grants of `granter`: a function that does `count` operations, a map with its unmap or one copy each.
 *
 * @throws Error where the grants do not work, now or when the function runs.
 */
export function granteeWork(
  domain: Domain,
  granter: DomainId,
  refs: readonly GrantRef[],
  work: GranteeWork,
): (count: number) => void {
  return work.kind === 'copy'
    ? copying(domain, granter, refs, work.bytes, work.batch)
    : mapping(domain, granter, refs);
}

function mapping({ foreign }: Domain, granter: DomainId, refs: readonly GrantRef[]): (count: number) => void {
  return (count) => {
    for (let done = 0; done < count; done++) {
      const mapped = foreign.map(granter, refs, 'readwrite');
      if (typeof mapped === 'number') throw new Error(`map answered ${mapped}`);
      mapped.unmap();
    }
  };
}

function copying(
  { foreign, memory }: Domain,
  granter: DomainId,
  refs: readonly GrantRef[],
  bytes: number,
  batch: number,
): (count: number) => void {
  const copies = foreign.createCopyBatch(batch);
  const own = memory.allocate(batch);
  if (own === undefined) throw new Error('no memory for the benchmark');
  return (count) => {
    for (let done = 0; done < count; done += batch) {
      copies.clear();
      for (let index = 0; index < batch; index++) {
        copies.addFromGrant(granter, refs[index] as GrantRef, 0, own, index * 4096, bytes);
      }
      copies.submit();
      if (copies.status(batch - 1) !== 0) throw new Error(`copy answered ${copies.status(batch - 1)}`);
    }
  };
}
