import {
  FINISH_NOT_OBTAINED,
  PACKET_FIXED_SIZE,
  PacketDrop,
  PacketType,
  packetDrop,
  packetFault,
  packetFragmentCount,
  packetId,
  packetType,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import type { FinishQueue } from './finish-queue';
import { IdSet } from './id-set';
import type { LinkSettings } from './link-settings';
import { BatchEntry, ReceiveBatch } from './receive-batch';

/** Packets with impossible fragments in a row that end the connection (spec §7). */
const MOST_BAD_RANGES = 16;
/** Packets in a row whose bytes could not be had that end the connection (spec §7). */
const MOST_FAILED_COPIES = 100;
/** Words of the fixed part and 64 fragments. */
const LONGEST_HEAD = PACKET_FIXED_SIZE / 4 + 2 * 64;

/** Takes PACKET messages: checks, copies, finishes, emits. */
export class PacketReceiver {
  private readonly message = new Int32Array(LONGEST_HEAD);
  private readonly batch: ReceiveBatch;
  private readonly batchIds = new IdSet(512);
  private readonly maxFragments: number;
  /** Packets of the batch that a FINISH is owed for. */
  private owed = 0;
  private badRanges = 0;
  private failedCopies = 0;

  /**
   * @param maxPackets the credit advertised.
   * @param bypass the ring is a bypass.
   */
  constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly finishes: FinishQueue,
    private readonly maxPackets: number,
    private readonly bypass: boolean,
  ) {
    this.batch = new ReceiveBatch(settings);
    this.maxFragments = settings.offer.maxFragments;
  }

  /** Takes the message the consumer stands on. @returns what ends the connection, or `undefined`. */
  receive(): string | undefined {
    const message = this.message;
    const consumer = this.consumer;
    consumer.copyTo(message, 5);
    const fault = packetFault(message, 0, this.bypass);
    if (fault !== undefined) return fault;
    const id = packetId(message, 0);
    const owed = packetType(message, 0) !== PacketType.small;
    if (owed) {
      consumer.copyRange(message, 5, 5 + 2 * packetFragmentCount(message, 0));
      if (this.owed + this.finishes.pending >= this.maxPackets) return 'more unfinished packets than allowed';
      if (!this.batchIds.add(id) || this.finishes.waits(id)) return 'id of a packet that is still unfinished';
      this.owed += 1;
    }
    const drop = packetDrop(message, 0, this.maxFragments);
    if (drop !== undefined) return this.refuse(id, owed, drop);
    this.badRanges = 0;
    if (!this.batch.add(message, consumer.messageOffset, id, owed)) {
      this.settings.counters.dropped.noBuffer += 1;
      if (owed) this.batch.addRefused(id);
    }
    return undefined;
  }

  /** The batch must be completed before the next PACKET. */
  get full(): boolean {
    return this.batch.full;
  }

  /** Packets wait in the batch. */
  get waiting(): boolean {
    return this.batch.length > 0;
  }

  /** Gets the bytes of all packets, finishes and emits them. @returns what ends the connection, or `undefined`. */
  complete(): string | undefined {
    const batch = this.batch;
    if (batch.length === 0) return undefined;
    batch.obtain();
    let fault: string | undefined;
    for (let index = 0; index < batch.length; index += 1) {
      const state = batch.state(index);
      if (state === BatchEntry.filled) this.failedCopies = 0;
      else if (state === BatchEntry.failed) {
        this.failedCopies += 1;
        if (this.failedCopies === MOST_FAILED_COPIES) fault = '100 packets in a row whose grants do not work';
      }
      if (!batch.isOwed(index)) continue;
      const flags = state === BatchEntry.filled ? 0 : FINISH_NOT_OBTAINED;
      if (!this.finishes.finish(batch.id(index), flags)) fault = 'peer does not take its FINISHes';
    }
    this.owed = 0;
    this.batchIds.clear();
    for (let index = 0; index < batch.length; index += 1) {
      if (fault === undefined) this.deliver(index);
      batch.releasePages(index);
    }
    batch.clear();
    return fault;
  }

  /** Forgets what was not completed. */
  end(): void {
    for (let index = 0; index < this.batch.length; index += 1) this.batch.releasePages(index);
    this.batch.clear();
  }

  private deliver(index: number): void {
    const { batch, settings } = this;
    const counters = settings.counters;
    const state = batch.state(index);
    if (state !== BatchEntry.filled) {
      if (state === BatchEntry.failed) counters.dropped.notObtained += 1;
      return;
    }
    if (settings.onlySource !== undefined && !batch.comesFrom(index, settings.onlySource)) {
      counters.dropped.sourceMac += 1;
      return;
    }
    counters.framesReceived += 1;
    counters.bytesReceived += batch.frameLength(index);
    if (!settings.frames.observed) {
      counters.dropped.noSubscriber += 1;
      return;
    }
    const cursor = batch.load(index);
    settings.frames.emit(cursor);
    cursor.end();
  }

  private refuse(id: number, owed: boolean, reason: PacketDrop): string | undefined {
    this.settings.counters.dropped[reason] += 1;
    if (owed) this.batch.addRefused(id);
    if (reason !== PacketDrop.fragmentRange) {
      this.badRanges = 0;
      return undefined;
    }
    this.badRanges += 1;
    return this.badRanges === MOST_BAD_RANGES ? '16 packets in a row with impossible fragments' : undefined;
  }
}
