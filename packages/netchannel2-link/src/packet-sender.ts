import {
  answerReserve,
  clearPacketPadding,
  LARGEST_FRAGMENT_COUNT,
  LARGEST_FRAME,
  LARGEST_PREFIX,
  MessageType,
  messageHeader,
  NO_SPACE,
  PACKET_FIXED_SIZE,
  PACKET_FRAGMENT_SIZE,
  PacketFlag,
  PacketType,
  packetSize,
  SMALLEST_FRAME,
  senderFragmentLimit,
  type UringProducer,
  writePacketHead,
} from '@netchannel2/netchannel2';
import {
  type DomainId,
  type DomainMemory,
  type Frame,
  FrameChecksum,
  FrameSegmentation,
  type GrantedFrame,
  type LeasedPage,
  type MemoryArea,
  PAGE_SIZE,
} from '@netchannel2/xen';
import type { DropReason } from './drop-reasons';
import { copyInline } from './inline-copy';
import { type LinkBlock, type LinkKernel, loadLinkKernel } from './link-block';
import type { LinkSettings } from './link-settings';
import { acceptsOffload, OffloadPlan, type PeerOffload } from './offload-plan';
import type { ExactGrants, PacketGrants } from './packet-grants';
import type { ParkedPackets } from './parked-packets';
import { ScratchFrame } from './scratch-frame';
import { SegmentedSend, type SegmentSink } from './segmented-send';
import { SendOutcome } from './send-outcome';

/** The first word of a PACKET but for its size. */
const PACKET_HEADER = messageHeader(MessageType.packet, 0, 0);
/** Ids of small packets, which are never finished, lie outside the range of table indices. */
const SMALL_PACKET_ID = 0x80000000 | 0;

/** Turns frames into PACKET messages. Writes and commits; publishing the ring is the link's matter. */
export class PacketSender implements SegmentSink {
  /** What the peer takes; nothing before its messages arrive. */
  readonly peerOffload: PeerOffload = { checksum: false, tcpv4: false };
  /** Room the last refused message needed. */
  refusedSize = 0;
  /** Id of the packet with fragments sent last. */
  lastId = 0;
  /** The message just written asks for an immediate FINISH: flush it. */
  urgent = false;

  private readonly memory: DomainMemory;
  private readonly payload: MemoryArea;
  private readonly prefix: number;
  private readonly fragmentType: PacketType;
  private readonly plan = new OffloadPlan();
  private readonly heapFrame: ScratchFrame;
  private readonly denseFrame: ScratchFrame;
  private readonly segmented: SegmentedSend;
  private readonly reserve: number;
  private readonly candidate: number;
  private readonly kernel: LinkKernel | undefined;
  /** Bytes the kernel has moved that are not counted yet. */
  private moved = 0;
  /** Whose packets are handed on. */
  private runOwner: DomainId;
  private fragmentLimit = 1;

  /** @param maxPackets the credit this end advertised, which sets how much of the ring its answers need. */
  constructor(
    private readonly settings: LinkSettings,
    private readonly producer: UringProducer,
    private readonly grants: PacketGrants,
    maxPackets: number,
  ) {
    this.runOwner = settings.peer;
    this.memory = settings.domain.memory;
    this.kernel = loadLinkKernel(settings.domain.memory);
    this.payload = settings.rings.produce;
    this.prefix = settings.prefix;
    this.fragmentType =
      settings.fragmentKind === 'receiver_copy' ? PacketType.receiverCopy : PacketType.receiverMap;
    this.heapFrame = new ScratchFrame(settings.pool);
    this.denseFrame = new ScratchFrame(settings.pool);
    this.segmented = new SegmentedSend(settings.pool, settings.prefix);
    this.reserve = answerReserve(maxPackets);
    this.candidate = settings.marksCandidates === true ? PacketFlag.bypassCandidate : 0;
  }

  setMaxFragments(advertised: number): void {
    this.fragmentLimit = senderFragmentLimit(advertised, this.producer.ringBytes);
  }

  /** Whether the message last refused for want of room would fit now; asks for an event when not. */
  roomAgain(): boolean {
    return this.grants.free > 0 && this.producer.hasSpace(this.refusedSize, this.reserve);
  }

  /** @param apart never inline as a whole: the packet has fragments, and so a FINISH. */
  sendBytes(bytes: Uint8Array, apart = false): SendOutcome {
    const length = bytes.byteLength;
    if (length < SMALLEST_FRAME || length > LARGEST_FRAME) return this.drop('sendLength');
    if (length <= LARGEST_PREFIX && !apart) {
      const at = this.claimSmall(length);
      if (at === NO_SPACE) return SendOutcome.full;
      this.plan.clear();
      this.mark((bytes[0] as number) & 1);
      this.writeSmallHead(at, length);
      this.memory.copyIn(this.payload, this.prefixOffset(at, 0), bytes);
      return this.sent(packetSize(0, length), length);
    }
    if (this.grants.free === 0) return SendOutcome.full;
    if (!this.heapFrame.fromBytes(bytes)) return SendOutcome.starved;
    this.plan.clear();
    this.mark((bytes[0] as number) & 1);
    const outcome = this.sendFragments(this.heapFrame.cursor, this.prefixOf(length));
    this.heapFrame.end();
    return outcome;
  }

  /** @param apart never inline as a whole: the packet has fragments, and so a FINISH. */
  sendFrame(frame: Frame, apart = false): SendOutcome {
    const length = frame.byteLength;
    if (length < SMALLEST_FRAME || length > LARGEST_FRAME) return this.drop('sendLength');
    const plain = frame.checksum === FrameChecksum.unknown && frame.segmentation === FrameSegmentation.none;
    if (plain && frame.fragmentCount === 1) {
      if (length > LARGEST_PREFIX) return this.sendPiece(frame, length);
      if (!apart) return this.sendInline(frame, length);
    }
    const plan = this.plan;
    if (plain) plan.clear();
    else {
      const reason = plan.fill(this.memory, frame, this.peerOffload);
      if (reason === 'sendSegmentation') return this.sendSegments(frame, apart);
      if (reason !== undefined) return this.drop(reason);
    }
    this.mark(frame.uint8(0) & 1);
    if (length <= LARGEST_PREFIX) return apart ? this.sendApart(frame) : this.sendSmall(frame, length);
    // A checksum completed here goes into the inline bytes, which must then reach as far.
    const prefix = plan.checksumField < this.prefix - 1 ? this.prefix : plan.checksumField + 2;
    return this.sendFragments(frame, prefix);
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
    const { head, fragmentCount } = frame;
    const prefix = head.byteLength;
    const size = packetSize(fragmentCount, prefix);
    const { producer, plan } = this;
    const credit = fragmentCount === 0 || this.grants.free > 0;
    const at = credit ? producer.claim(size, this.reserve) : NO_SPACE;
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return SendOutcome.full;
    }
    plan.pass(frame);
    if (fragmentCount === 0) this.writeSmallHead(at, prefix);
    else {
      const { words } = producer;
      clearPacketPadding(words, at, size);
      const id = this.grants.grantOn(frame, words, at);
      if (id < 0) return SendOutcome.starved;
      this.writeFragmentsHead(at, size, id, prefix, PacketType.receiverCopy);
    }
    this.memory.copy(this.payload, this.prefixOffset(at, fragmentCount), head.area, head.offset, prefix);
    return this.sent(size, frame.byteLength);
  }

  /** Where messages may be written side by side. */
  get runTarget(): number {
    return this.producer.nextWord << 2;
  }

  get runRoom(): number {
    return this.producer.adjacentBytes(this.reserve);
  }

  openRun(block: LinkBlock, owner: DomainId, most: number): number {
    this.runOwner = owner;
    return this.grants.exact?.openRun(block, owner, most) ?? 0;
  }

  /** @param written bytes of messages. @param bytes of frames. */
  closeRun(
    block: LinkBlock,
    parked: ParkedPackets,
    packets: number,
    pieces: number,
    written: number,
    bytes: number,
  ): void {
    this.grants.exact?.closeRun(block, parked, this.runOwner, pieces);
    this.producer.commit(written);
    const { counters } = this.settings;
    counters.framesSent += packets;
    counters.bytesSent += bytes;
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

  /** Most frames, in one piece and without offloads: short enough to be inline. */
  private sendInline(frame: Frame, length: number): SendOutcome {
    const { producer } = this;
    const size = (PACKET_FIXED_SIZE + length + 7) & ~7;
    const at = producer.claim(size, this.reserve);
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return SendOutcome.full;
    }
    const { words } = producer;
    const page = frame.fragmentPage(0);
    const offset = frame.fragmentOffset(0);
    const { kernel } = this;
    if (kernel !== undefined) {
      const kind = PacketType.small | this.candidateBits(page, offset);
      kernel.writeInline(at << 2, size, SMALL_PACKET_ID, kind, length, page.base + offset);
      this.moved += length;
      return this.sent(size, length);
    }
    words[at + (size >> 2) - 1] = 0;
    words[at + (size >> 2) - 2] = 0;
    words[at] = PACKET_HEADER | (size << 16);
    words[at + 1] = SMALL_PACKET_ID;
    words[at + 2] = PacketType.small | this.candidateBits(page, offset);
    words[at + 3] = length;
    words[at + 4] = 0;
    this.memory.copy(this.payload, (at << 2) - this.payload.base + PACKET_FIXED_SIZE, page, offset, length);
    return this.sent(size, length);
  }

  /** Most frames, in one piece and without offloads: a prefix inline, the rest granted. */
  private sendPiece(frame: Frame, length: number): SendOutcome {
    const { producer, grants, prefix } = this;
    const size = (PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE + prefix + 7) & ~7;
    const at = grants.free === 0 ? NO_SPACE : producer.claim(size, this.reserve);
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return SendOutcome.full;
    }
    const { words } = producer;
    const { kernel } = this;
    const page = frame.fragmentPage(0);
    const offset = frame.fragmentOffset(0);
    if (kernel !== undefined && grants.exact !== undefined)
      return this.sendPieceByKernel(kernel, grants.exact, at, size, page, offset, length);
    words[at + (size >> 2) - 1] = 0;
    words[at + (size >> 2) - 2] = 0;
    const id = grants.grant(frame, prefix, words, at);
    if (id < 0) return SendOutcome.starved;
    words[at] = PACKET_HEADER | (size << 16);
    words[at + 1] = id;
    words[at + 2] = this.fragmentType | this.candidateBits(page, offset);
    words[at + 3] = prefix;
    words[at + 4] = 0;
    if (grants.free === 0) {
      words[at + 2] = (words[at + 2] as number) | (PacketFlag.needEvent << 8);
      this.urgent = true;
    }
    const target = (at << 2) - this.payload.base + PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE;
    this.memory.copy(this.payload, target, page, offset, prefix);
    this.lastId = id;
    return this.sent(size, length);
  }

  private sendPieceByKernel(
    kernel: LinkKernel,
    grants: ExactGrants,
    at: number,
    size: number,
    page: LeasedPage,
    offset: number,
    length: number,
  ): SendOutcome {
    const { prefix } = this;
    const from = offset + prefix;
    const id = grants.grantPage(page, from, length - prefix);
    if (id < 0) return SendOutcome.starved;
    let kind = this.fragmentType | this.candidateBits(page, offset);
    if (this.grants.free === 0) {
      kind |= PacketFlag.needEvent << 8;
      this.urgent = true;
    }
    const range = (length - prefix) | (from << 16);
    kernel.writePiece(at << 2, size, id, kind, prefix, page.base + offset, range, grants.firstRef(id));
    this.moved += prefix;
    this.lastId = id;
    return this.sent(size, length);
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

  private sendSmall(frame: Frame, length: number): SendOutcome {
    const at = this.claimSmall(length);
    if (at === NO_SPACE) return SendOutcome.full;
    this.writeSmallHead(at, length);
    copyInline(this.memory, this.payload, this.prefixOffset(at, 0), frame, length, this.plan);
    return this.sent(packetSize(0, length), length);
  }

  /** A frame that would fit inline, with its last bytes in a fragment. */
  private sendApart(frame: Frame): SendOutcome {
    const plan = this.plan;
    const prefix = this.prefixOf(frame.byteLength);
    if (plan.checksumField < prefix - 1) return this.sendFragments(frame, prefix);
    // The checksum to be completed lies in the fragment, which is not ours to change: it is completed in a copy.
    if (this.grants.free === 0) return SendOutcome.full;
    if (!this.denseFrame.fromFrame(frame, 0)) return SendOutcome.starved;
    const page = this.denseFrame.cursor.fragmentPage(0);
    const at = page.base + this.denseFrame.cursor.fragmentOffset(0) + plan.checksumField;
    page.bytes[at] = plan.checksum >>> 8;
    page.bytes[at + 1] = plan.checksum;
    plan.checksumField = -1;
    const outcome = this.sendFragments(this.denseFrame.cursor, prefix);
    this.denseFrame.end();
    return outcome;
  }

  /** Inline bytes of a packet with fragments, which must have some too. */
  private prefixOf(length: number): number {
    return length > this.prefix ? this.prefix : Math.min(SMALLEST_FRAME, length - 1);
  }

  /** @param group 1 if the destination is a group: such a frame cannot take a bypass. */
  private mark(group: number): void {
    if (group === 0) this.plan.flags |= this.candidate;
  }

  private sendFragments(frame: Frame, prefix: number): SendOutcome {
    const fragments = this.grants.fragmentsOf(frame, prefix);
    if (fragments > this.fragmentLimit) return this.sendRebuilt(frame, prefix, fragments);
    if (this.grants.free === 0) {
      this.refusedSize = packetSize(fragments, prefix);
      return SendOutcome.full;
    }
    const size = packetSize(fragments, prefix);
    const producer = this.producer;
    const at = producer.claim(size, this.reserve);
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return SendOutcome.full;
    }
    const words = producer.words;
    clearPacketPadding(words, at, size);
    const id = this.grants.grant(frame, prefix, words, at);
    if (id < 0) return SendOutcome.starved;
    this.writeFragmentsHead(at, size, id, prefix, this.fragmentType);
    copyInline(this.memory, this.payload, this.prefixOffset(at, fragments), frame, prefix, this.plan);
    this.lastId = id;
    return this.sent(size, frame.byteLength);
  }

  /** More pieces than the peer takes: the same bytes in fewer pages. */
  private sendRebuilt(frame: Frame, prefix: number, fragments: number): SendOutcome {
    const length = frame.byteLength;
    const dense = (length + PAGE_SIZE - 1) >> 12;
    const denseRest = (length - prefix + PAGE_SIZE - 1) >> 12;
    if (denseRest > this.fragmentLimit || fragments <= denseRest || denseRest > LARGEST_FRAGMENT_COUNT) {
      return this.drop('sendFragments');
    }
    if (this.grants.free === 0) return SendOutcome.full;
    const apart = dense > this.fragmentLimit ? prefix : 0;
    if (!this.denseFrame.fromFrame(frame, apart)) return SendOutcome.starved;
    const outcome = this.sendFragments(this.denseFrame.cursor, prefix);
    this.denseFrame.end();
    return outcome;
  }

  private claimSmall(length: number): number {
    const size = packetSize(0, length);
    const at = this.producer.claim(size, this.reserve);
    if (at === NO_SPACE) this.refusedSize = size;
    return at;
  }

  private writeSmallHead(at: number, length: number): void {
    const plan = this.plan;
    const size = packetSize(0, length);
    clearPacketPadding(this.producer.words, at, size);
    writePacketHead(
      this.producer.words,
      at,
      size,
      SMALL_PACKET_ID,
      PacketType.small,
      plan.flags,
      plan.segmentation,
      length,
      plan.mss,
      plan.csumStart,
      plan.csumOffset,
    );
  }

  private writeFragmentsHead(at: number, size: number, id: number, prefix: number, type: PacketType): void {
    const plan = this.plan;
    let flags = plan.flags;
    // With the last credit gone nothing more can be sent before this packet, or another, is finished.
    if (this.grants.free === 0) {
      flags |= PacketFlag.needEvent;
      this.urgent = true;
    }
    writePacketHead(
      this.producer.words,
      at,
      size,
      id,
      type,
      flags,
      plan.segmentation,
      prefix,
      plan.mss,
      plan.csumStart,
      plan.csumOffset,
    );
  }

  /** Byte offset in the payload of the inline bytes of the message at word `at`. */
  private prefixOffset(at: number, fragments: number): number {
    return ((at + 5 + 2 * fragments) << 2) - this.payload.base;
  }

  private sent(size: number, length: number): SendOutcome {
    this.producer.commit(size);
    const counters = this.settings.counters;
    counters.framesSent += 1;
    counters.bytesSent += length;
    return SendOutcome.sent;
  }

  private drop(reason: DropReason): SendOutcome {
    this.settings.counters.dropped[reason] += 1;
    return SendOutcome.dropped;
  }
}
