import type { FramePool } from '@netchannel2/frames';
import { answerFirstSlot, answerSlot, type BackRing } from '@netchannel2/netif';
import {
  type DeferredWork,
  type Domain,
  type DomainId,
  type EventChannelPort,
  type FrameForwarder,
  type GrantCopyBatch,
  GrantStatus,
  type LeasedPage,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { NetbackCounters } from './frame-drops';
import { GrantedPacket } from './granted-packet';
import { HeldPacket, type HeldPacketOwner } from './held-packet';
import { PASS_PACKETS, type PacketBatch } from './packet-batch';
import { PEEK_BYTES, PeekedHead } from './peeked-head';

const HEADS_PER_PAGE = PAGE_SIZE / PEEK_BYTES;
/** Most copies one head needs: it may be spread over all slots a packet has. */
export const HEAD_COPIES_MAX = 19;
/** Pages for the heads of one pass. */
export const HEAD_PAGES = PASS_PACKETS / HEADS_PER_PAGE;

/** Who is asked where packets go; shared by a device's queues and changed by its user. */
export interface DiversionTarget {
  forwarder: FrameForwarder | undefined;
}

/**
 * The way of packets that are not copied in: only their first bytes are, a forwarder decides on these, and who takes the
 * packet copies it from its sender's grants. The sender's slots are answered when that is done.
 */
export class Diversion implements HeldPacketOwner, DeferredWork {
  deferred = false;
  gone = false;
  private readonly pages: (LeasedPage | undefined)[] = new Array(HEAD_PAGES).fill(undefined);
  private readonly firstCopy = new Uint16Array(PASS_PACKETS + 1);
  private readonly idle: HeldPacket[] = [];
  private head: PeekedHead | undefined;
  private packet: GrantedPacket | undefined;
  /** Packets handed on and not answered. */
  private under = 0;

  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    private readonly ring: BackRing,
    private readonly port: EventChannelPort,
    private readonly pool: FramePool,
    private readonly copies: GrantCopyBatch,
    private readonly batch: PacketBatch,
    private readonly counters: NetbackCounters,
    /** Emits what was taken in before the packet being offered; `false` when the device went by that. */
    private readonly deliverEarlier: () => boolean,
  ) {}

  /** Packets that were handed on and are not answered yet. */
  get underWay(): number {
    return this.under;
  }

  /** Adds the copies of a packet's head; packets are peeked in the batch's order. Pages suffice for a whole batch. */
  peek(packet: number): void {
    const { batch, copies } = this;
    this.firstCopy[packet] = copies.length;
    if (packet % HEADS_PER_PAGE === 0) this.pages[packet / HEADS_PER_PAGE] = this.pool.take();
    const page = this.pages[Math.floor(packet / HEADS_PER_PAGE)];
    let at = (packet % HEADS_PER_PAGE) * PEEK_BYTES;
    let left = this.headLength(packet);
    for (let slot = batch.firstSlot[packet] as number; left > 0 && page !== undefined; slot += 1) {
      const size = batch.slotSize[slot] as number;
      const piece = size < left ? size : left;
      if (piece > 0) {
        copies.addFromGrant(
          this.peer,
          batch.slotRef(slot),
          batch.slotOffset[slot] as number,
          page,
          at,
          piece,
        );
      }
      at += piece;
      left -= piece;
    }
    this.firstCopy[packet + 1] = copies.length;
  }

  /** Notes which heads did not arrive, once the copies are carried out; the batch of copies may be used again. */
  arrived(missing: Uint8Array): void {
    for (let packet = 0; packet < this.batch.packetCount; packet += 1) {
      missing[packet] = 0;
      const end = this.firstCopy[packet + 1] as number;
      for (let copy = this.firstCopy[packet] as number; copy < end; copy += 1) {
        if (this.copies.status(copy) !== GrantStatus.okay) missing[packet] = 1;
      }
    }
  }

  /** Asks the forwarder. Answers whether the packet was taken; if so it is answered from here. */
  offer(packet: number, forwarder: FrameForwarder): boolean {
    const head = this.show(packet);
    this.packet ??= new GrantedPacket(this.peer, head, this.batch, this.deliverEarlier);
    const held = this.idle.pop() ?? new HeldPacket(this);
    held.begin(this.batch, packet);
    this.packet.show(packet, held);
    this.under += 1;
    const taken = forwarder.forward(this.packet);
    held.offering = false;
    if (taken) {
      if (held.holders === 0) this.answer(held);
      return true;
    }
    this.under -= 1;
    // Somebody held what nobody took: the object is theirs, the packet goes the other way.
    if (held.holders > 0) held.disown();
    else this.idle.push(held);
    return false;
  }

  answer(held: HeldPacket): void {
    this.under -= 1;
    if (this.gone) return;
    const { ring, counters } = this;
    const { status } = held;
    answerFirstSlot(ring, held.ids[0] as number, status, held.extraCount);
    for (let slot = 1; slot < held.dataCount; slot += 1) answerSlot(ring, held.ids[slot] as number, status);
    if (held.obtained) {
      counters.framesReceived += 1;
      counters.bytesReceived += held.byteLength;
    } else {
      counters.dropped.fetchFailed += 1;
    }
    this.idle.push(held);
    if (!this.deferred) this.domain.defer(this);
  }

  /** Publishes answers written since. */
  run(): void {
    if (!this.gone && this.ring.pushResponses()) this.domain.events.notify(this.port);
  }

  /** Lets go of the heads of this batch; takers have leases of their own. */
  clear(): void {
    for (let index = 0; index < HEAD_PAGES; index += 1) {
      this.pages[index]?.release();
      this.pages[index] = undefined;
    }
  }

  close(): void {
    this.gone = true;
    this.counters.dropped.lostInFlight += this.under;
    this.clear();
  }

  private headLength(packet: number): number {
    const total = this.batch.total[packet] as number;
    return total < PEEK_BYTES ? total : PEEK_BYTES;
  }

  private show(packet: number): PeekedHead {
    const page = this.pages[Math.floor(packet / HEADS_PER_PAGE)];
    if (page === undefined) throw new Error('this packet was not peeked at');
    this.head ??= new PeekedHead(page);
    this.head.show(page, (packet % HEADS_PER_PAGE) * PEEK_BYTES, this.headLength(packet));
    return this.head;
  }
}
