import {
  advertisedMaxPackets,
  allowedMessages,
  answerReserve,
  finishPacketId,
  MessageType,
  messageSize,
  RING_EMPTY,
  RING_FAULT,
  setMaxFragmentsValue,
  setMaxPacketsValue,
  setOffloadChecksum,
  setOffloadTcpv4,
  UringConsumer,
  UringProducer,
} from '@netchannel2/netchannel2';
import type { DeferredWork, Errno, Frame } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { type PacketFlow, TrackedPackets } from './bypass/packet-flow';
import { ChangeRate, CONTROL_MESSAGE_WORDS } from './control-messages';
import { ControlQueue } from './control-queue';
import { FinishQueue } from './finish-queue';
import { FLUSH_EVERY, type LinkSettings, MOST_UNFINISHED, PASS_BUDGET, PLAIN_RING } from './link-settings';
import { FinishOutcome, type PacketGrants } from './packet-grants';
import { PacketReceiver } from './packet-receiver';
import { PacketSender, SendOutcome } from './packet-sender';
import { RingOpening } from './ring-opening';
import { SharedPageGrants } from './shared-page-grants';
import { StallWatch } from './stall-watch';
import { SubPageGrants } from './sub-page-grants';

/** When nothing of ours is under way that would wake us: how long to wait for pages or references. */
const STARVED_MILLISECONDS = 5;

/**
 * One connected vif2: both rings, the packets under way in both directions, and the event channel. Both ends are alike;
 * who provides the memory no longer matters here (spec §1).
 */
export class Vif2Link {
  private readonly producer: UringProducer;
  private readonly consumer: UringConsumer;
  private readonly finishes: FinishQueue;
  private readonly controls: ControlQueue;
  private readonly tracked = new TrackedPackets();
  private readonly receiver: PacketReceiver;
  private readonly stallWatch: StallWatch;
  private readonly changeRate: ChangeRate;
  private readonly maxPackets: number;
  private readonly allowed: Uint8Array;
  private readonly message = new Int32Array(CONTROL_MESSAGE_WORDS);
  private readonly passWork: DeferredWork = { deferred: false, run: () => this.pass() };
  private readonly flushWork: DeferredWork = { deferred: false, run: () => this.flush() };
  private stopListening: (() => void) | undefined;
  private starvedTimer: Subscription | undefined;
  private grants: PacketGrants | undefined;
  private sender: PacketSender | undefined;
  /** SET_MAX_FRAGMENTS and SET_OFFLOAD may come before there is a sender. */
  private peerMaxFragments = 1;
  private peerChecksum = false;
  private peerTcpv4 = false;
  private unflushed = 0;
  /** Of the pass: messages it may still take, and what ended it. */
  private left = 0;
  private fault: string | undefined = undefined;
  private finished = 0;
  private running = false;
  private inPass = false;
  private held = false;
  private ending = false;
  private opening: RingOpening | undefined;
  private whenDrained: (() => void) | undefined;

  constructor(private readonly settings: LinkSettings) {
    const { control, produce, consume, view } = settings.rings;
    this.producer = new UringProducer(control, view.produce, produce);
    this.consumer = new UringConsumer(control, view.consume, consume);
    const most = advertisedMaxPackets(this.producer.ringBytes);
    this.maxPackets = Math.min(settings.offer.maxPackets ?? most, most);
    const onBypass = settings.bypass !== undefined;
    this.allowed = allowedMessages(settings.rules ?? PLAIN_RING);
    this.finishes = new FinishQueue(this.producer, this.maxPackets);
    this.controls = new ControlQueue(this.producer);
    this.receiver = new PacketReceiver(settings, this.consumer, this.finishes, this.maxPackets, onBypass);
    this.stallWatch = new StallWatch(settings.domain.scheduler, settings.stalled);
    this.changeRate = new ChangeRate(settings.domain.scheduler);
  }

  /** The peer's credit has arrived: frames can be sent. */
  get up(): boolean {
    return this.running && this.sender !== undefined;
  }

  /** Packets the peer has not finished yet. */
  get unfinished(): number {
    return this.grants?.unfinished ?? 0;
  }

  /** Sends the start-up burst, listens, and takes what the peer has sent already. */
  start(): void {
    const { events } = this.settings.domain;
    this.running = true;
    const opening = new RingOpening(this.settings, this.producer, this.maxPackets);
    this.opening = opening;
    this.stopListening = events.listen(this.settings.rings.port, () => {
      opening.hear();
      this.pass();
    });
    this.pass();
  }

  /**
   * @param flow where the packet counts until its FINISH; then it is never inline as a whole, so that it has one.
   * @returns `false` when there is no room: the frame was not taken, and `writable` will emit.
   */
  send(frame: Frame | Uint8Array, flow?: PacketFlow): boolean {
    const sender = this.sender;
    if (sender === undefined || !this.running || this.ending || this.owesAnswers) return this.refuse();
    const apart = flow !== undefined;
    const outcome =
      frame instanceof Uint8Array ? sender.sendBytes(frame, apart) : sender.sendFrame(frame, apart);
    if (apart && outcome === SendOutcome.sent) this.tracked.add(sender.lastId, flow);
    switch (outcome) {
      case SendOutcome.sent:
        this.written(sender);
        return true;
      case SendOutcome.dropped:
        return true;
      case SendOutcome.starved:
        // Pages come back by FINISHes as long as any are due; otherwise somebody else has them.
        if (this.unfinished === 0) this.retryLater();
        else this.stallWatch.held();
        return this.refuse();
      default:
        if (this.producer.broken) this.fail('EPROTO', 'consumer index of the peer is impossible');
        else this.stallWatch.held();
        return this.refuse();
    }
  }

  /**
   * Sends a bypass message, which belongs to the link from now on.
   *
   * @param answer it may use the room kept for answers.
   */
  sendControl(message: Int32Array, answer: boolean): void {
    if (!this.running) return;
    if (!this.controls.send(message, answer ? 0 : answerReserve(this.maxPackets)))
      this.fail('EPROTO', 'peer does not take its bypass messages');
    else if (!this.inPass && !this.flushWork.deferred) this.settings.domain.defer(this.flushWork);
  }

  /** Calls `done` once, from a pass, when the peer has taken and finished everything that was sent. */
  onDrained(done: () => void): void {
    this.flush();
    this.whenDrained = done;
    if (!this.passWork.deferred) this.settings.domain.defer(this.passWork);
  }

  private get owesAnswers(): boolean {
    return this.finishes.pending > 0 || this.controls.pending > 0;
  }

  /** Shows the peer what was written so far. */
  flush(): void {
    this.unflushed = 0;
    if (this.running && this.producer.publish()) this.settings.domain.events.notify(this.settings.rings.port);
  }

  /**
   * Sends nothing new and takes what the peer has sent so far. A peer may have let go of its grants already, so nothing it
   * does counts as an offence any more.
   */
  windDown(): void {
    if (!this.running) return;
    this.ending = true;
    this.flush();
    this.pass();
  }

  /** Lets go of everything: no grant, lease, timer or handler is left. Ports and rings are the driver's. */
  stop(): void {
    this.running = false;
    this.stopListening?.();
    this.stopListening = undefined;
    this.starvedTimer?.unsubscribe();
    this.starvedTimer = undefined;
    this.stallWatch.end();
    this.receiver.end();
    this.sender = undefined;
    this.grants?.end();
    this.grants = undefined;
  }

  /** One turn: at most {@link PASS_BUDGET} messages, all their consequences, one notification. */
  private pass(): void {
    if (!this.running || this.inPass) return;
    this.inPass = true;
    this.finishes.drain();
    this.controls.drain();
    const taken = this.takeMessages();
    if (taken >= 0 && this.running) {
      const fault = this.receiver.complete();
      if (fault !== undefined) this.fail('EPROTO', fault);
    } else this.receiver.end();
    if (this.running) this.opening?.advance(this.sender !== undefined);
    if (this.running && this.held && !this.ending) this.tryWritable();
    this.inPass = false;
    if (!this.running) return;
    this.publishAll();
    if (this.whenDrained !== undefined) this.tryDrained();
    // A pass that found work is followed by one more before an event is asked for: a busy peer then sends none.
    if (taken > 0 || this.consumer.arm()) this.settings.domain.defer(this.passWork);
  }

  /** @returns how many messages were taken, -1 when the link failed. */
  private takeMessages(): number {
    const consumer = this.consumer;
    if (!consumer.begin()) {
      this.fail('EPROTO', consumer.fault ?? 'ring broken');
      return -1;
    }
    this.left = PASS_BUDGET;
    this.fault = undefined;
    const finishedBefore = this.finished;
    let type = consumer.next();
    // Messages come in runs of a kind; each kind has a loop of its own, which the compiler can keep together.
    while (type >= 0) {
      if (type === MessageType.packet) type = this.takePackets();
      else if (type === MessageType.finishPacket) type = this.takeFinishes();
      else type = this.step(this.takeControl(type));
    }
    if (this.finished !== finishedBefore) this.stallWatch.progress(this.finished - finishedBefore);
    const fault = type === RING_FAULT ? (this.fault ?? consumer.fault ?? 'ring broken') : undefined;
    if (fault === undefined) return PASS_BUDGET - this.left;
    this.fail('EPROTO', fault);
    return -1;
  }

  /** Goes on to the next message, within the budget. @returns its type, or {@link RING_EMPTY} or {@link RING_FAULT}. */
  private step(fault: string | undefined): number {
    if (fault !== undefined) {
      this.fault = fault;
      return RING_FAULT;
    }
    this.left -= 1;
    if (this.consumer.publishDue && this.consumer.publish()) this.notify();
    return this.left === 0 ? RING_EMPTY : this.consumer.next();
  }

  private takePackets(): number {
    const { receiver, consumer } = this;
    let type: number;
    if (this.opening?.announced !== true) return this.step('PACKET before BYPASS_READY');
    do {
      if (messageSize(consumer.header) < 24) return this.step('PACKET of less than 24 bytes');
      if (receiver.full) {
        const fault = receiver.complete();
        if (fault !== undefined || !this.running) return this.step(fault);
      }
      type = this.step(receiver.receive());
    } while (type === MessageType.packet);
    return type;
  }

  private takeFinishes(): number {
    const { grants, consumer, tracked } = this;
    let type: number;
    do {
      // One fetch, into a local: this is the private copy.
      const id = finishPacketId(consumer.words, consumer.messageWord);
      const outcome = grants === undefined ? FinishOutcome.unknown : grants.finish(id);
      if (outcome !== FinishOutcome.done) {
        const unknown = outcome === FinishOutcome.unknown;
        return this.step(
          unknown ? 'FINISH of a packet that is not unfinished' : 'finished packets stay in use',
        );
      }
      if (tracked.count !== 0) tracked.finished(id);
      this.finished = (this.finished + 1) | 0;
      type = this.step(undefined);
    } while (type === MessageType.finishPacket);
    return type;
  }

  private takeControl(type: number): string | undefined {
    const smallest = this.allowed[type] as number;
    if (smallest === 0) return `message type ${type} is not allowed here`;
    if (messageSize(this.consumer.header) < smallest) return `message type ${type} is too short`;
    const message = this.message;
    this.consumer.copyTo(message, Math.min(messageSize(this.consumer.header) >> 2, CONTROL_MESSAGE_WORDS));
    switch (type) {
      case MessageType.setMaxPackets:
        return this.takeCredit(setMaxPacketsValue(message, 0));
      case MessageType.setMaxFragmentsPerPacket: {
        const limit = setMaxFragmentsValue(message, 0);
        if (limit === 0) return 'SET_MAX_FRAGMENTS_PER_PACKET of 0';
        this.peerMaxFragments = Math.min(limit, 64);
        break;
      }
      case MessageType.setOffload:
        this.peerChecksum = setOffloadChecksum(message, 0);
        this.peerTcpv4 = setOffloadTcpv4(message, 0);
        break;
      case MessageType.bypassReady:
        return this.opening?.takeReady();
      default:
        return this.settings.bypassMessage?.(message.slice());
    }
    this.tellSender();
    return this.changeRate.count() ? undefined : 'limits changed more than 1000 times a second';
  }

  private takeCredit(maxPackets: number): string | undefined {
    if (this.sender !== undefined) return 'SET_MAX_PACKETS twice';
    if (maxPackets === 0) return 'SET_MAX_PACKETS of 0';
    const capacity = Math.min(maxPackets, MOST_UNFINISHED);
    const { domain, peer, fragmentKind } = this.settings;
    const entries = domain.grants.entries;
    const exact = fragmentKind === 'receiver_copy' && domain.capabilities.subPageGrants;
    this.grants =
      exact && entries?.version2 === true
        ? new SubPageGrants(entries, peer, capacity)
        : new SharedPageGrants(domain, peer, capacity);
    this.sender = new PacketSender(this.settings, this.producer, this.grants, this.maxPackets);
    this.tellSender();
    // Whoever tried to send before is told.
    this.held = true;
    return undefined;
  }

  private tryDrained(): void {
    if (this.unfinished > 0 || !this.producer.awaitDrained()) {
      if (this.producer.broken) this.fail('EPROTO', 'consumer index of the peer is impossible');
      return;
    }
    const done = this.whenDrained;
    this.whenDrained = undefined;
    done?.();
  }

  private tellSender(): void {
    const sender = this.sender;
    if (sender === undefined) return;
    sender.setMaxFragments(this.peerMaxFragments);
    sender.peerOffload.checksum = this.peerChecksum;
    sender.peerOffload.tcpv4 = this.peerTcpv4;
  }

  private written(sender: PacketSender): void {
    this.unflushed += 1;
    if (this.unflushed >= FLUSH_EVERY || sender.urgent) {
      sender.urgent = false;
      this.flush();
    } else if (!this.inPass && !this.flushWork.deferred) this.settings.domain.defer(this.flushWork);
  }

  private refuse(): false {
    this.held = true;
    this.settings.counters.sendRefused += 1;
    return false;
  }

  private tryWritable(): void {
    const sender = this.sender;
    if (sender === undefined || this.owesAnswers || !sender.roomAgain()) {
      if (this.producer.broken) this.fail('EPROTO', 'consumer index of the peer is impossible');
      return;
    }
    this.held = false;
    this.stallWatch.moving();
    this.settings.writable.emit();
  }

  private retryLater(): void {
    if (this.starvedTimer !== undefined) return;
    this.starvedTimer = this.settings.domain.scheduler.schedule(() => {
      this.starvedTimer = undefined;
      if (this.running && this.held && !this.ending) this.tryWritable();
    }, STARVED_MILLISECONDS);
  }

  private publishAll(): void {
    this.unflushed = 0;
    const room = this.consumer.publish();
    const messages = this.producer.publish();
    if (room || messages) this.notify();
  }

  private notify(): void {
    this.settings.domain.events.notify(this.settings.rings.port);
  }

  private fail(code: Errno, message: string): void {
    if (!this.running) return;
    this.running = false;
    if (!this.ending) this.settings.fail(code, message);
  }
}
