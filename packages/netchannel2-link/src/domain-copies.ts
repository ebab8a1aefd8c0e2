import type { Domain, GrantCopyBatch } from '@netchannel2/xen';

/** Elements that fill one page where a batch lies in the domain's memory. */
const CAPACITY = 102;

const batches = new WeakMap<Domain, GrantCopyBatch>();

/**
 * The copy batch all links of a domain share. A link fills, submits and empties it before any other code runs, and a batch
 * costs a page that cannot be given back.
 */
export function domainCopies(domain: Domain): GrantCopyBatch {
  let batch = batches.get(domain);
  if (batch === undefined) {
    batch = domain.foreign.createCopyBatch(CAPACITY);
    batches.set(domain, batch);
  }
  return batch;
}
