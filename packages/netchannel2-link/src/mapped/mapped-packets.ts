import type { FramePool } from '@netchannel2/frames';
import { PacketFlag, type PacketHead, SegmentationType } from '@netchannel2/netchannel2';
import {
  type DeferredWork,
  FrameChecksum,
  FrameSegmentation,
  type GrantCopyBatch,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { domainSingleCopies } from '../domain-copies';
import type { LinkSettings } from '../link-settings';
import { MappedFrame } from './mapped-frame';
import { MappedPacket, type MappedPacketHome } from './mapped-packet';

/** How often held packets are looked after. */
const SWEEP_MILLISECONDS = 250;
/** Looks after which a packet is copied out: it was held for 500 to 750 ms of the second the protocol grants. */
const MOST_LOOKS = 3;
/** Mappings in a row that fail before no more are tried. */
const MOST_REFUSED = 3;

/** Where the packets of a link go that stay with the peer until somebody looks. */
export interface MappedPacketSink {
  finish(id: number, obtained: boolean): void;
}

/** The receiver_map packets of one link that are not copied on arrival. */
export class MappedPackets implements MappedPacketHome {
  readonly frame = new MappedFrame();
  /** Packets whose emission is over and that somebody retained. */
  private readonly held = new Set<MappedPacket>();
  /** The packet that is being emitted. */
  private shown: MappedPacket | undefined;
  private readonly spare: MappedPacket[] = [];
  private readonly pool: FramePool;
  private readonly copies: GrantCopyBatch;
  /** A device that is writing a message may ask for a page: FINISHes are not written amid that. */
  private readonly finishWork: DeferredWork = { deferred: false, run: () => this.finishAll() };
  /** Packets that are over and not finished yet. */
  private finishing = 0;
  private readonly ids: number[] = [];
  private readonly obtained: boolean[] = [];
  private timer: Subscription | undefined;
  private refused = 0;
  private over = false;

  /** @param least frames of fewer bytes are not for us: copying them costs less. */
  constructor(
    private readonly settings: LinkSettings,
    private readonly least: number,
    private readonly sink: MappedPacketSink,
  ) {
    this.pool = settings.pool;
    this.copies = domainSingleCopies(settings.domain);
  }

  /** Whether a checked packet is to stay where it is. Without its addresses inline it could not be filtered unseen. */
  takes(head: PacketHead): boolean {
    return head.length >= this.least && head.prefixSize >= 14 && this.refused < MOST_REFUSED;
  }

  /**
   * Shows a packet in {@link frame}, which the caller emits and ends.
   *
   * @param prefixAt byte of the ring where the inline bytes lie.
   * @returns `false` when the pool has too few pages to set aside.
   */
  load(head: PacketHead, prefixAt: number): boolean {
    const { pool, frame } = this;
    const count = (head.length + PAGE_SIZE - 1) >> 12;
    if (pool.available < count) return false;
    const { domain, peer } = this.settings;
    const packet = this.spare.pop() ?? new MappedPacket(domain, peer, this.copies, this);
    pool.takeAll(packet.pages, count);
    packet.pageCount = count;
    pool.memory.copy(packet.page(0), 0, this.settings.rings.consume, prefixAt, head.prefixSize);
    packet.load(head);
    this.shown = packet;
    frame.show(packet, head.length);
    if ((head.flags & PacketFlag.csumBlank) !== 0) {
      frame.checksum = FrameChecksum.blank;
      frame.checksumStart = head.csumStart;
      frame.checksumOffset = head.csumOffset;
    } else if ((head.flags & PacketFlag.dataValidated) !== 0) frame.checksum = FrameChecksum.validated;
    if (head.segmentation === SegmentationType.tcpv4) {
      frame.segmentation = FrameSegmentation.tcpv4;
      frame.segmentSize = head.mss;
    }
    return true;
  }

  /** The emission of {@link frame} is over: who retained it has a second. */
  emitted(): void {
    const { shown } = this;
    this.shown = undefined;
    this.frame.end();
    if (shown !== undefined && shown.holders > 0 && !shown.finishedAlready) this.held.add(shown);
    this.finishAll();
    if (this.held.size > 0 && !this.over) this.watch();
  }

  finished(packet: MappedPacket, obtained: boolean): void {
    this.held.delete(packet);
    if (this.over) return;
    this.ids[this.finishing] = packet.id;
    this.obtained[this.finishing] = obtained;
    this.finishing += 1;
    if (!this.finishWork.deferred) this.settings.domain.defer(this.finishWork);
  }

  ended(packet: MappedPacket): void {
    if (!this.over) this.spare.push(packet);
  }

  tried(mapped: boolean): void {
    this.refused = mapped ? 0 : this.refused + 1;
  }

  /** Copies out what is held, so that nothing of the peer's stays mapped. */
  end(): void {
    this.over = true;
    this.timer?.unsubscribe();
    this.timer = undefined;
    for (const packet of [...this.held]) packet.obtain();
    this.shown?.obtain();
  }

  private finishAll(): void {
    const { ids, obtained, sink } = this;
    for (let index = 0; index < this.finishing && !this.over; index += 1)
      sink.finish(ids[index] as number, obtained[index] as boolean);
    this.finishing = 0;
  }

  private watch(): void {
    this.timer ??= this.settings.domain.scheduler.schedule(() => {
      this.timer = undefined;
      for (const packet of [...this.held]) {
        packet.age += 1;
        if (packet.age >= MOST_LOOKS) packet.obtain();
      }
      if (this.held.size > 0) this.watch();
    }, SWEEP_MILLISECONDS);
  }
}
