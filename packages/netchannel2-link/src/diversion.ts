import type { PooledPage } from '@netchannel2/frames';
import { PacketFlag, type PacketHead, PacketType, SMALLEST_FRAME } from '@netchannel2/netchannel2';
import {
  type ForwardingRoute,
  FrameChecksum,
  type FrameForwarder,
  type GrantedFrameHold,
} from '@netchannel2/xen';
import { AddressInFrame, SOURCE_MAC } from './address-in-frame';
import { GrantedPacket, type GrantedPacketSource } from './granted-packet';
import type { LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import { type ParkedPacket, ParkedPackets, type ParkedPacketsEnd } from './parked-packets';

/** What became of a packet that was shown to the forwarder. */
export const Diverted = {
  /** Not taken: it is to be copied in. */
  refused: 0,
  /** Held by others, who finish it, or without a FINISH to be sent. */
  taken: 1,
  /** Dealt with, and nobody holds it. */
  dropped: 2,
} as const;
export type Diverted = (typeof Diverted)[keyof typeof Diverted];

/** Shows packets to a forwarder before they are copied in, and keeps those that others hold until these let go. */
export class Diversion implements GrantedPacketSource {
  readonly parked: ParkedPackets;
  private readonly granted: GrantedPacket;
  private id = 0;
  private candidate = false;
  private current: ParkedPacket | undefined;
  private readonly source: AddressInFrame | undefined;
  /** The way of the packet shown last, for others between its addresses; and whether that had a fragment. */
  route: ForwardingRoute | undefined;
  routeExact = false;

  private constructor(
    private readonly settings: LinkSettings,
    private readonly packet: PacketHead,
    /** Who is asked; nobody while it is `undefined`. */
    public forwarder: FrameForwarder | undefined,
    private readonly page: PooledPage,
    ending: ParkedPacketsEnd,
    private readonly earlier: () => boolean,
    private readonly block: LinkBlock | undefined,
  ) {
    this.granted = new GrantedPacket(packet, page, settings.peer, this);
    this.parked = new ParkedPackets(settings.peer, ending);
    const { onlySource } = settings;
    if (onlySource !== undefined) this.source = new AddressInFrame(onlySource, SOURCE_MAC);
  }

  /**
   * @param packet where the link reads its packets.
   * @param ending told when held packets are over.
   * @param earlier emits what was received before; `false` when the link ended by that.
   * @returns `undefined` when there is no page for the packets' heads.
   */
  static create(
    settings: LinkSettings,
    packet: PacketHead,
    forwarder: FrameForwarder,
    ending: ParkedPacketsEnd,
    earlier: () => boolean,
    block: LinkBlock | undefined,
  ): Diversion | undefined {
    const page = settings.pool.take();
    if (page === undefined) return undefined;
    return new Diversion(settings, packet, forwarder, page, ending, earlier, block);
  }

  /**
   * Shows the packet that the link read.
   *
   * @param messageOffset of its message in the ring.
   */
  offer(messageOffset: number): Diverted {
    const { packet, forwarder } = this;
    const prefix = packet.prefixSize;
    if (forwarder === undefined || prefix < SMALLEST_FRAME) return Diverted.refused;
    this.copyHead(messageOffset + packet.prefixOffset, prefix);
    this.granted.load(packet.type === PacketType.receiverCopy && this.settings.sourceGrantsExactly);
    return this.show(forwarder, packet.id, packet.flags);
  }

  /** As {@link offer}, for a packet without offloads and with one fragment at most (`size` 0: none). */
  offerPlain(
    id: number,
    offset: number,
    prefix: number,
    ref: number,
    from: number,
    size: number,
    flags: number,
  ): Diverted {
    const { forwarder, granted } = this;
    if (forwarder === undefined || prefix < SMALLEST_FRAME) return Diverted.refused;
    this.copyHead(offset, prefix);
    granted.loadPlain(prefix, prefix + size, this.settings.sourceGrantsExactly);
    if ((flags & PacketFlag.dataValidated) !== 0) granted.checksum = FrameChecksum.validated;
    if (size > 0) granted.loadPiece(ref, from, size);
    return this.show(forwarder, id, flags);
  }

  /** The one fetch of these bytes, should they be believed: what is looked at here is what goes on. */
  private copyHead(offset: number, length: number): void {
    const { rings, pool } = this.settings;
    pool.memory.copy(this.page, 0, rings.consume, offset, length);
  }

  private show(forwarder: FrameForwarder, id: number, flags: number): Diverted {
    const { emission } = this.settings;
    if (this.source?.isIn(this.page) === false) return Diverted.refused;
    this.id = id;
    this.candidate = (flags & PacketFlag.bypassCandidate) !== 0;
    this.current = undefined;
    emission?.begin(this.candidate);
    const taken = forwarder.forward(this.granted);
    emission?.end();
    this.keepRoute(taken ? forwarder.route?.() : undefined);
    this.granted.clear();
    const current = this.current as ParkedPacket | undefined;
    if (current === undefined) return taken ? Diverted.dropped : Diverted.refused;
    this.current = undefined;
    current.release(false);
    return Diverted.taken;
  }

  private keepRoute(route: ForwardingRoute | undefined): void {
    const { block } = this;
    this.route = block === undefined || this.settings.emission !== undefined ? undefined : route;
    if (block === undefined || this.route === undefined) return;
    block.setAddresses(this.page);
    this.routeExact = this.granted.fragmentCount > 0;
  }

  deliverEarlier(): boolean {
    const here = this.earlier();
    // Other frames were emitted meanwhile.
    this.settings.emission?.begin(this.candidate);
    return here;
  }

  hold(): GrantedFrameHold {
    let current = this.current;
    if (current === undefined) {
      // One share is this end's, so that the packet is not over before the forwarder has shown it to everybody.
      current = this.parked.park(this.id);
      this.current = current;
    }
    current.holders += 1;
    return current;
  }

  end(): void {
    this.parked.end();
    this.granted.clear();
    this.page.release();
  }
}
