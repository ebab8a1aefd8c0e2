import {
  finishPacketId,
  finishPacketNotObtained,
  MessageType,
  messageSize,
  RING_EMPTY,
  RING_FAULT,
  smallestMessage,
  type UringConsumer,
} from '@netchannel2/netchannel2';
import type { TrackedPackets } from './bypass/packet-flow';
import { FinishRun } from './finish-run';
import type { LinkBlock } from './link-block';
import { PASS_BUDGET } from './link-settings';
import { FinishOutcome, type PacketGrants } from './packet-grants';
import type { PacketReceiver } from './packet-receiver';
import { STEP_DUE } from './plain-run';

/** No FINISHes can be taken in a run. */
const NO_RUN = -4;
const BUSY = 'finished packets stay in use';

/** What the intake hands on. */
export interface IntakeHost {
  /** PACKETs may come: the peer knows our credit. */
  readonly packetsAllowed: boolean;
  /** The link still runs: packets are emitted while messages are taken, and a subscriber may end it. */
  readonly running: boolean;
  /** Takes any message but PACKET and FINISH. @returns what ends the connection, or `undefined`. */
  takeControl(type: number): string | undefined;
  notify(): void;
}

/** Takes the messages of a pass: at most {@link PASS_BUDGET}, in runs of a kind, each kind in a loop of its own. */
export class MessageIntake {
  /** The sender's books, once there is a sender. */
  grants: PacketGrants | undefined;
  /** FINISHes taken, modulo 2^32. */
  finished = 0;
  /** What ended the connection. */
  fault = '';

  private left = 0;
  private readonly finishRun: FinishRun | undefined;

  constructor(
    private readonly host: IntakeHost,
    private readonly consumer: UringConsumer,
    private readonly receiver: PacketReceiver,
    private readonly tracked: TrackedPackets,
    block: LinkBlock | undefined,
  ) {
    if (block !== undefined) this.finishRun = new FinishRun(consumer, block);
  }

  /** @returns how many messages were taken, -1 when something ends the connection. */
  take(): number {
    const consumer = this.consumer;
    this.fault = '';
    this.left = PASS_BUDGET;
    let type = consumer.begin() ? consumer.next() : RING_FAULT;
    while (type >= 0) {
      if (type === MessageType.packet) type = this.takePackets();
      else if (type === MessageType.finishPacket) type = this.takeFinishes();
      else type = this.step(this.host.takeControl(type));
    }
    if (type !== RING_FAULT) return PASS_BUDGET - this.left;
    this.fault ||= consumer.fault ?? 'ring broken';
    return -1;
  }

  /** Goes on to the next message, within the budget. @returns its type, or {@link RING_EMPTY} or {@link RING_FAULT}. */
  private step(fault: string | undefined): number {
    if (fault !== undefined) {
      this.fault = fault;
      return RING_FAULT;
    }
    this.left -= 1;
    if (this.consumer.publishDue && this.consumer.publish()) this.host.notify();
    return this.left === 0 ? RING_EMPTY : this.consumer.next();
  }

  private takePackets(): number {
    const { receiver, consumer, host } = this;
    let type: number;
    if (!host.packetsAllowed) return this.step('PACKET before it was allowed');
    do {
      if (messageSize(consumer.header) < smallestMessage(MessageType.packet))
        return this.step('PACKET of less than 24 bytes');
      if (receiver.full) {
        const fault = receiver.complete();
        if (fault !== undefined || !host.running) return this.step(fault);
      }
      type = this.takeRun();
    } while (type === MessageType.packet);
    return type;
  }

  /** Takes a run of plain packets, or else the one packet. @returns as {@link step}. */
  private takeRun(): number {
    const { receiver } = this;
    const type = receiver.receiveRun(this.left);
    const taken = receiver.runLength;
    if (taken === 0) return this.step(receiver.receive());
    this.left -= taken;
    if (type !== STEP_DUE) return type;
    // The step counts the last of them.
    this.left += 1;
    return this.step(undefined);
  }

  /** Takes a run of FINISHes. @returns as {@link step}. */
  private takeFinishes(): number {
    const type = this.walkFinishes();
    if (this.grants === undefined || this.grants.settle() === FinishOutcome.done) return type;
    this.fault ||= BUSY;
    return RING_FAULT;
  }

  /** @returns as {@link step}, or {@link NO_RUN}. */
  private takeFinishRun(): number {
    const { grants, finishRun } = this;
    if (grants === undefined || finishRun === undefined || this.tracked.count !== 0) return NO_RUN;
    const taken = finishRun.take(grants, this.left);
    if (taken === 0) return NO_RUN;
    this.finished = (this.finished + taken) | 0;
    // The step counts the last of them.
    this.left -= taken - 1;
    return this.step(finishRun.outcome === FinishOutcome.done ? undefined : BUSY);
  }

  private walkFinishes(): number {
    const { grants, consumer, tracked } = this;
    let type: number;
    do {
      type = this.takeFinishRun();
      if (type !== NO_RUN) continue;
      // One fetch, into a local: this is the private copy.
      const id = finishPacketId(consumer.words, consumer.messageWord);
      const obtained = !finishPacketNotObtained(consumer.header);
      const outcome = grants === undefined ? FinishOutcome.unknown : grants.finish(id, obtained);
      if (outcome !== FinishOutcome.done) {
        const unknown = outcome === FinishOutcome.unknown;
        return this.step(unknown ? 'FINISH of a packet that is not unfinished' : BUSY);
      }
      if (tracked.count !== 0) tracked.finished(id);
      this.finished = (this.finished + 1) | 0;
      type = this.step(undefined);
    } while (type === MessageType.finishPacket);
    return type;
  }
}
