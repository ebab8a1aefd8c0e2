import { type PortCounters, pagesOf } from '@netchannel2/frames';
import {
  answerReserve,
  clearPacketPadding,
  LARGEST_FRAGMENT_COUNT,
  LARGEST_PREFIX,
  MessageType,
  messageHeader,
  NO_SPACE,
  PacketFlag,
  PacketType,
  packetSize,
  SMALLEST_FRAME,
  senderFragmentLimit,
  type UringProducer,
  writePacketHead,
} from '@netchannel2/netchannel2';
import type { DomainMemory, Frame, GrantedFrame, GrantRef, MemoryArea } from '@netchannel2/xen';
import type { DropReason } from './drop-reasons';
import { copyInline } from './inline-copy';
import type { LinkSettings } from './link-settings';
import { OffloadPlan } from './offload-plan';
import type { PacketGrants } from './packet-grants';
import { ScratchFrame } from './scratch-frame';
import { SendOutcome } from './send-outcome';

/** The first word of a PACKET but for its size. */
const PACKET_HEADER = messageHeader(MessageType.packet, 0, 0);
/** Ids of small packets, which are never finished, lie outside the range of table indices. */
export const SMALL_PACKET_ID = 0x80000000 | 0;

/** Writes PACKETs of any shape, as its plan says. Writes and commits; publishing the ring is the link's matter. */
export abstract class PacketWriter {
  /** Room the last refused message needed. */
  refusedSize = 0;
  /** Id of the packet with fragments sent last. */
  lastId = 0;
  /** Fragments of a packet, at most, as the peer takes them and the ring has room for. */
  fragmentLimit = 1;
  /** The message just written asks for an immediate FINISH: flush it. */
  urgent = false;
  protected readonly memory: DomainMemory;
  protected readonly payload: MemoryArea;
  protected readonly prefix: number;
  protected readonly fragmentType: PacketType;
  protected readonly plan = new OffloadPlan();
  protected readonly reserve: number;
  protected readonly candidate: number;
  protected readonly counters: PortCounters<DropReason>;
  private readonly denseFrame: ScratchFrame;

  /** @param maxPackets the credit this end advertised, which sets how much of the ring its answers need. */
  constructor(
    protected readonly settings: LinkSettings,
    protected readonly producer: UringProducer,
    protected readonly grants: PacketGrants,
    maxPackets: number,
  ) {
    this.memory = settings.domain.memory;
    this.payload = settings.rings.produce;
    this.prefix = settings.prefix;
    this.counters = settings.counters;
    this.fragmentType =
      settings.fragmentKind === 'receiver_copy' ? PacketType.receiverCopy : PacketType.receiverMap;
    this.denseFrame = new ScratchFrame(settings.pool);
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

  /** @param group 1 if the destination is a group: such a frame cannot take a bypass. */
  protected mark(group: number): void {
    if (group === 0) this.plan.flags |= this.candidate;
  }

  /** Inline bytes of a packet with fragments, which must have some too. */
  protected prefixOf(length: number): number {
    return length > this.prefix ? this.prefix : Math.min(SMALLEST_FRAME, length - 1);
  }

  protected writeSmall(frame: Frame, length: number): SendOutcome {
    const size = packetSize(0, length);
    const at = this.open(size, true);
    if (at === NO_SPACE) return SendOutcome.full;
    this.writeSmallHead(at, length);
    copyInline(this.memory, this.payload, this.prefixOffset(at, 0), frame, length, this.plan);
    return this.sent(size, length);
  }

  protected writeSmallBytes(bytes: Uint8Array): SendOutcome {
    const length = bytes.byteLength;
    const size = packetSize(0, length);
    const at = this.open(size, true);
    if (at === NO_SPACE) return SendOutcome.full;
    this.writeSmallHead(at, length);
    this.memory.copyIn(this.payload, this.prefixOffset(at, 0), bytes);
    return this.sent(size, length);
  }

  protected writeFragments(frame: Frame, prefix: number): SendOutcome {
    const fragments = this.grants.fragmentsOf(frame, prefix);
    if (fragments > this.fragmentLimit) return this.writeRebuilt(frame, prefix, fragments);
    const size = packetSize(fragments, prefix);
    const at = this.open(size, this.grants.free > 0);
    if (at === NO_SPACE) return SendOutcome.full;
    const id = this.grants.grant(frame, prefix, this.producer.words, at);
    // A place that is not committed is simply claimed again.
    if (id < 0) return SendOutcome.starved;
    this.writeFragmentsHead(at, size, id, prefix, this.fragmentType);
    copyInline(this.memory, this.payload, this.prefixOffset(at, fragments), frame, prefix, this.plan);
    this.lastId = id;
    return this.sent(size, frame.byteLength);
  }

  /** A private copy of the packet's head, and its sender's grants. */
  protected writeGranted(frame: GrantedFrame): SendOutcome {
    const { head, fragmentCount, byteLength } = frame;
    const prefix = head.byteLength;
    const size = packetSize(fragmentCount, prefix);
    const at = this.open(size, fragmentCount === 0 || this.grants.free > 0);
    if (at === NO_SPACE) return SendOutcome.full;
    this.plan.pass(frame);
    if (fragmentCount === 0) this.writeSmallHead(at, prefix);
    else {
      const id = this.grants.grantOn(frame, this.producer.words, at);
      if (id < 0) return SendOutcome.starved;
      this.writeFragmentsHead(at, size, id, prefix, PacketType.receiverCopy);
    }
    this.memory.copy(this.payload, this.prefixOffset(at, fragmentCount), head.area, head.offset, prefix);
    return this.sent(size, byteLength);
  }

  /** A frame that would fit inline, with its last bytes in a fragment. */
  protected writeApart(frame: Frame): SendOutcome {
    const plan = this.plan;
    const prefix = this.prefixOf(frame.byteLength);
    if (plan.checksumField < prefix - 1) return this.writeFragments(frame, prefix);
    // The checksum to be completed lies in the fragment, which is not ours to change: it is completed in a copy.
    if (this.grants.free === 0) return SendOutcome.full;
    if (!this.denseFrame.fromFrame(frame, 0)) return SendOutcome.starved;
    const page = this.denseFrame.cursor.fragmentPage(0);
    const at = page.base + this.denseFrame.cursor.fragmentOffset(0) + plan.checksumField;
    page.bytes[at] = plan.checksum >>> 8;
    page.bytes[at + 1] = plan.checksum;
    plan.checksumField = -1;
    const outcome = this.writeFragments(this.denseFrame.cursor, prefix);
    this.denseFrame.end();
    return outcome;
  }

  /** More pieces than the peer takes: the same bytes in fewer pages, and where that saves one, more of them inline. */
  private writeRebuilt(frame: Frame, leastPrefix: number, fragments: number): SendOutcome {
    const length = frame.byteLength;
    const dense = pagesOf(length);
    const prefix = pagesOf(length - leastPrefix) > this.fragmentLimit ? LARGEST_PREFIX : leastPrefix;
    const denseRest = pagesOf(length - prefix);
    if (denseRest > this.fragmentLimit || fragments <= denseRest || denseRest > LARGEST_FRAGMENT_COUNT) {
      return this.drop('sendFragments');
    }
    if (this.grants.free === 0) return SendOutcome.full;
    const apart = dense > this.fragmentLimit ? prefix : 0;
    if (!this.denseFrame.fromFrame(frame, apart)) return SendOutcome.starved;
    const outcome = this.writeFragments(this.denseFrame.cursor, prefix);
    this.denseFrame.end();
    return outcome;
  }

  /** Claims a place for a message, whose padding is cleared. */
  private open(size: number, credit: boolean): number {
    const { producer } = this;
    const at = credit ? producer.claim(size, this.reserve) : NO_SPACE;
    if (at === NO_SPACE) {
      this.refusedSize = size;
      return NO_SPACE;
    }
    clearPacketPadding(producer.words, at, size);
    return at;
  }

  /** Everything before the inline bytes of a short frame without offloads. */
  protected writeInlineWords(at: number, size: number, kind: number, length: number): void {
    const { words } = this.producer;
    clearPacketPadding(words, at, size);
    words[at] = PACKET_HEADER | (size << 16);
    words[at + 1] = SMALL_PACKET_ID;
    words[at + 2] = kind;
    words[at + 3] = length;
    words[at + 4] = 0;
  }

  /** Everything before the inline bytes of a frame without offloads in one fragment. */
  protected writePieceWords(
    at: number,
    size: number,
    id: number,
    kind: number,
    range: number,
    ref: GrantRef,
  ): void {
    const { words } = this.producer;
    clearPacketPadding(words, at, size);
    words[at] = PACKET_HEADER | (size << 16);
    words[at + 1] = id;
    words[at + 2] = kind;
    words[at + 3] = this.prefix;
    words[at + 4] = 0;
    words[at + 5] = range;
    words[at + 6] = ref;
  }

  /** Copies the inline bytes to byte `skip` of the message at word `at`. */
  protected copyPrefix(at: number, skip: number, source: MemoryArea, offset: number, length: number): void {
    this.memory.copy(this.payload, (at << 2) - this.payload.base + skip, source, offset, length);
  }

  private writeSmallHead(at: number, length: number): void {
    this.writeHead(at, packetSize(0, length), SMALL_PACKET_ID, PacketType.small, this.plan.flags, length);
  }

  private writeFragmentsHead(at: number, size: number, id: number, prefix: number, type: PacketType): void {
    let { flags } = this.plan;
    // With the last credit gone nothing more can be sent before this packet, or another, is finished.
    if (this.grants.free === 0) {
      flags |= PacketFlag.needEvent;
      this.urgent = true;
    }
    this.writeHead(at, size, id, type, flags, prefix);
  }

  private writeHead(
    at: number,
    size: number,
    id: number,
    type: PacketType,
    flags: number,
    prefix: number,
  ): void {
    const { segmentation, mss, csumStart, csumOffset } = this.plan;
    const { words } = this.producer;
    writePacketHead(words, at, size, id, type, flags, segmentation, prefix, mss, csumStart, csumOffset);
  }

  /** Byte offset in the payload of the inline bytes of the message at word `at`. */
  private prefixOffset(at: number, fragments: number): number {
    return ((at + 5 + 2 * fragments) << 2) - this.payload.base;
  }

  protected sent(size: number, length: number): SendOutcome {
    this.producer.commit(size);
    const { counters } = this;
    counters.framesSent += 1;
    counters.bytesSent += length;
    return SendOutcome.sent;
  }

  protected drop(reason: DropReason): SendOutcome {
    this.settings.counters.dropped[reason] += 1;
    return SendOutcome.dropped;
  }
}
