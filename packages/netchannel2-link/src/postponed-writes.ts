import type { DeferredWork, Domain } from '@netchannel2/xen';

/**
 * What others want to write into a ring amid the writing of a message: somebody who was asked for a frame's bytes has called. It
 * is written in the domain's next turn, in order.
 */
export class PostponedWrites {
  private readonly writes: (() => void)[] = [];
  private readonly work: DeferredWork = { deferred: false, run: () => this.run() };

  constructor(private readonly domain: Domain) {}

  add(write: () => void): void {
    this.writes.push(write);
    this.domain.defer(this.work);
  }

  private run(): void {
    for (const write of this.writes.splice(0)) write();
  }
}
