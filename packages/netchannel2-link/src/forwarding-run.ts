import { messageSize, PACKET_FIXED_SIZE, type UringConsumer } from '@netchannel2/netchannel2';
import type { DomainId, ForwardingRoute, ForwardingTarget } from '@netchannel2/xen';
import { KEPT_PARTS, type LinkBlock } from './link-block';
import type { LinkSettings } from './link-settings';
import type { ParkedPackets } from './parked-packets';
import { NOT_PLAIN } from './plain-packet';
import type { UnfinishedIds } from './unfinished-ids';

/** Where runs of packets go on to: another link of this domain. */
export interface RunSink {
  /** Address of the place the next message goes to. */
  readonly target: number;
  /** Bytes of messages that fit there side by side. */
  readonly room: number;
  /** Fragments that the peer takes in a packet, at most. */
  readonly fragments: number;
  /**
   * Sets ids and references aside for packets with up to `parts` fragments, at most {@link KEPT_PARTS}.
   *
   * @returns for how many, at most `most`; with one, {@link block} and {@link list} hold until {@link close}.
   */
  open(block: LinkBlock, owner: DomainId, most: number, parts: number): number;
  /** Address of the block of the link that sends. */
  readonly block: number;
  /** Address of the first publication of their grants. */
  readonly list: number;
  /**
   * Messages were written: the first `pieces` of the packets set aside are in use, the others not.
   *
   * @param written bytes of the messages. @param bytes of the frames.
   */
  close(
    block: LinkBlock,
    parked: ParkedPackets,
    packets: number,
    pieces: number,
    written: number,
    bytes: number,
  ): void;
}

/** A port that may have a {@link RunSink}. */
export interface RunSinkPort {
  /** `undefined` while packets have to go to the port one by one. */
  runSink(): RunSink | undefined;
}

function sinkOf(target: ForwardingTarget): RunSink | undefined {
  return 'runSink' in target ? (target as unknown as RunSinkPort).runSink() : undefined;
}

/** Hands runs of plain packets on, between the addresses whose way a forwarder has told: a run costs one call. */
export class ForwardingRun {
  /** Packets of the last run. */
  taken = 0;
  /** Fragments of a packet, at most. */
  private readonly mostFragments: number;

  /** @param maxPackets the credit advertised. */
  constructor(
    private readonly settings: LinkSettings,
    private readonly consumer: UringConsumer,
    private readonly unfinished: UnfinishedIds,
    private readonly maxPackets: number,
    private readonly block: LinkBlock,
  ) {
    this.mostFragments = Math.min(KEPT_PARTS, settings.offer.maxFragments);
  }

  /**
   * Takes packets from the one the consumer stands on.
   *
   * @param exact packets with a fragment may go the way too.
   * @param most 1 or more.
   */
  take(route: ForwardingRoute, parked: ParkedPackets, exact: boolean, most: number): void {
    const { consumer, unfinished, block, settings } = this;
    this.taken = 0;
    const sink = route.holds ? sinkOf(route.target) : undefined;
    if (sink === undefined) return;
    const room = sink.room;
    const size = messageSize(consumer.header);
    if (room < size) return;
    // Only a look, so that nothing is set aside for packets of many fragments: the kernel decides.
    const { words, messageWord: at } = consumer;
    const fragments = (size - PACKET_FIXED_SIZE - ((words[at + 3] as number) & 0xffff)) >> 3;
    if (((words[at + 2] as number) & NOT_PLAIN) !== 0 || fragments > this.mostFragments) return;
    if (fragments > sink.fragments) return;
    const parts = fragments > 1 ? fragments : 1;
    // Others are as long as the first, by and large; ids that turn out to be too many go back.
    const behind =
      Math.min(consumer.endIndex - consumer.index, consumer.dueIndex - consumer.index + size - 1) | 0;
    const likely = Math.min(most, ((behind / size) | 0) + 1, (room / size) | 0);
    const wanted = exact ? Math.min(likely, this.maxPackets - unfinished.size) : 0;
    const pieces = wanted > 0 ? sink.open(block, settings.peer, wanted, parts) : 0;
    const taken = block.kernel.forwardPlain(
      block.base,
      consumer.index,
      consumer.endIndex,
      consumer.dueIndex,
      consumer.header,
      most,
      pieces,
      sink.target,
      room,
      sink.block,
      sink.list,
      parts,
    );
    const { owed, bytes } = block;
    unfinished.size += owed;
    sink.close(block, parked, taken, owed, block.written, bytes);
    this.taken = taken;
    if (taken === 0) return;
    consumer.skipTo(block.consumed);
    settings.pool.memory.kernels?.countCopied(block.copied);
    settings.counters.framesReceived += taken;
    settings.counters.bytesReceived += bytes;
    route.handedOn(taken, bytes);
  }
}
