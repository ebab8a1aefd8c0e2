import type { PooledPage } from '@netchannel2/frames';
import { MessageType, type UringConsumer } from '@netchannel2/netchannel2';
import type { DomainMemory, MemoryArea } from '@netchannel2/xen';
import { BatchEntry, OWED, RECORD_WORDS, RecordWord } from './batch-record';
import type { LinkSettings } from './link-settings';
import { PlainPacket } from './plain-packet';
import type { ReceiveBatch } from './receive-batch';
import type { UnfinishedIds } from './unfinished-ids';

/** What `take` answers when the consumer stands on the last packet of the run still: step on. */
export const STEP_DUE = -3;

/** Takes runs of {@link PlainPacket}s; a packet that is anything else, or breaks a rule, ends the run and is left as it was found. */
export class PlainRun {
  /** Packets of the last run. */
  taken = 0;
  /** Those of them that a FINISH is owed for. */
  owed = 0;

  private readonly packet = new PlainPacket();
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
    const { packet, consumer, batch, unfinished, maxPackets, memory, ring } = this;
    const { peer } = this.settings;
    const { records, firstPages, copies } = batch;
    const room = Math.min(most, batch.room);
    let index = batch.length;
    let taken = 0;
    let owed = 0;
    let type: number = MessageType.packet;
    while (type === MessageType.packet) {
      if (!packet.read(consumer) || batch.prepare(1) === 0) break;
      const { id, prefix, size } = packet;
      const record = index * RECORD_WORDS;
      const page = firstPages[index] as PooledPage;
      if (size === 0) records[record + RecordWord.state] = BatchEntry.filled;
      else {
        if (unfinished.size >= maxPackets || unfinished.has(id)) break;
        unfinished.add(id);
        copies.addFromGrant(peer, packet.ref, packet.from, page, prefix, size);
        records[record + RecordWord.id] = id;
        records[record + RecordWord.state] = BatchEntry.filled | OWED;
        owed += 1;
      }
      if (prefix > 0) memory.copy(page, 0, ring, packet.offset, prefix);
      records[record + RecordWord.length] = prefix + size;
      records[record + RecordWord.properties] = packet.flags;
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
