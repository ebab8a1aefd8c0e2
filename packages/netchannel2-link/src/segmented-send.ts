import { CopiedPacket, FrameCursor, type FramePool, pagesOf, TcpSegments } from '@netchannel2/frames';
import { LARGEST_PREFIX, packetSize } from '@netchannel2/netchannel2';
import { type Frame, FrameChecksum, PAGE_SIZE } from '@netchannel2/xen';
import type { PeerOffload } from './offload-plan';
import { SendOutcome } from './send-outcome';

/** Fragments of a segment at most: one that crosses a page border, and a prefix in the first page. */
const MOST_FRAGMENTS = 2;
const TCP_CHECKSUM = 16;

/** What segments are sent by. */
export interface SegmentSink {
  /** Credits left. */
  readonly credits: number;
  /** Credits there are when none is used. */
  readonly allCredits: number;
  /** Bytes of the ring that PACKETs may use when it is empty. */
  readonly allRoom: number;
  /** Whether messages of so many bytes have room now; asks for an event when not. */
  hasRoom(bytes: number): boolean;
  send(frame: Frame, apart: boolean): SendOutcome;
}

/** Cuts TCP packets in software for a peer that does not: all segments go, or none. */
export class SegmentedSend {
  private readonly segments = new TcpSegments();
  private readonly copy: CopiedPacket;
  private readonly cursor = new FrameCursor();

  constructor(
    private readonly pool: FramePool,
    private readonly prefix: number,
  ) {
    this.copy = new CopiedPacket(pool.memory);
  }

  /**
   * @param apart no segment may be inline as a whole.
   * @returns `dropped`, not yet counted, when the frame cannot be cut or its segments can never be sent together.
   */
  send(frame: Frame, peer: PeerOffload, sink: SegmentSink, apart: boolean): SendOutcome {
    const { segments, pool } = this;
    if (!segments.begin(frame)) return SendOutcome.dropped;
    const { count } = segments;
    const bytes = this.bytesOf(count, segments.lengthOf(0));
    const pages = count * pagesOf(segments.lengthOf(0));
    if (count > sink.allCredits || bytes > sink.allRoom || pages > pool.available + pool.outstanding)
      return SendOutcome.dropped;
    if (count > sink.credits || !sink.hasRoom(bytes)) return SendOutcome.full;
    if (pages > pool.available) return SendOutcome.starved;
    for (let index = 0; index < count; index += 1) {
      const outcome = this.sendSegment(frame, index, !peer.checksum, sink, apart);
      if (outcome !== SendOutcome.sent) return outcome;
    }
    return SendOutcome.sent;
  }

  private sendSegment(
    frame: Frame,
    index: number,
    complete: boolean,
    sink: SegmentSink,
    apart: boolean,
  ): SendOutcome {
    const { segments, copy, cursor } = this;
    const length = segments.lengthOf(index);
    if (!copy.take(this.pool, length)) return SendOutcome.starved;
    segments.write(frame, index, copy, complete);
    const pages = pagesOf(length);
    for (let page = 0, left = length; page < pages; page += 1, left -= PAGE_SIZE)
      cursor.addFragment(copy.page(page), 0, Math.min(left, PAGE_SIZE));
    cursor.checksum = complete ? FrameChecksum.unknown : FrameChecksum.blank;
    cursor.checksumStart = complete ? 0 : segments.transportOffset;
    cursor.checksumOffset = complete ? 0 : TCP_CHECKSUM;
    const outcome = sink.send(cursor, apart);
    cursor.end();
    for (let page = 0; page < pages; page += 1) copy.page(page).release();
    return outcome;
  }

  /** Ring bytes of all messages, and of the PAD that may come among them. */
  private bytesOf(count: number, length: number): number {
    const size =
      length > LARGEST_PREFIX ? packetSize(MOST_FRAGMENTS, this.prefix) : packetSize(0, LARGEST_PREFIX);
    return (count + 1) * size;
  }
}
