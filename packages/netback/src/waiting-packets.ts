import { type CopiedPacket, type FramePool, type HotStream, pagesOf } from '@netchannel2/frames';
import { type Domain, type LeasedPage, PAGE_SIZE } from '@netchannel2/xen';
import type { NetbackCounters } from './frame-drops';
import { GuestPatience, type PatienceOwner } from './guest-patience';
import type { PostedBuffers } from './posted-buffers';
import { ReceiveBacklog } from './receive-backlog';
import type { ReceivePacket } from './receive-packet';

/**
 * Passes of the domain after which packets lie in pages of this vif's own: so many that a guest on the same thread has had its
 * turn.
 */
const BORROW_PASSES = 6;

/**
 * The packets to a guest that posted too few buffers: a queue of bounded size, and what becomes of it. It is placed as
 * buffers come; packets that wait for too long are given up, and a guest that posts nothing for too long counts as stalled.
 */
export class WaitingPackets implements PatienceOwner {
  /** Pages of this vif's own. */
  readonly pages: ReceiveBacklog;
  /** Whether `send` refused a frame since `writable$` last emitted. */
  private refused = false;
  /** When the pass under way began to queue; -1 when it has not. */
  private passTime = -1;
  /** Passes for which pages may stay borrowed. */
  private borrowPasses = 0;
  /** Slots the first packet that found too few needs. */
  private wanted = 0;
  private readonly patience: GuestPatience;

  constructor(
    private readonly domain: Domain,
    private readonly buffers: PostedBuffers,
    pool: FramePool,
    /** Whether the guest notifies when it posts buffers. */
    notifies: boolean,
    /** Filled with what a waiting packet says. */
    private readonly packet: ReceivePacket,
    private readonly counters: NetbackCounters,
    private readonly writable$: HotStream<void>,
    private readonly carrierChanged: (on: boolean) => void,
  ) {
    this.pages = new ReceiveBacklog(pool);
    this.patience = new GuestPatience(domain.scheduler, notifies, this);
  }

  get isEmpty(): boolean {
    return this.pages.length === 0;
  }

  get isStalled(): boolean {
    return this.patience.isStalled;
  }

  /** Lets a packet wait whose one page is taken over; answers `false`, nothing taken, when there is no room. */
  borrow(packet: ReceivePacket, page: LeasedPage, offset: number): boolean {
    const { pages } = this;
    if (!pages.takes(packet.length)) return false;
    if (pages.available < 1) this.buffers.flush();
    if (pages.available < 1 || !this.buffers.isOpen) return false;
    if (pages.borrowed === 0) this.borrowPasses = BORROW_PASSES;
    page.acquire();
    this.add(packet);
    pages.borrowPage(page, offset, packet.length);
    return true;
  }

  /** Takes pages for a copied packet that the ring or the queue will take, all or none. */
  takeCopy(copy: CopiedPacket, length: number): boolean {
    const { pages } = this;
    if (!pages.takes(length)) return false;
    if (pages.available < pagesOf(length)) this.buffers.flush();
    return copy.take(pages, length);
  }

  /** Lets a packet wait that was copied to pages from {@link pages}, which are taken over. */
  hold(packet: ReceivePacket, copy: CopiedPacket): void {
    this.add(packet);
    const count = pagesOf(packet.length);
    for (let index = 0; index < count; index += 1) this.pages.addPage(copy.page(index));
  }

  /** `send` refused a frame: `writable$` emits when nothing waits any more. */
  refuse(): void {
    this.refused = true;
  }

  /** End of a pass. Answers whether there is to be another one soon. */
  passed(): boolean {
    this.passTime = -1;
    if (this.pages.borrowed === 0) return false;
    this.borrowPasses -= 1;
    if (this.borrowPasses > 0) return true;
    this.pages.settle();
    return false;
  }

  /** The guest posted buffers. */
  onEvent(): void {
    if (this.wanted > 0) this.look();
  }

  get oldest(): number | undefined {
    return this.isEmpty ? undefined : this.pages.oldest;
  }

  expire(deadline: number): void {
    while (!this.isEmpty && this.pages.oldest <= deadline) {
      this.pages.drop();
      this.counters.dropped.expired += 1;
    }
    if (this.isEmpty) this.allow();
  }

  /** Places what waits, as far as there are buffers. */
  look(): void {
    const { buffers, pages, packet } = this;
    if (!buffers.hasSlots(this.wanted)) return;
    if (pages.length > 0) this.patience.renew();
    while (pages.length > 0) {
      pages.look(packet);
      if (!buffers.hasRoom(packet.slots, pagesOf(packet.length))) {
        this.wanted = packet.slots;
        buffers.flush();
        return;
      }
      if (packet.slots === 1) {
        const offset = pages.pageOffset;
        buffers.placeSingle(pages.takePage(), offset, packet.length, packet.flags);
      } else this.place();
      pages.shift();
    }
    buffers.flush();
    this.recovered();
  }

  stalled(): void {
    for (; !this.isEmpty; this.counters.dropped.stalled += 1) this.pages.drop();
    this.carrierChanged(false);
  }

  /** Stops for good; what waits is lost. */
  close(): void {
    for (; !this.isEmpty; this.counters.dropped.lostInFlight += 1) this.pages.drop();
    this.patience.close();
  }

  private add(packet: ReceivePacket): void {
    if (this.isEmpty) this.wanted = packet.slots;
    // One look at the clock is good for a whole pass.
    if (this.passTime < 0) this.passTime = this.domain.scheduler.now();
    this.pages.add(packet, this.passTime);
    this.patience.begin();
  }

  private place(): void {
    const { buffers, pages, packet } = this;
    buffers.begin(packet);
    for (let left = packet.length; left > 0; left -= PAGE_SIZE) {
      const offset = pages.pageOffset;
      buffers.place(pages.takePage(), offset, left < PAGE_SIZE ? left : PAGE_SIZE);
    }
    buffers.end(packet.length);
  }

  private recovered(): void {
    const wasStalled = this.patience.isStalled;
    this.wanted = 0;
    this.patience.end();
    if (wasStalled) this.carrierChanged(true);
    this.allow();
  }

  private allow(): void {
    if (!this.refused) return;
    this.refused = false;
    this.writable$.emit();
  }
}
