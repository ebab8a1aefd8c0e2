import { finishPacketId, type UringConsumer } from '@netchannel2/netchannel2';
import type { LinkBlock } from './link-block';
import { FinishOutcome, type PacketGrants } from './packet-grants';
import { MOST_IN_RUN } from './sub-page-closing';

/** Takes runs of FINISHes by a kernel, of packets in a few exact grants: a run costs one call. */
export class FinishRun {
  /** Of the last run: {@link FinishOutcome.done}, or what ends the connection. */
  outcome: FinishOutcome = FinishOutcome.done;

  constructor(
    private readonly consumer: UringConsumer,
    private readonly block: LinkBlock,
  ) {}

  /**
   * Takes FINISHes from the one the consumer stands on; what ends a run is left as it was found.
   *
   * @param most 1 or more.
   * @returns how many.
   */
  take(grants: PacketGrants, most: number): number {
    const { exact } = grants;
    const { consumer, block } = this;
    // Only a look, so that nothing is settled for a packet in many grants: the kernel decides.
    if (exact === undefined || !block.isFinishable(finishPacketId(consumer.words, consumer.messageWord)))
      return 0;
    if (!exact.openFinishes()) return 0;
    const taken = block.kernel.takeFinishes(
      block.base,
      consumer.index,
      consumer.endIndex,
      consumer.dueIndex,
      consumer.header,
      Math.min(most, MOST_IN_RUN),
      exact.finishesAt,
    );
    if (taken === 0) return 0;
    consumer.skipTo(block.consumed);
    this.outcome = exact.closeFinishes(taken);
    return taken;
  }
}
