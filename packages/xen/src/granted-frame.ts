/**
 * Packets that a backend has not copied in: the payload still lies in pages their sender granted.
 *
 * A backend that receives a packet knows its headers (a private copy of its first bytes) before it moves any payload. A
 * forwarder looks at these and hands the packet on to a port that can reach the sender's pages itself: a vif2 backend
 * by a transitive grant, a vif backend by a copy from grant to grant. What nobody takes is copied in and emitted on
 * `frames$` as any other frame.
 *
 * @packageDocumentation
 */
import type { FrameChecksum, FramePort, FrameSegmentation, FrameView } from './frame';
import type { DomainId, GrantRef } from './ids';
import type { MemoryArea } from './memory';

/** The first bytes of a packet, in memory of this domain that nobody else writes. */
export interface GrantedHead extends FrameView {
  readonly area: MemoryArea;
  /** Of the head's first byte in `area`. */
  readonly offset: number;
}

/**
 * A packet in grants that name this domain. The object passed to `forward` is the device's and serves for all its
 * packets: whoever takes the packet reads what it needs before it returns and keeps only {@link GrantedFrame.hold}.
 */
export interface GrantedFrame {
  /** Bytes of the whole packet. */
  readonly byteLength: number;
  /**
   * The packet's first bytes: at least the link, network and transport headers. The fragments hold the packet from byte
   * {@link headIsPrefix} ? head.byteLength : 0 on.
   */
  readonly head: GrantedHead;
  /** Whether the head's bytes come before the fragments (vif2's inline prefix) or are also in them (vif). */
  readonly headIsPrefix: boolean;
  readonly checksum: FrameChecksum;
  readonly checksumStart: number;
  readonly checksumOffset: number;
  readonly segmentation: FrameSegmentation;
  readonly segmentSize: number;
  /** Who granted the fragments. */
  readonly owner: DomainId;
  /** Whether each entry covers this packet and nothing else, so that a transitive grant may name it. */
  readonly transitive: boolean;
  /** 0 where the head is the whole packet. */
  readonly fragmentCount: number;
  fragmentRef(index: number): GrantRef;
  /** From the start of the granted page. */
  fragmentOffset(index: number): number;
  fragmentLength(index: number): number;
  /**
   * Emits what the device received before this packet and has not emitted yet. A forwarder that has decided to take the
   * packet calls it before it hands the packet on, so that nothing is overtaken; the rest of the time devices batch.
   *
   * @returns `false` when the device has gone meanwhile, and the packet with it.
   */
  deliverEarlier(): boolean;
  /**
   * Keeps the sender's grants until `release`, which tells the sender that it is done with the packet. Each taker of a
   * packet with fragments holds once and releases once; a packet that was flooded has several holders.
   */
  hold(): GrantedFrameHold;
}

/** A share in a granted packet. */
export interface GrantedFrameHold {
  /** The sender is told when the last holder releases. `obtained` is false where the bytes were not read. */
  release(obtained: boolean): void;
  /** Becomes true when the sender's device has gone: its grants can no longer be read. */
  readonly gone: boolean;
}

/** The way a forwarder has decided on for packets between two addresses. */
export interface ForwardingRoute {
  /** The one port they go to. */
  readonly target: ForwardingTarget;
  /** Whether it would decide the same now. */
  readonly holds: boolean;
  /** Counts packets that were handed on to the port without being shown. */
  handedOn(packets: number, bytes: number): void;
}

/** Who decides, before payload is copied, where a packet goes. */
export interface FrameForwarder {
  /** @returns whether the packet was dealt with; otherwise the device copies it in and emits it. */
  forward(frame: GrantedFrame): boolean;
  /**
   * The way of the packet that `forward` took last, where all that are between the same two addresses go it and nobody has
   * to see them: the device may hand these on itself, in order, until the way holds no more. One object serves for all.
   */
  route?(): ForwardingRoute | undefined;
}

/** A port whose received packets can be diverted before they are copied in. */
export interface ForwardingSource extends FramePort {
  /**
   * Asks `forwarder`, who also subscribes to `frames$`, about each packet from now on; `undefined` asks nobody. While
   * somebody else listens to `frames$` too, nothing is diverted: a recorder sees all frames.
   */
  divert(forwarder: FrameForwarder | undefined): void;
}

/** A port that can hand on packets that lie in a third domain's grants. */
export interface ForwardingTarget extends FramePort {
  /** Whether this port's peer can be given `frame` without a copy into this domain. Room is another matter. */
  acceptsGranted(frame: GrantedFrame): boolean;
  /**
   * Hands on a packet that `acceptsGranted` agreed to, and holds it until the peer has it.
   *
   * @returns `false` when there is no room, as `send` does: nothing was taken.
   */
  sendGranted(frame: GrantedFrame): boolean;
}
