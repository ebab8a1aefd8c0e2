import type { UringConsumer } from '@netchannel2/netchannel2';
import type { MemoryArea } from '@netchannel2/xen';
import type { LinkBlock } from './link-block';
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

  private constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly batch: ReceiveBatch,
    private readonly unfinished: UnfinishedIds,
    private readonly maxPackets: number,
    private readonly block: LinkBlock,
    private readonly elements: MemoryArea,
  ) {}

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
    const { consumer, batch, unfinished, block } = this;
    const { copies } = batch;
    const index = batch.length;
    this.owed = 0;
    const room = batch.prepare(Math.min(most, batch.room));
    this.taken = 0;
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
    this.taken = taken;
    if (taken === 0) return 0;
    const { owed } = block;
    this.owed = owed;
    if (owed > 0) {
      unfinished.size += owed;
      copies.append?.(owed);
    }
    batch.length = index + taken;
    this.settings.pool.memory.kernels?.countCopied(block.bytes);
    consumer.skipTo(block.consumed);
    return taken === room || consumer.publishDue ? STEP_DUE : consumer.next();
  }
}
