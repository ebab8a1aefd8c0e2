import type { FramePool, HotStream } from '@netchannel2/frames';
import {
  answerFirstSlot,
  answerSlot,
  type BackRing,
  ExtraType,
  multicastMac,
  type RateLimit,
  RING_BROKEN,
  TxSlotGroup,
  TxStatus,
  TxVerdict,
} from '@netchannel2/netif';
import type {
  DeferredWork,
  Domain,
  DomainId,
  EventChannelPort,
  Frame,
  FrameForwarder,
  GrantCopyBatch,
} from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { BATCH_COPIES } from './copy-batches';
import { CopyIn } from './copy-in';
import { Diversion, type DiversionTarget, HEAD_COPIES_MAX, HEAD_PAGES } from './diversion';
import type { NetbackCounters } from './frame-drops';
import type { MulticastFilter } from './multicast-filter';
import { PACKET_PAGES_MAX } from './options';
import { PASS_PACKETS, PacketBatch } from './packet-batch';
import { PlainRun } from './plain-run';
import { RateCredit } from './rate-credit';
import type { StagingBuffers } from './staging-buffers';

/** Milliseconds between looks for free pages while subscribers retain all of them. */
const STARVED_INTERVAL = 1;

/**
 * The backend's end of a TX ring: takes what the guest sends, copies it with one hypercall a batch, answers, and emits
 * it; or, where a forwarder is set, copies only the heads and lets the forwarder decide. The guest waits on its own ring
 * while there is no credit or no page.
 */
export class GuestTransmit implements DeferredWork {
  deferred = false;
  private open = true;
  private readonly group = new TxSlotGroup();
  private readonly batch = new PacketBatch();
  private readonly plain: PlainRun;
  private readonly copyIn: CopyIn;
  private readonly diversion: Diversion;
  private readonly headMissing = new Uint8Array(PASS_PACKETS);
  private waiting: Subscription | undefined;
  private credit: RateCredit | undefined;

  constructor(
    private readonly domain: Domain,
    peer: DomainId,
    private readonly ring: BackRing,
    private readonly port: EventChannelPort,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly staging: StagingBuffers,
    private readonly multicast: MulticastFilter,
    private readonly counters: NetbackCounters,
    private readonly frames$: HotStream<Frame>,
    private readonly target: DiversionTarget,
    private readonly broken: (reason: string) => void,
  ) {
    const { batch } = this;
    this.plain = new PlainRun(peer, ring, pool, copies, counters, frames$);
    this.copyIn = new CopyIn(domain.memory, peer, ring, pool, copies, batch, staging, counters, frames$);
    this.diversion = new Diversion(domain, peer, ring, port, pool, copies, batch, counters, () => {
      if (this.copyIn.count > 0) this.finishCopyIn();
      return this.open;
    });
  }

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
    const { forwarder } = this.target;
    // Staged pages are read in place, which is cheaper than any way around; and whoever else listens sees every frame.
    if (forwarder === undefined || this.staging.size > 0 || this.frames$.observers > 1) this.takeIn();
    else this.divert(forwarder);
    // A subscriber may have taken the device down.
    if (!this.open || this.waiting !== undefined) return;
    const left = ring.unconsumed > 0 ? ring.unconsumed : ring.finalCheckRequests();
    if (left === RING_BROKEN) this.fail('TX request index out of range');
    else if (left > 0 && !this.deferred) this.domain.defer(this);
  }

  /** Stops for good; requests not taken stay unanswered. */
  close(): void {
    if (!this.open) return;
    this.open = false;
    this.waiting?.unsubscribe();
    this.waiting = undefined;
    this.diversion.close();
    this.plain.close();
  }

  /** Copies a batch in, answers and emits it. */
  private takeIn(): void {
    const { batch, copyIn } = this;
    batch.clear();
    this.copies.clear();
    if (this.credit === undefined && this.staging.size === 0 && this.takePlain()) return;
    while (this.mayTake()) {
      if (!copyIn.hasRoom) {
        if (copyIn.count === 0) this.wait(STARVED_INTERVAL);
        break;
      }
      const verdict = this.take();
      if (verdict === TxVerdict.packet) copyIn.add(batch.add(this.group));
      else if (verdict === UNPAID) break;
      else if (verdict === TxVerdict.fatal) {
        copyIn.clear();
        this.fail(`TX ring: ${this.group.fault}`);
        return;
      }
    }
    this.finishCopyIn();
  }

  /** Takes, answers and emits packets of one slot, if the ring begins with some; others are left for the next pass. */
  private takePlain(): boolean {
    const { plain } = this;
    if (plain.take() === 0) return false;
    plain.fetch();
    if (this.ring.pushResponses()) this.domain.events.notify(this.port);
    plain.deliver();
    return true;
  }

  /** Copies the heads of a batch, and hands on or copies in each packet as the forwarder decides. */
  private divert(forwarder: FrameForwarder): void {
    const { batch, copies, diversion } = this;
    batch.clear();
    copies.clear();
    if (this.pool.available < HEAD_PAGES + PACKET_PAGES_MAX) {
      if (this.ring.unconsumed > 0) this.wait(STARVED_INTERVAL);
      return;
    }
    while (this.mayTake() && copies.length + HEAD_COPIES_MAX <= BATCH_COPIES) {
      const verdict = this.take();
      if (verdict === TxVerdict.packet) diversion.peek(batch.add(this.group));
      else if (verdict === UNPAID) break;
      else if (verdict === TxVerdict.fatal) {
        diversion.clear();
        this.fail(`TX ring: ${this.group.fault}`);
        return;
      }
    }
    copies.submit();
    diversion.arrived(this.headMissing);
    copies.clear();
    this.decide(forwarder);
    this.finishCopyIn();
    diversion.clear();
  }

  /** In order: whoever takes a packet has what came before it emitted first. */
  private decide(forwarder: FrameForwarder): void {
    const { batch, diversion, copyIn } = this;
    for (let packet = 0; packet < batch.packetCount; packet += 1) {
      if (this.open && this.headMissing[packet] === 0 && diversion.offer(packet, forwarder)) continue;
      if (this.open && !copyIn.hasRoom) this.finishCopyIn();
      if (!this.open) {
        this.counters.dropped.lostInFlight += batch.packetCount - packet;
        return;
      }
      if (copyIn.hasRoom) copyIn.add(packet);
      else this.giveUp(packet);
    }
  }

  /** Subscribers retain all pages, and the packet has left the ring already. */
  private giveUp(packet: number): void {
    const { batch, ring } = this;
    const first = batch.firstSlot[packet] as number;
    answerFirstSlot(
      ring,
      batch.slotId[first] as number,
      TxStatus.dropped,
      batch.extraCount[packet] as number,
    );
    const end = batch.firstSlot[packet + 1] as number;
    for (let slot = first + 1; slot < end; slot += 1)
      answerSlot(ring, batch.slotId[slot] as number, TxStatus.dropped);
    this.counters.dropped.noPages += 1;
  }

  /** Answers before it emits, so that the guest's slots do not wait for subscribers. */
  private finishCopyIn(): void {
    const { copyIn, ring } = this;
    if (!this.open) {
      this.counters.dropped.lostInFlight += copyIn.count;
      copyIn.clear();
      return;
    }
    if (copyIn.count > 0) copyIn.fetch();
    if (ring.pushResponses()) this.domain.events.notify(this.port);
    if (copyIn.count > 0) copyIn.deliver();
  }

  private mayTake(): boolean {
    return this.ring.unconsumed > 0 && !this.batch.full;
  }

  /** Takes the next group off the ring, unless there is no credit for it, and answers what is no packet at once. */
  private take(): TxVerdict | typeof UNPAID {
    const { ring, group } = this;
    group.begin(ring);
    if (this.credit !== undefined && !this.pays(this.credit, group.total)) return UNPAID;
    const verdict = group.finish(ring);
    if (verdict === TxVerdict.dropped) {
      this.counters.dropped.malformed += 1;
      answerFirstSlot(ring, group.ids[0] as number, TxStatus.error, group.extraCount);
      for (let slot = 1; slot < group.dataCount; slot += 1)
        answerSlot(ring, group.ids[slot] as number, TxStatus.error);
    } else if (verdict === TxVerdict.multicast) {
      answerFirstSlot(ring, group.ids[0] as number, this.editMulticast(), group.extraCount);
    }
    return verdict;
  }

  private pays(credit: RateCredit, bytes: number): boolean {
    const delay = credit.take(bytes, this.domain.scheduler.now() * 1000);
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

/** Instead of a verdict: the group was left in the ring until there is credit for it. */
const UNPAID = -1;
