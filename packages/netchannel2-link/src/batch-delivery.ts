import type { HotStream, PooledPage } from '@netchannel2/frames';
import { FINISH_NOT_OBTAINED } from '@netchannel2/netchannel2';
import { type Frame, PAGE_SIZE } from '@netchannel2/xen';
import { AddressInFrame, SOURCE_MAC, TARGET_MAC } from './address-in-frame';
import { BatchEntry, OWED, RECORD_WORDS, RecordWord } from './batch-record';
import type { FinishQueue } from './finish-queue';
import type { HeldFinishes } from './held-finishes';
import type { LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import { ReceiveBatch } from './receive-batch';

export const NOT_TAKEN = 'peer does not take its FINISHes';
/** Packets in a row whose bytes could not be had that end the connection (spec §7). */
export const MOST_FAILED_COPIES = 100;
export const FAILED_COPIES = '100 packets in a row whose grants do not work';

/** Gets the bytes of the packets of a pass, finishes these and emits them, in order. */
export abstract class BatchDelivery {
  /** Packets to these destinations are finished later, by a middle that waits for their delivery. */
  readonly late: HeldFinishes[] = [];
  /** Packets of the batch that a FINISH is owed for. */
  protected owed = 0;
  protected readonly batch: ReceiveBatch;
  protected readonly frames: HotStream<Frame>;
  protected readonly onlySource: Uint8Array | undefined;
  protected failedCopies = 0;
  protected ended = false;
  private readonly source: AddressInFrame | undefined;
  private readonly target: AddressInFrame | undefined;
  private completing = false;

  /** @param block shared with a kernel, where there is one. */
  constructor(
    protected readonly settings: LinkSettings,
    protected readonly finishes: FinishQueue,
    block: LinkBlock | undefined,
  ) {
    this.batch = new ReceiveBatch(settings, block);
    this.frames = settings.frames;
    const { onlySource, onlyTarget } = settings;
    this.onlySource = onlySource;
    if (onlySource !== undefined) this.source = new AddressInFrame(onlySource, SOURCE_MAC);
    if (onlyTarget !== undefined) this.target = new AddressInFrame(onlyTarget, TARGET_MAC);
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
    const { batch } = this;
    const count = batch.length;
    if (count === 0) return undefined;
    this.completing = true;
    batch.obtain();
    const fault = this.owed > 0 ? this.finishAll(count) : undefined;
    const retained = fault === undefined && this.deliverAll(count);
    const asItWas = !retained && !batch.troubled;
    this.completing = false;
    if (this.ended) batch.end();
    else if (asItWas) batch.clear();
    else batch.clearRetained();
    return fault;
  }

  /** Nothing is to come soon: what is kept for it goes back. */
  rest(): void {
    if (!this.ended) this.batch.rest();
  }

  /** Emits nothing any more, and forgets what was not completed. May be called by a subscriber, amid an emission. */
  end(): void {
    this.ended = true;
    if (this.completing) return;
    this.batch.forgetCopies();
    this.batch.end();
  }

  protected countReceived(length: number): void {
    const { counters } = this.settings;
    counters.framesReceived += 1;
    counters.bytesReceived += length;
  }

  private finishAll(count: number): string | undefined {
    const { finishes } = this;
    const { records } = this.batch;
    let fault: string | undefined;
    if (!this.batch.troubled && this.late.length === 0) {
      this.failedCopies = 0;
      this.owed = 0;
      return finishes.finishBatch(records, count) ? undefined : NOT_TAKEN;
    }
    for (let index = 0; index < count; index += 1) {
      const record = index * RECORD_WORDS;
      const state = records[record + RecordWord.state] as number;
      if ((state & OWED) === 0) continue;
      if (state === (BatchEntry.filled | OWED)) this.failedCopies = 0;
      else if (state === (BatchEntry.failed | OWED)) fault = this.countFailed() ?? fault;
      if (this.late.length > 0 && this.holdLate(index, state)) continue;
      const flags = state === (BatchEntry.filled | OWED) ? 0 : FINISH_NOT_OBTAINED;
      if (!finishes.finish(records[record + RecordWord.id] as number, flags)) fault = NOT_TAKEN;
    }
    this.owed = 0;
    return fault;
  }

  /** Holds the FINISH of packet `index` back where it is to be. What was not copied goes by the first: it may be for it. */
  private holdLate(index: number, state: number): boolean {
    const { late, batch } = this;
    const held =
      state === (BatchEntry.refused | OWED)
        ? late[0]
        : late.find(({ target }) => batch.carries(index, TARGET_MAC, target));
    if (held === undefined) return false;
    const id = batch.records[index * RECORD_WORDS + RecordWord.id] as number;
    held.hold(id, state === (BatchEntry.filled | OWED) ? 0 : FINISH_NOT_OBTAINED);
    return true;
  }

  private countFailed(): string | undefined {
    this.failedCopies += 1;
    this.settings.counters.dropped.notObtained += 1;
    return this.failedCopies === MOST_FAILED_COPIES ? FAILED_COPIES : undefined;
  }

  /** Emits what was obtained. @returns whether anybody keeps a page. */
  private deliverAll(count: number): boolean {
    return this.batch.troubled || this.settings.emission !== undefined
      ? this.deliverChosen(count)
      : this.deliverEach(count);
  }

  /** As {@link deliverAll}, where every packet was obtained and nobody wants to know whose it is. */
  private deliverEach(count: number): boolean {
    const { batch, frames } = this;
    const { records, firstPages, cursor } = batch;
    const filtered = this.source !== undefined || this.target !== undefined;
    let delivered = 0;
    let bytes = 0;
    let retained = false;
    let index = 0;
    for (let record = 0; index < count && !this.ended; record += RECORD_WORDS) {
      const length = records[record + RecordWord.length] as number;
      const first = firstPages[index] as PooledPage;
      if (!filtered || this.isAllowed(first)) {
        const plain = length <= PAGE_SIZE && records[record + RecordWord.properties] === 0;
        if (plain) cursor.loadPage(first, 0, length);
        else batch.load(index);
        if (!frames.emit(cursor)) this.settings.counters.dropped.noSubscriber += 1;
        cursor.end();
        delivered += 1;
        bytes += length;
      }
      if (first.leases !== 1 || (length > PAGE_SIZE && batch.isFurtherHeld(index))) retained = true;
      index += 1;
    }
    this.countDelivered(delivered, bytes);
    return retained;
  }

  private deliverChosen(count: number): boolean {
    const { batch, frames } = this;
    const { records, firstPages } = batch;
    const { emission } = this.settings;
    const filtered = this.source !== undefined || this.target !== undefined;
    let delivered = 0;
    let bytes = 0;
    let retained = false;
    for (let index = 0; index < count; index += 1) {
      const first = firstPages[index];
      const record = index * RECORD_WORDS;
      const length = records[record + RecordWord.length] as number;
      if (((records[record + RecordWord.state] as number) & ~OWED) === BatchEntry.filled && !this.ended) {
        if (!filtered || this.isAllowed(first as PooledPage)) {
          delivered += 1;
          bytes += length;
          if (frames.observed) {
            emission?.begin(batch.isBypassCandidate(index));
            const cursor = batch.load(index);
            frames.emit(cursor);
            cursor.end();
          } else this.settings.counters.dropped.noSubscriber += 1;
        }
      }
      if (first === undefined) continue;
      if (first.leases !== 1 || (length > PAGE_SIZE && batch.isFurtherHeld(index))) retained = true;
    }
    emission?.end();
    this.countDelivered(delivered, bytes);
    return retained;
  }

  private countDelivered(packets: number, bytes: number): void {
    const { counters, bypass } = this.settings;
    counters.framesReceived += packets;
    counters.bytesReceived += bytes;
    if (bypass === undefined) return;
    bypass.received.bypassFramesReceived += packets;
    bypass.received.bypassBytesReceived += bytes;
  }

  /** @param first page of a packet that was obtained. */
  private isAllowed(first: PooledPage): boolean {
    let reason: 'sourceMac' | 'targetMac';
    if (this.source?.isIn(first) === false) reason = 'sourceMac';
    else if (this.target?.isIn(first) === false) reason = 'targetMac';
    else return true;
    this.settings.counters.dropped[reason] += 1;
    return false;
  }
}
