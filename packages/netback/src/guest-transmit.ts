import { FrameCursor, type FramePool, type HotStream } from '@netchannel2/frames';
import {
  answerFirstSlot,
  answerSlot,
  type BackRing,
  ExtraType,
  multicastMac,
  type RateLimit,
  RING_BROKEN,
  TxFlag,
  TxSlotGroup,
  TxStatus,
  TxVerdict,
} from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type DomainId,
  type EventChannelPort,
  type Frame,
  FrameChecksum,
  type FrameSegmentation,
  type GrantCopyBatch,
  GrantStatus,
  grantRef,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { BATCH_COPIES } from './copy-batches';
import type { NetbackCounters } from './frame-drops';
import type { MulticastFilter } from './multicast-filter';
import { PACKET_PAGES_MAX } from './options';
import { PacketBatch } from './packet-batch';
import { RateCredit } from './rate-credit';

/** Most copies one packet needs: one per data slot, one more at each page border of the copy. */
const PACKET_COPIES_MAX = 19 + PACKET_PAGES_MAX;
/** Milliseconds between looks for free pages while subscribers retain all of them. */
const STARVED_INTERVAL = 1;

/**
 * The backend's end of a TX ring: takes what the guest sends, copies it with one hypercall a batch, answers, and emits
 * it. The guest waits on its own ring while there is no credit or no page.
 */
export class GuestTransmit implements DeferredWork {
  deferred = false;
  private open = true;
  private readonly group = new TxSlotGroup();
  private readonly batch = new PacketBatch();
  private readonly cursor = new FrameCursor();
  private waiting: Subscription | undefined;
  private credit: RateCredit | undefined;

  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly port: EventChannelPort,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly multicast: MulticastFilter,
    private readonly counters: NetbackCounters,
    private readonly frames$: HotStream<Frame>,
    private readonly broken: (reason: string) => void,
  ) {}

  onEvent(): void {
    if (!this.deferred && this.waiting === undefined) this.run();
  }

  /** Limits what the guest sends from now on, with a full window to begin with; `undefined` lifts the limit. */
  limit(rate: RateLimit | undefined): void {
    this.credit = rate === undefined ? undefined : new RateCredit(rate, this.domain.scheduler.now() * 1000);
    if (this.waiting === undefined) return;
    this.waiting.unsubscribe();
    this.waiting = undefined;
    if (!this.deferred) this.domain.defer(this);
  }

  /** One pass: at most one batch, then either the ring sleeps or another pass is asked for. */
  run(): void {
    if (!this.open || this.waiting !== undefined) return;
    const { ring } = this;
    if (ring.requests() === RING_BROKEN) {
      this.fail('TX request index out of range');
      return;
    }
    if (!this.gather()) return;
    if (this.batch.packetCount > 0) this.fetch();
    if (ring.pushResponses()) this.domain.events.notify(this.port);
    if (this.batch.packetCount > 0) this.deliver();
    // A subscriber may have taken the device down.
    if (!this.open || this.waiting !== undefined) return;
    const left = ring.unconsumed > 0 ? ring.unconsumed : ring.finalCheckRequests();
    if (left === RING_BROKEN) this.fail('TX request index out of range');
    else if (left > 0 && !this.deferred) this.domain.defer(this);
  }

  /** Stops for good; requests not taken stay unanswered. */
  close(): void {
    this.open = false;
    this.waiting?.unsubscribe();
    this.waiting = undefined;
  }

  /** Takes packets until the batch is full or nothing is left. Answers `false` when the device was given up. */
  private gather(): boolean {
    const { ring, group, batch, copies } = this;
    copies.clear();
    while (ring.unconsumed > 0 && !batch.full && copies.length + PACKET_COPIES_MAX <= BATCH_COPIES) {
      if (this.pool.available < PACKET_PAGES_MAX) {
        if (batch.packetCount === 0) this.wait(STARVED_INTERVAL);
        return true;
      }
      group.begin(ring);
      if (!this.pays(group.total)) return true;
      switch (group.finish(ring)) {
        case TxVerdict.packet:
          this.addPacket();
          break;
        case TxVerdict.dropped:
          this.counters.dropped.malformed += 1;
          answerFirstSlot(ring, group.ids[0] ?? 0, TxStatus.error, group.extraCount);
          for (let slot = 1; slot < group.dataCount; slot += 1) {
            answerSlot(ring, group.ids[slot] ?? 0, TxStatus.error);
          }
          break;
        case TxVerdict.multicast:
          answerFirstSlot(ring, group.ids[0] ?? 0, this.editMulticast(), group.extraCount);
          break;
        default:
          batch.clear();
          this.fail(`TX ring: ${group.fault}`);
          return false;
      }
    }
    return true;
  }

  private pays(bytes: number): boolean {
    if (this.credit === undefined) return true;
    const delay = this.credit.take(bytes, this.domain.scheduler.now() * 1000);
    if (delay > 0) this.wait(delay / 1000);
    return delay === 0;
  }

  private editMulticast(): TxStatus {
    const { group, multicast } = this;
    const address = multicastMac(group.multicastFirst, group.multicastSecond);
    if (group.multicastType === ExtraType.multicastAdd) {
      return multicast.add(address) ? TxStatus.okay : TxStatus.error;
    }
    multicast.delete(address);
    return TxStatus.okay;
  }

  /** Packs the group's slots into pages of ours, one copy per slot and page. The pool has pages for any packet. */
  private addPacket(): void {
    const { group, batch, copies, pool, peer } = this;
    batch.begin(group);
    let page = pool.take();
    if (page !== undefined) batch.addPage(page);
    let used = 0;
    for (let slot = 0; slot < group.dataCount; slot += 1) {
      batch.addSlot(group.ids[slot] ?? 0, copies.length);
      const ref = grantRef((group.grefs[slot] ?? 0) >>> 0);
      let from = group.offsets[slot] ?? 0;
      let left = group.sizes[slot] ?? 0;
      while (left > 0) {
        if (used === PAGE_SIZE) {
          page = pool.take();
          if (page !== undefined) batch.addPage(page);
          used = 0;
        }
        if (page === undefined) break;
        const piece = Math.min(left, PAGE_SIZE - used);
        copies.addFromGrant(peer, ref, from, page, used, piece);
        used += piece;
        from += piece;
        left -= piece;
      }
    }
    batch.end(copies.length);
  }

  /** Carries out the copies and writes the responses. */
  private fetch(): void {
    const { batch, copies, ring } = this;
    copies.submit();
    for (let packet = 0; packet < batch.packetCount; packet += 1) {
      const first = batch.firstSlot[packet] ?? 0;
      const end = batch.firstSlot[packet + 1] ?? 0;
      let complete = 1;
      for (let slot = first; slot < end; slot += 1) {
        const status = this.slotStatus(slot);
        if (status !== TxStatus.okay) complete = 0;
        const id = batch.slotId[slot] ?? 0;
        if (slot === first) answerFirstSlot(ring, id, status, batch.extraCount[packet] ?? 0);
        else answerSlot(ring, id, status);
      }
      batch.complete[packet] = complete;
    }
  }

  private slotStatus(slot: number): TxStatus {
    const end = this.batch.slotFirstCopy[slot + 1] ?? 0;
    for (let copy = this.batch.slotFirstCopy[slot] ?? 0; copy < end; copy += 1) {
      if (this.copies.status(copy) !== GrantStatus.okay) return TxStatus.error;
    }
    return TxStatus.okay;
  }

  private deliver(): void {
    const { batch, counters } = this;
    for (let packet = 0; packet < batch.packetCount; packet += 1) {
      if (batch.complete[packet] === 0) counters.dropped.fetchFailed += 1;
      else if (!this.frames$.observed) counters.dropped.noSubscriber += 1;
      else this.emit(packet);
    }
    batch.clear();
  }

  private emit(packet: number): void {
    const { batch, cursor } = this;
    const total = batch.total[packet] ?? 0;
    let left = total;
    const end = batch.firstPage[packet + 1] ?? 0;
    for (let index = batch.firstPage[packet] ?? 0; index < end; index += 1) {
      const page = batch.pages[index];
      const size = left < PAGE_SIZE ? left : PAGE_SIZE;
      if (page !== undefined) cursor.addFragment(page, 0, size);
      left -= size;
    }
    const flags = batch.flags[packet] ?? 0;
    if ((flags & TxFlag.checksumBlank) !== 0) cursor.checksum = FrameChecksum.blank;
    else if ((flags & TxFlag.dataValidated) !== 0) cursor.checksum = FrameChecksum.validated;
    const gsoSize = batch.gsoSize[packet] ?? 0;
    if (gsoSize > 0) {
      // The wire's segmentation types are the frame's.
      cursor.segmentation = (batch.gsoType[packet] ?? 0) as FrameSegmentation;
      cursor.segmentSize = gsoSize;
    }
    this.counters.framesReceived += 1;
    this.counters.bytesReceived += total;
    this.frames$.emit(cursor);
    cursor.end();
  }

  /** Looks again after `milliseconds`, without asking the guest for events meanwhile. */
  private wait(milliseconds: number): void {
    this.waiting = this.domain.scheduler.schedule(() => {
      this.waiting = undefined;
      this.run();
    }, milliseconds);
  }

  private fail(reason: string): void {
    this.close();
    this.broken(reason);
  }
}
