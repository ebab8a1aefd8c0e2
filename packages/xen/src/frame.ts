/**
 * Packet frames as leases on pages, and the port they cross.
 *
 * @packageDocumentation
 */
import type { Observable } from 'rxjs';
import type { Page } from './memory';

/** What is known of a frame's transport checksum. */
export const FrameChecksum = {
  /** Nothing: verify as usual. */
  unknown: 0,
  /** Present and verified by somebody trusted: skip verification. */
  validated: 1,
  /** The field holds only the folded pseudo-header sum; whoever sends the frame on completes it or passes it on as blank. */
  blank: 2,
} as const;
export type FrameChecksum = (typeof FrameChecksum)[keyof typeof FrameChecksum];

/** Segmentation a receiver still has to do. */
export const FrameSegmentation = { none: 0, tcpv4: 1, tcpv6: 2 } as const;
export type FrameSegmentation = (typeof FrameSegmentation)[keyof typeof FrameSegmentation];

/**
 * A range of a frame's bytes. Once the frame's lease ends the view is detached: its length is 0, single bytes read as 0
 * and copies give nothing. It never shows another packet.
 */
export interface FrameView {
  readonly byteLength: number;
  /** The byte at `offset`, 0 beyond the end. */
  uint8(offset: number): number;
  /** 16 bits in network byte order, 0 beyond the end. */
  uint16(offset: number): number;
  /** 32 bits in network byte order, unsigned, 0 beyond the end. */
  uint32(offset: number): number;
  /** Copies bytes `[start, start + length)`, as many as there are and fit, and returns their number. */
  copyTo(target: Uint8Array, targetOffset?: number, start?: number, length?: number): number;
  /** A heap copy of the bytes, which outlives the lease. */
  toBytes(): Uint8Array;
}

/**
 * A page that several holders share: a pool's page, lent to a frame, to a device that is sending it, to a user who
 * retained it. Whoever acquires releases, once; the last release gives the page back to where it came from.
 */
export interface LeasedPage extends Page {
  acquire(): void;
  release(): void;
}

/**
 * A packet in pages this domain can read. As emitted by `frames$` it is valid only until the subscriber returns, and the
 * device uses one object for all its emissions: keep `retain()`, a `view()` or `toBytes()`, not the object.
 */
export interface Frame extends FrameView {
  readonly checksum: FrameChecksum;
  /** Where the checksum range starts, from the frame's first byte; only with `checksum` blank, 0 if not known. */
  readonly checksumStart: number;
  /** Where the checksum field lies, from `checksumStart`; only with `checksum` blank. */
  readonly checksumOffset: number;
  readonly segmentation: FrameSegmentation;
  /** Payload bytes per segment; 0 without segmentation. */
  readonly segmentSize: number;

  /** A range of the frame, by default all of it, under the same lease. */
  view(start?: number, end?: number): FrameView;
  /**
   * Keeps the bytes until `release()`. Returns the frame to keep, which may be another object, or `undefined` when the
   * pool that would have to hold it is empty.
   */
  retain(): Frame | undefined;
  /** Ends a lease made by `retain()`, or one's ownership of a frame from a pool. Each lease ends once. */
  release(): void;

  /** Pieces the frame is stored in, in order; none crosses a page border. 0 when released. */
  readonly fragmentCount: number;
  fragmentPage(index: number): LeasedPage;
  fragmentOffset(index: number): number;
  fragmentLength(index: number): number;
}

/**
 * Counters of one port, as seen from its owner. What was sent may be counted only when the peer is shown it, after a turn or a
 * flush.
 */
export interface FramePortCounters {
  readonly framesSent: number;
  readonly bytesSent: number;
  readonly framesReceived: number;
  readonly bytesReceived: number;
  /** Frames `send` refused for want of room. */
  readonly sendRefused: number;
  /** Frames given up inside the device, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Whatever frames go into and come out of: a vif, a vif2, a TAP, a capture file. Decorators implement it too. */
export interface FramePort {
  readonly name: string;
  /**
   * Frames from the other end. Hot: emits synchronously while the device's ring is drained, in order. Completes when
   * the device goes for good. Without a subscriber frames are dropped and counted.
   */
  readonly frames$: Observable<Frame>;
  /**
   * Sends one frame: bytes are copied; a `Frame` is sent from where it lies when its pages allow, and then leased by
   * the device until the peer has it.
   *
   * @returns `false` when there is no room: the frame was not taken, and `writable$` will emit.
   */
  send(frame: Frame | Uint8Array): boolean;
  /**
   * `send` for each of `frames` from number `start` on, in order, until one is refused. A port that has no quicker way for many
   * leaves it out: call `sendBurst` of `@netchannel2/frames`, which sends one by one then.
   *
   * @param end one more than the number of the last, at most `frames.length`.
   * @returns the number of the first frame that was not taken, `end` when all were; where it is less, `writable$` will emit.
   */
  sendBurst?(frames: readonly (Frame | Uint8Array)[], start: number, end: number): number;
  /** Emits when there is room again after `send` answered `false`. */
  readonly writable$: Observable<void>;
  /** Makes frames sent so far visible to the peer now rather than at the end of the pass. */
  flush(): void;
  readonly counters: FramePortCounters;
}
