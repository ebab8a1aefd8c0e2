import type { Domain, ForeignMemory, GrantCopyBatch } from '@netchannel2/xen';

/** Copies of one hypercall, the most a batch takes. */
export const BATCH_COPIES = 512;

/**
 * Copy batches of a driver's domains. A batch keeps memory for the arguments of its hypercall and has no end of its own,
 * so connections borrow batches and the next one gets the same again.
 */
export class CopyBatches {
  private readonly idle = new WeakMap<ForeignMemory, GrantCopyBatch[]>();

  borrow(domain: Domain): GrantCopyBatch {
    return this.idle.get(domain.foreign)?.pop() ?? domain.foreign.createCopyBatch(BATCH_COPIES);
  }

  giveBack(domain: Domain, batch: GrantCopyBatch): void {
    batch.clear();
    const batches = this.idle.get(domain.foreign);
    if (batches === undefined) this.idle.set(domain.foreign, [batch]);
    else batches.push(batch);
  }
}
