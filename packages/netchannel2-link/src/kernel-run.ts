import { messageSize, PACKET_FIXED_SIZE, type UringConsumer } from '@netchannel2/netchannel2';
import type { MemoryArea } from '@netchannel2/xen';
import { KEPT_PARTS, type LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import { STEP_DUE } from './plain-run';
import type { ReceiveBatch } from './receive-batch';
import type { UnfinishedIds } from './unfinished-ids';

/** What `PlainRun` does, by a kernel: a run costs one call. Ids beyond the small ones end it. */
export class KernelRun {
  /** Packets of the last run. */
  taken = 0;
  /** Those of them that a FINISH is owed for. */
  owed = 0;

  /** Fragments of a packet, at most. */
  private readonly mostFragments: number;

  private constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly batch: ReceiveBatch,
    private readonly unfinished: UnfinishedIds,
    private readonly maxPackets: number,
    private readonly block: LinkBlock,
    private readonly elements: MemoryArea,
  ) {
    this.mostFragments = Math.min(KEPT_PARTS, settings.offer.maxFragments);
  }

  /** @returns `undefined` where a kernel cannot do it. */
  static create(
    settings: LinkSettings,
    consumer: UringConsumer,
    batch: ReceiveBatch,
    unfinished: UnfinishedIds,
    maxPackets: number,
  ): KernelRun | undefined {
    const { block, copies } = batch;
    const { elements } = copies;
    if (block === undefined || elements === undefined) return undefined;
    return new KernelRun(settings, consumer, batch, unfinished, maxPackets, block, elements);
  }

  /** As `PlainRun.take`. */
  take(most: number): number {
    const { consumer } = this;
    // Only a look, for which kernel is asked: it decides.
    const prefix = (consumer.words[consumer.messageWord + 3] as number) & 0xffff;
    const fragments = (messageSize(consumer.header) - PACKET_FIXED_SIZE - prefix) >> 3;
    return fragments > 1 ? this.takeSeveral(most, fragments) : this.takePlain(most);
  }

  private takePlain(most: number): number {
    const { consumer, batch, unfinished, block } = this;
    const { copies } = batch;
    const index = batch.length;
    this.owed = 0;
    this.taken = 0;
    const room = batch.prepare(Math.min(most, batch.room));
    if (room === 0) return 0;
    const taken = block.kernel.takePlain(
      block.base,
      consumer.index,
      consumer.endIndex,
      consumer.dueIndex,
      consumer.header,
      index,
      room,
      this.elements.base,
      copies.length,
      this.maxPackets - unfinished.size,
    );
    if (taken === 0) return 0;
    const { owed } = block;
    if (owed > 0) copies.append?.(owed);
    return this.took(taken, owed, room);
  }

  /** Packets may have up to {@link mostFragments}, as the first has. */
  private takeSeveral(most: number, fragments: number): number {
    const { consumer, batch, unfinished, block } = this;
    const { copies, pages } = batch;
    this.owed = 0;
    this.taken = 0;
    if (fragments > this.mostFragments) return 0;
    // Others are as long as the first, by and large, which is about a page a fragment: what turns out to be short ends a run early.
    const size = messageSize(consumer.header);
    const behind =
      Math.min(consumer.endIndex - consumer.index, consumer.dueIndex - consumer.index + size - 1) | 0;
    const bound = batch.copiesBound;
    const copied = ((Math.max(0, bound - copies.length) / fragments) | 0) + 1;
    const room = batch.prepare(Math.min(most, batch.room, copied, ((behind / size) | 0) + 1));
    if (room === 0) return 0;
    const taken = block.kernel.takeSeveral(
      block.base,
      consumer.index,
      consumer.endIndex,
      consumer.dueIndex,
      consumer.header,
      batch.length,
      room,
      this.elements.base,
      copies.length,
      this.maxPackets - unfinished.size,
      this.mostFragments,
      bound,
      pages.used,
      pages.prepareFurther(room * (fragments - 1) + 1),
    );
    if (taken === 0) return 0;
    pages.used = block.used;
    copies.append?.(block.copies - copies.length);
    return this.took(taken, block.owed, room);
  }

  /** @returns as {@link take}. */
  private took(taken: number, owed: number, room: number): number {
    const { consumer, batch, block } = this;
    this.taken = taken;
    this.owed = owed;
    this.unfinished.size += owed;
    batch.length += taken;
    this.settings.pool.memory.kernels?.countCopied(block.bytes);
    consumer.skipTo(block.consumed);
    return taken === room || consumer.publishDue ? STEP_DUE : consumer.next();
  }
}
