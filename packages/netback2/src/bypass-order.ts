import { type HeldFinishes, PacketFlow } from '@netchannel2/netchannel2-link';
import type { DeferredWork, Frame } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import type { BypassEnd, KeptOrder } from './bypass-end';

/** A FINISH is held back at most this long (spec vif2.md §4.3). */
const LONGEST_HOLD = 1000;

/**
 * Order from one guest to another while they have a bypass: a FINISH tells the source that the destination has its packet and
 * all before it. Packets are forwarded with fragments, so that the destination finishes them too, and the source's FINISHes
 * wait for that (spec vif2.md §6.2). Once the source uses the bypass nothing comes this way any more.
 */
export class BypassOrder implements KeptOrder {
  private readonly held: HeldFinishes;
  /** Of the packets handed to the destination. */
  readonly flow = new PacketFlow(() => this.settle());
  private readonly work: DeferredWork = { deferred: false, run: () => this.look() };
  private timer: Subscription | undefined;
  private waiting = false;
  private more = false;

  /** @param late a FINISH waits for too long: nothing may be concluded from it, so the bypass has to go first. */
  constructor(
    readonly source: BypassEnd,
    private readonly destination: BypassEnd,
    private readonly late: () => void,
  ) {
    this.held = source.link.holdFinishes(destination.mac, () => this.added());
    destination.orders.push(this);
  }

  covers(frame: Frame | Uint8Array): boolean {
    return this.source.isSource(frame) && this.destination.isTarget(frame);
  }

  end(): void {
    this.timer?.unsubscribe();
    this.timer = undefined;
    const { orders } = this.destination;
    const place = orders.indexOf(this);
    if (place >= 0) orders.splice(place, 1);
    this.held.end();
  }

  private added(): void {
    this.timer ??= this.source.domain.scheduler.schedule(() => this.late(), LONGEST_HOLD);
    this.settle();
  }

  /** Packets are forwarded after their FINISH was held back: what to wait for is known behind the pass. */
  private settle(): void {
    this.more = true;
    this.source.domain.defer(this.work);
  }

  private look(): void {
    if (this.held.count === 0 || this.waiting) return;
    if (this.more) {
      this.more = false;
      this.waiting = true;
      this.destination.link.onTaken(false, () => {
        this.waiting = false;
        this.source.domain.defer(this.work);
      });
      return;
    }
    if (this.flow.unfinished > 0) return;
    this.timer?.unsubscribe();
    this.timer = undefined;
    this.held.release();
  }
}
