import type { PooledPage } from '@netchannel2/frames';
import {
  LARGEST_PREFIX,
  MessageType,
  messageSize,
  PACKET_FIXED_SIZE,
  PACKET_FRAGMENT_SIZE,
  PacketFlag,
  PacketType,
  SMALLEST_FRAME,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import { type DomainMemory, type GrantRef, type MemoryArea, PAGE_SIZE } from '@netchannel2/xen';
import { BatchEntry, OWED, RECORD_WORDS, RecordWord } from './batch-record';
import type { LinkSettings } from './link-settings';
import type { ReceiveBatch } from './receive-batch';
import type { UnfinishedIds } from './unfinished-ids';

/** Bits of a PACKET's third word that a plain packet has not: a segmentation type, a blank checksum. */
export const NOT_PLAIN = 0x00ff0000 | (PacketFlag.csumBlank << 8);

/** What `take` answers when the consumer stands on the last packet of the run still: step on. */
export const STEP_DUE = -3;

/**
 * Takes runs of plain packets: inline as a whole, or a prefix and one fragment, together at most a page, without offloads.
 * One loop for the whole run, since what it does for each packet is little beside a call. It looks once at each word of a
 * message; a packet that is anything else, or breaks a rule, ends the run and is left as it was found.
 */
export class PlainRun {
  /** Packets of the last run. */
  taken = 0;
  /** Those of them that a FINISH is owed for. */
  owed = 0;

  private readonly memory: DomainMemory;
  private readonly ring: MemoryArea;

  /** @param maxPackets the credit advertised. */
  constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly batch: ReceiveBatch,
    private readonly unfinished: UnfinishedIds,
    private readonly maxPackets: number,
  ) {
    this.memory = settings.pool.memory;
    this.ring = settings.rings.consume;
  }

  /**
   * Takes packets from the one the consumer stands on, until one is not plain, the batch is full, `most` are taken or the
   * consumer must publish.
   *
   * @param most 1 or more.
   * @returns what the consumer's `next` answered last, for the message behind the run; or {@link STEP_DUE}.
   */
  take(most: number): number {
    const { consumer, batch, unfinished, maxPackets, memory, ring } = this;
    const { peer } = this.settings;
    const { words } = consumer;
    const { records, firstPages, copies } = batch;
    const room = Math.min(most, batch.room);
    let index = batch.length;
    let taken = 0;
    let owed = 0;
    let type: number = MessageType.packet;
    while (type === MessageType.packet) {
      const at = consumer.messageWord;
      const kind = words[at + 2] as number;
      const prefix = (words[at + 3] as number) & 0xffff;
      if ((kind & NOT_PLAIN) !== 0 || prefix > LARGEST_PREFIX) break;
      const fragments = (messageSize(consumer.header) - PACKET_FIXED_SIZE - prefix) >> 3;
      const record = index * RECORD_WORDS;
      if (batch.prepare(1) === 0) break;
      const page = firstPages[index] as PooledPage;
      if ((kind & 0xff) === PacketType.small) {
        if (fragments !== 0 || prefix < SMALLEST_FRAME) break;
        memory.copy(page, 0, ring, (at << 2) - ring.base + PACKET_FIXED_SIZE, prefix);
        records[record + RecordWord.length] = prefix;
        records[record + RecordWord.state] = BatchEntry.filled;
      } else {
        if ((kind & 0xff) !== PacketType.receiverCopy || fragments !== 1) break;
        const range = words[at + 5] as number;
        const size = range & 0xffff;
        const from = range >>> 16;
        const length = prefix + size;
        if (size === 0 || from + size > PAGE_SIZE || length < SMALLEST_FRAME || length > PAGE_SIZE) break;
        const id = words[at + 1] as number;
        if (unfinished.size >= maxPackets || unfinished.has(id)) break;
        unfinished.add(id);
        const inline = (at << 2) - ring.base + PACKET_FIXED_SIZE + PACKET_FRAGMENT_SIZE;
        if (prefix > 0) memory.copy(page, 0, ring, inline, prefix);
        copies.addFromGrant(peer, words[at + 6] as GrantRef, from, page, prefix, size);
        records[record + RecordWord.id] = id;
        records[record + RecordWord.length] = length;
        records[record + RecordWord.state] = BatchEntry.filled | OWED;
        owed += 1;
      }
      records[record + RecordWord.properties] = (kind >>> 8) & 0xff;
      records[record + RecordWord.copiesEnd] = copies.length;
      index += 1;
      batch.length = index;
      taken += 1;
      type = taken === room || consumer.publishDue ? STEP_DUE : consumer.next();
    }
    this.taken = taken;
    this.owed = owed;
    return type;
  }
}
