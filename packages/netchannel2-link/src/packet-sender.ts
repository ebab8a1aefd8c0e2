import {
  LARGEST_FRAME,
  LARGEST_PREFIX,
  NO_SPACE,
  PACKET_FIXED_SIZE,
  PACKET_FRAGMENT_SIZE,
  PacketFlag,
  PacketType,
  SMALLEST_FRAME,
  type UringProducer,
} from '@netchannel2/netchannel2';
import {
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type GrantedFrame,
  type LeasedPage,
  type MemoryArea,
} from '@netchannel2/xen';
import { FramePieces } from './frame-pieces';
import { KEPT_PARTS, type LinkKernel, loadLinkKernel } from './link-block';
import type { LinkSettings } from './link-settings';
import { type NotedPieces, PIECE_STARVED } from './noted-pieces';
import { acceptsOffload, type PeerOffload } from './offload-plan';
import type { ExactGrants, PacketGrants } from './packet-grants';
import { PacketWriter, SMALL_PACKET_ID } from './packet-writer';
import { ScratchFrame } from './scratch-frame';
import { SegmentedSend, type SegmentSink } from './segmented-send';
import type { SendGate } from './send-gate';
import { SendOutcome } from './send-outcome';

/**
 * Chooses how each frame goes, with short ways for most of them.
 *
 * Frames are others' objects. The short ways ask them for everything before a place in the ring is claimed; the others cannot, so
 * {@link writing} is set meanwhile, and whoever wants to write to the same ring amid that has to wait.
 */
export class PacketSender extends PacketWriter implements SegmentSink {
  /** What the peer takes; nothing before its messages arrive. */
  readonly peerOffload: PeerOffload = { checksum: false, tcpv4: false };

  /** A message is being made, and is not complete: nothing else may be written. */
  writing = false;

  private readonly heapFrame: ScratchFrame;
  private readonly segmented: SegmentedSend;
  private readonly kernel: LinkKernel | undefined;
  private readonly pieces: NotedPieces | undefined;
  private readonly several = new FramePieces();
  /** Bytes of the message of a packet in one piece. */
  private readonly pieceSize: number;
  /** Bytes the kernel has moved that are not counted yet. */
  private moved = 0;

  /** @param maxPackets the credit this end advertised, which sets how much of the ring its answers need. */
  constructor(settings: LinkSettings, producer: UringProducer, grants: PacketGrants, maxPackets: number) {
    super(settings, producer, grants, maxPackets);
    this.kernel = loadLinkKernel(settings.domain.memory);
    this.pieceSize = (PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE + this.prefix + 7) & ~7;
    this.pieces = grants.exact?.notePieces(producer, settings.counters, {
      prefix: this.prefix,
      kind: this.fragmentType,
      candidate: this.candidate << 8,
      size: this.pieceSize,
      reserve: this.reserve,
    });
    this.heapFrame = new ScratchFrame(settings.pool);
    this.segmented = new SegmentedSend(settings.pool, settings.prefix);
  }

  private sendBytes(bytes: Uint8Array, apart: boolean): SendOutcome {
    const length = bytes.byteLength;
    if (length < SMALLEST_FRAME || length > LARGEST_FRAME) return this.drop('sendLength');
    if (length <= LARGEST_PREFIX && !apart) {
      this.plan.clear();
      this.mark((bytes[0] as number) & 1);
      return this.writeSmallBytes(bytes);
    }
    if (this.grants.free === 0) return SendOutcome.full;
    if (!this.heapFrame.fromBytes(bytes)) return SendOutcome.starved;
    this.plan.clear();
    this.mark((bytes[0] as number) & 1);
    const outcome = this.writeFragments(this.heapFrame.cursor, this.prefixOf(length));
    this.heapFrame.end();
    return outcome;
  }

  /**
   * As {@link send}, for a frame in a few pieces and without offloads, while `gate` is open and somebody is to {@link settle}.
   *
   * @returns `false` for all others, and where there is no room: they go the general way.
   */
  pass(frame: Frame | Uint8Array, gate: SendGate): boolean {
    // Bytes have no fragments: to ask a frame for its class costs more than to ask it for what is needed anyway.
    const candidate = frame as Frame;
    const length = candidate.byteLength;
    const count = candidate.fragmentCount;
    if (count !== 1) return this.passSeveral(candidate, count, length, gate);
    if (
      candidate.checksum !== FrameChecksum.unknown ||
      candidate.segmentation !== FrameSegmentation.none ||
      length < SMALLEST_FRAME ||
      length > LARGEST_FRAME
    )
      return false;
    const page = candidate.fragmentPage(0);
    const offset = candidate.fragmentOffset(0);
    if (length > LARGEST_PREFIX) return this.passPiece(page, offset, length, gate);
    // A frame that sent another one when it was asked may have closed the gate.
    if (gate.left === 0 || this.putInline(page, offset, length) !== SendOutcome.sent) return false;
    gate.left -= 1;
    return true;
  }

  /**
   * As {@link pass}, for `frames` from number `start` on, up to one that has to go another way.
   *
   * @returns the number of that one, or `end`.
   */
  passBurst(frames: readonly (Frame | Uint8Array)[], start: number, end: number, gate: SendGate): number {
    const { pieces } = this;
    if (pieces === undefined || this.writing) return start;
    this.writing = true;
    try {
      return pieces.burst.take(frames, start, end, gate);
    } finally {
      this.writing = false;
    }
  }

  private passPiece(page: LeasedPage, offset: number, length: number, gate: SendGate): boolean {
    const { pieces } = this;
    if (pieces === undefined) return false;
    page.acquire();
    if (gate.left === 0 || !pieces.addUsual(page, offset, length)) {
      page.release();
      return false;
    }
    gate.left -= 1;
    return true;
  }

  /** Whether pieces are several, and may be noted. @param count `undefined` of bytes. */
  private isFew(count: number): boolean {
    return count > 1 && count <= KEPT_PARTS && count <= this.fragmentLimit;
  }

  private passSeveral(frame: Frame, count: number, length: number, gate: SendGate): boolean {
    const { pieces, several } = this;
    if (pieces === undefined || !this.isFew(count)) return false;
    if (frame.checksum !== FrameChecksum.unknown || frame.segmentation !== FrameSegmentation.none)
      return false;
    if (length <= LARGEST_PREFIX || length > LARGEST_FRAME || !several.take(frame, count, this.prefix))
      return false;
    // The last one wants an event.
    if (gate.left === 0 || pieces.addSeveral(several, 2) < 0) {
      several.release();
      return false;
    }
    gate.left -= 1;
    return true;
  }

  /** @param apart never inline as a whole: the packet has fragments, and so a FINISH. */
  send(frame: Frame | Uint8Array, apart: boolean): SendOutcome {
    return frame instanceof Uint8Array ? this.sendBytes(frame, apart) : this.sendFrame(frame, apart);
  }

  private sendFrame(frame: Frame, apart: boolean): SendOutcome {
    const length = frame.byteLength;
    if (length < SMALLEST_FRAME || length > LARGEST_FRAME) return this.drop('sendLength');
    const plain = frame.checksum === FrameChecksum.unknown && frame.segmentation === FrameSegmentation.none;
    const count = frame.fragmentCount;
    if (plain && count === 1) {
      if (length > LARGEST_PREFIX) {
        const { pieces } = this;
        if (pieces !== undefined) return this.notePiece(frame, length, pieces);
        const { exact } = this.grants;
        if (exact !== undefined) return this.sendPiece(frame, length, exact);
      } else if (!apart) return this.sendInline(frame, length);
    } else if (plain && length > LARGEST_PREFIX && this.isFew(count)) {
      const { pieces, several } = this;
      if (pieces !== undefined && several.take(frame, count, this.prefix))
        return this.noteSeveral(several, pieces);
    }
    return this.sendAlone(frame, length, plain, apart);
  }

  private sendAlone(frame: Frame, length: number, plain: boolean, apart: boolean): SendOutcome {
    this.writing = true;
    try {
      return this.sendPlanned(frame, length, plain, apart);
    } finally {
      this.writing = false;
    }
  }

  /** Whether the peer takes `frame` as it is, from where it lies. */
  acceptsGranted(frame: GrantedFrame): boolean {
    const { head, fragmentCount } = frame;
    if (!frame.headIsPrefix || head.byteLength > LARGEST_PREFIX || fragmentCount > this.fragmentLimit)
      return false;
    if (frame.byteLength < SMALLEST_FRAME || frame.byteLength > LARGEST_FRAME) return false;
    if (!acceptsOffload(frame, this.peerOffload)) return false;
    return fragmentCount === 0 || (frame.transitive && this.grants.acceptsGranted(frame));
  }

  /** Hands on a packet that {@link acceptsGranted} agreed to: a private copy of its head, and its sender's grants. */
  sendGranted(frame: GrantedFrame): SendOutcome {
    this.writing = true;
    try {
      return this.writeGranted(frame);
    } finally {
      this.writing = false;
    }
  }

  get credits(): number {
    return this.grants.free;
  }

  get allCredits(): number {
    return this.grants.capacity;
  }

  get allRoom(): number {
    return this.producer.ringBytes - this.reserve;
  }

  hasRoom(bytes: number): boolean {
    return this.producer.hasSpace(bytes, this.reserve);
  }

  /** The peer does not cut packets. */
  private sendSegments(frame: Frame, apart: boolean): SendOutcome {
    const outcome = this.segmented.send(frame, this.peerOffload, this, apart);
    if (outcome === SendOutcome.full) this.refusedSize = 0;
    return outcome === SendOutcome.dropped ? this.drop('sendSegmentation') : outcome;
  }

  /** A frame in several pieces, with offloads, or for a peer that cannot be granted exact bytes. */
  private sendPlanned(frame: Frame, length: number, plain: boolean, apart: boolean): SendOutcome {
    const plan = this.plan;
    if (plain) plan.clear();
    else {
      const reason = plan.fill(this.memory, frame, this.peerOffload);
      if (reason === 'sendSegmentation') return this.sendSegments(frame, apart);
      if (reason !== undefined) return this.drop(reason);
    }
    this.mark(frame.uint8(0) & 1);
    if (length <= LARGEST_PREFIX) return apart ? this.writeApart(frame) : this.writeSmall(frame, length);
    // A checksum completed here goes into the inline bytes, which must then reach as far.
    const prefix = plan.checksumField < this.prefix - 1 ? this.prefix : plan.checksumField + 2;
    return this.writeFragments(frame, prefix);
  }

  /** Most frames, in one piece and without offloads: short enough to be inline. */
  private sendInline(frame: Frame, length: number): SendOutcome {
    return this.putInline(frame.fragmentPage(0), frame.fragmentOffset(0), length);
  }

  private putInline(page: MemoryArea, offset: number, length: number): SendOutcome {
    const { producer, kernel } = this;
    const size = (PACKET_FIXED_SIZE + length + 7) & ~7;
    const at = producer.claim(size, this.reserve);
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return SendOutcome.full;
    }
    const kind = PacketType.small | this.candidateBits(page, offset);
    if (kernel !== undefined) {
      kernel.writeInline(at << 2, size, SMALL_PACKET_ID, kind, length, page.base + offset);
      this.moved += length;
      return this.sent(size, length);
    }
    this.writeInlineWords(at, size, kind, length);
    this.copyPrefix(at, PACKET_FIXED_SIZE, page, offset, length);
    return this.sent(size, length);
  }

  /** Most frames, in one piece and without offloads: a prefix inline, the rest granted where it lies. */
  private sendPiece(frame: Frame, length: number, exact: ExactGrants): SendOutcome {
    const { producer, grants, prefix, pieceSize: size } = this;
    const page = frame.fragmentPage(0);
    const offset = frame.fragmentOffset(0);
    const at = grants.free === 0 ? NO_SPACE : producer.claim(size, this.reserve);
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return SendOutcome.full;
    }
    const from = offset + prefix;
    const id = exact.grantPage(page, from, length - prefix);
    if (id < 0) return SendOutcome.starved;
    let kind = this.fragmentType | this.candidateBits(page, offset);
    if (grants.free === 0) {
      kind |= PacketFlag.needEvent << 8;
      this.urgent = true;
    }
    this.lastId = id;
    this.writePieceWords(at, size, id, kind, (length - prefix) | (from << 16), exact.firstRef(id));
    this.copyPrefix(at, PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE, page, offset, prefix);
    return this.sent(size, length);
  }

  /** As {@link sendPiece}, where a kernel writes the message and the grant later, with others. */
  private notePiece(frame: Frame, length: number, pieces: NotedPieces): SendOutcome {
    const page = frame.fragmentPage(0);
    const offset = frame.fragmentOffset(0);
    page.acquire();
    const id = pieces.add(page, offset, length);
    if (id < 0) return this.refusePiece(page, id);
    this.lastId = id;
    if (this.grants.free === 0) this.urgent = true;
    return SendOutcome.sent;
  }

  /** @param answer of `NotedPieces.add`. */
  private refusePiece(page: LeasedPage, answer: number): SendOutcome {
    page.release();
    if (answer === PIECE_STARVED) return SendOutcome.starved;
    this.refusedSize = this.pieceSize;
    return SendOutcome.full;
  }

  private noteSeveral(several: FramePieces, pieces: NotedPieces): SendOutcome {
    const id = pieces.addSeveral(several, 1);
    if (id < 0) {
      several.release();
      if (id === PIECE_STARVED) return SendOutcome.starved;
      this.refusedSize = pieces.sizeOf(several.count);
      return SendOutcome.full;
    }
    this.lastId = id;
    if (this.grants.free === 0) this.urgent = true;
    return SendOutcome.sent;
  }

  /** What was sent is about to be shown to the peer. */
  settle(): void {
    this.grants.publish();
    if (this.moved === 0) return;
    this.memory.kernels?.countCopied(this.moved);
    this.moved = 0;
  }

  /** The flag of a frame that could take a bypass, in place in the third word. */
  private candidateBits(page: MemoryArea, offset: number): number {
    if (this.candidate === 0) return 0;
    return ((page.bytes[page.base + offset] as number) & 1) === 0 ? this.candidate << 8 : 0;
  }
}
