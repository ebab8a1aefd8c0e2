import type { Domain, GrantCopyBatch } from '@netchannel2/xen';

/** Elements that fill one page where a batch lies in the domain's memory. */
const CAPACITY = 102;

/**
 * Copy batches that all links of a domain share. A link fills, submits and empties one before any other code runs that could
 * use it, and a batch costs a page that cannot be given back.
 */
class DomainCopies {
  private readonly batches = new WeakMap<Domain, GrantCopyBatch>();

  of(domain: Domain): GrantCopyBatch {
    let batch = this.batches.get(domain);
    if (batch === undefined) {
      batch = domain.foreign.createCopyBatch(CAPACITY);
      this.batches.set(domain, batch);
    }
    return batch;
  }
}

/** For the packets of a pass, which are gathered while forwarders are asked. */
const passCopies = new DomainCopies();
/** For single packets, whose bytes are asked for while a pass is gathered. */
const singleCopies = new DomainCopies();

export function domainCopies(domain: Domain): GrantCopyBatch {
  return passCopies.of(domain);
}

export function domainSingleCopies(domain: Domain): GrantCopyBatch {
  return singleCopies.of(domain);
}
