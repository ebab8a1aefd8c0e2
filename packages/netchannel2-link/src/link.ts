import {
  advertisedMaxPackets,
  answerReserve,
  FINISH_NOT_OBTAINED,
  LARGEST_PREFIX,
  UringConsumer,
  UringProducer,
} from '@netchannel2/netchannel2';
import type { DeferredWork, Errno, Frame, FrameForwarder, GrantedFrame } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { type PacketFlow, TrackedPackets } from './bypass/packet-flow';
import { type ControlHost, ControlIntake } from './control-intake';
import { ControlQueue } from './control-queue';
import { createGrants } from './create-grants';
import { FinishDeadlines } from './finish-deadlines';
import { FinishQueue } from './finish-queue';
import type { RunSink } from './forwarding-run';
import { ForwardingSink } from './forwarding-sink';
import { HeldFinishes } from './held-finishes';
import { LinkBlock } from './link-block';
import { type LinkSettings, MOST_UNFINISHED } from './link-settings';
import { type IntakeHost, MessageIntake } from './message-intake';
import type { PacketGrants } from './packet-grants';
import { PacketReceiver } from './packet-receiver';
import { PacketSender } from './packet-sender';
import type { ParkedPacketsEnd } from './parked-packets';
import { PeerLimits } from './peer-limits';
import { PostponedWrites } from './postponed-writes';
import { RingOpening } from './ring-opening';
import { SendGate } from './send-gate';
import { SendOutcome } from './send-outcome';
import { StallWatch } from './stall-watch';
import { TakenWatches } from './taken-watches';

/** When nothing of ours is under way that would wake us: how long to wait for pages or references. */
const STARVED_MILLISECONDS = 5;

/**
 * One connected vif2: both rings, the packets under way in both directions, and the event channel. Both ends are alike;
 * who provides the memory no longer matters here (spec §1).
 */
export class Vif2Link implements IntakeHost, ControlHost, ParkedPacketsEnd {
  private readonly producer: UringProducer;
  private readonly consumer: UringConsumer;
  private readonly finishes: FinishQueue;
  private readonly controls: ControlQueue;
  private readonly tracked = new TrackedPackets();
  private readonly block: LinkBlock | undefined;
  private readonly receiver: PacketReceiver;
  private readonly intake: MessageIntake;
  private readonly stallWatch: StallWatch;
  private readonly deadlines: FinishDeadlines;
  /** SET_MAX_FRAGMENTS and SET_OFFLOAD may come before there is a sender. */
  private readonly limits: PeerLimits;
  private readonly maxPackets: number;
  private readonly controlIntake: ControlIntake;
  private readonly passWork: DeferredWork = { deferred: false, run: () => this.pass() };
  private readonly flushWork: DeferredWork = { deferred: false, run: () => this.flush() };
  private readonly postponed: PostponedWrites;
  private readonly gate = new SendGate();
  private stopListening: (() => void) | undefined;
  private starvedTimer: Subscription | undefined;
  private grants: PacketGrants | undefined;
  private sender: PacketSender | undefined;
  private runs: ForwardingSink | undefined;
  private stuck = false;
  /** Started, and neither failed nor stopped. */
  running = false;
  private inPass = false;
  private held = false;
  private ending = false;
  private opening: RingOpening | undefined;
  /** Waits for the end of what is under way. */
  private settledWaiter: (() => void) | undefined;
  private readonly watches: TakenWatches;

  constructor(private readonly settings: LinkSettings) {
    const { control, produce, consume, view } = settings.rings;
    this.producer = new UringProducer(control, view.produce, produce);
    this.consumer = new UringConsumer(control, view.consume, consume);
    const most = advertisedMaxPackets(this.producer.ringBytes);
    this.maxPackets = Math.min(settings.offer.maxPackets ?? most, most);
    const onBypass = settings.bypass !== undefined;
    this.postponed = new PostponedWrites(settings.domain);
    this.controlIntake = new ControlIntake(settings, this.consumer, this);
    const block = LinkBlock.create(settings.domain.memory, consume, settings.peer);
    this.block = block;
    this.finishes = new FinishQueue(this.producer, this.maxPackets, block, this.gate);
    this.controls = new ControlQueue(this.producer, this.gate);
    this.receiver = new PacketReceiver(
      settings,
      this.consumer,
      this.finishes,
      this.maxPackets,
      onBypass,
      this,
      block,
    );
    this.intake = new MessageIntake(this, this.consumer, this.receiver, this.tracked, this.block);
    this.watches = new TakenWatches(this.producer);
    this.stallWatch = new StallWatch(settings.domain.scheduler, settings.stalled);
    this.deadlines = new FinishDeadlines(settings.domain.scheduler, () => this.sweep());
    this.limits = new PeerLimits(settings.domain.scheduler);
  }

  /** The peer's credit has arrived: frames can be sent. */
  get up(): boolean {
    return this.running && this.sender !== undefined;
  }

  /** Packets the peer has not finished yet. */
  get unfinished(): number {
    return this.grants?.unfinished ?? 0;
  }

  /** The peer knows our credit: PACKETs may come. */
  get packetsAllowed(): boolean {
    return this.opening?.announced === true;
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
    const { sender, gate } = this;
    if (gate.left > 0 && flow === undefined && sender?.pass(frame, gate) === true) return true;
    gate.close();
    if (sender === undefined || !this.running || this.ending || this.owesAnswers || sender.writing)
      return this.refuse();
    const outcome = sender.send(frame, flow !== undefined);
    if (outcome !== SendOutcome.sent) return this.notSent(outcome);
    if (flow !== undefined) this.tracked.add(sender.lastId, flow);
    this.written(sender);
    return true;
  }

  /** As {@link send} for each of `frames` from number `start` on. @returns the number of the first that was not taken, or `end`. */
  sendBurst(frames: readonly (Frame | Uint8Array)[], start: number, end: number): number {
    let index = start;
    while (index < end) {
      const reached = this.passBurst(frames, index, end);
      if (reached !== index) index = reached;
      else if (this.send(frames[index] as Frame | Uint8Array)) index += 1;
      else break;
    }
    return index;
  }

  /** Those from number `start` on that pass the gate. @returns the number of the first that did not, or `end`. */
  private passBurst(frames: readonly (Frame | Uint8Array)[], start: number, end: number): number {
    const { sender, gate } = this;
    if (gate.left === 0 || sender === undefined) return start;
    const frame = frames[start] as Frame;
    // Others are as quick one by one.
    if (frame.byteLength > LARGEST_PREFIX && frame.fragmentCount === 1)
      return sender.passBurst(frames, start, end, gate);
    return sender.pass(frame, gate) ? start + 1 : start;
  }

  /** Whether the peer can be given `frame` in its sender's grants. */
  acceptsGranted(frame: GrantedFrame): boolean {
    return this.running && !this.ending && this.sender?.acceptsGranted(frame) === true;
  }

  /** Hands on a packet {@link acceptsGranted} agreed to. @returns as {@link send}. */
  sendGranted(frame: GrantedFrame): boolean {
    const sender = this.sender;
    this.gate.close();
    if (sender === undefined || !this.running || this.ending || this.owesAnswers || sender.writing)
      return this.refuse();
    const outcome = sender.sendGranted(frame);
    if (outcome !== SendOutcome.sent) return this.notSent(outcome);
    this.written(sender);
    return true;
  }

  /** Where runs of packets that are handed on to this link go; `undefined` while none can be. */
  get sink(): RunSink | undefined {
    return this.up && !this.ending && !this.owesAnswers && !this.writing ? this.runs : undefined;
  }

  /** Shows received packets to `forwarder` before they are copied in. @returns `false` when there is no page for that. */
  divert(forwarder: FrameForwarder | undefined): boolean {
    return this.receiver.setForwarder(forwarder);
  }

  /** @returns whether the frame was taken none the less. */
  private notSent(outcome: SendOutcome): boolean {
    switch (outcome) {
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
    if (this.writing) this.postponed.add(() => this.sendControl(message, answer));
    else if (!this.controls.send(message, answer ? 0 : answerReserve(this.maxPackets)))
      this.fail('EPROTO', 'peer does not take its bypass messages');
    else if (!this.inPass && !this.flushWork.deferred) this.settings.domain.defer(this.flushWork);
  }

  /**
   * Calls `done` once, from a pass, when the peer has taken all messages sent up to now.
   *
   * @param finished and when no packet is unfinished, either.
   */
  onTaken(finished: boolean, done: () => void): void {
    this.flush();
    this.watches.add(finished, done);
    if (!this.passWork.deferred) this.settings.domain.defer(this.passWork);
  }

  /** Packets to `target` are finished only when the result says so. @param added see {@link HeldFinishes}. */
  holdFinishes(target: Uint8Array, added: () => void): HeldFinishes {
    return new HeldFinishes(this.receiver.late, target, added, (id, flags) => this.finishLater(id, flags));
  }

  /** A message is being written: somebody who was asked for its bytes has called. */
  private get writing(): boolean {
    return this.sender?.writing === true;
  }

  private get owesAnswers(): boolean {
    return this.finishes.pending > 0 || this.controls.pending > 0;
  }

  /** Shows the peer what was written so far. */
  flush(): void {
    this.gate.shown();
    this.watchDeadlines();
    this.sender?.settle();
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

  /** The peer has taken and finished everything that was sent, or this link sent no packet it could wait for. */
  get settled(): boolean {
    if (!this.running || this.sender === undefined) return true;
    return this.unfinished === 0 && !this.owesAnswers && this.producer.drained();
  }

  /** Calls `done` once, when the peer has taken and finished everything sent up to now, or when the link fails or stops. */
  onSettled(done: () => void): void {
    this.settledWaiter = done;
    this.onTaken(true, () => this.noLongerWaited());
  }

  private noLongerWaited(): void {
    const waiter = this.settledWaiter;
    this.settledWaiter = undefined;
    waiter?.();
  }

  /** Lets go of everything: no grant, lease, timer or handler is left. Ports and rings are the driver's. */
  stop(): void {
    this.running = false;
    this.gate.close();
    this.stopListening?.();
    this.stopListening = undefined;
    this.starvedTimer?.unsubscribe();
    this.starvedTimer = undefined;
    this.stallWatch.end();
    this.deadlines.end();
    this.watches.end();
    this.receiver.end();
    this.sender = undefined;
    this.grants?.end();
    this.grants = undefined;
    this.intake.grants = undefined;
    this.noLongerWaited();
  }

  /** One turn: at most the budget of messages, all their consequences, one notification. */
  private pass(): void {
    if (!this.running || this.inPass) return;
    if (this.writing) {
      this.settings.domain.defer(this.passWork);
      return;
    }
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
    if (taken === 0) this.receiver.rest();
    this.publishAll();
    if (this.watches.some && !this.watches.check(this.unfinished)) {
      this.fail('EPROTO', 'consumer index of the peer is impossible');
      return;
    }
    // A pass that found work is followed by one more before an event is asked for: a busy peer then sends none.
    if (taken > 0 || this.consumer.arm()) this.settings.domain.defer(this.passWork);
  }

  /** @returns how many messages were taken, -1 when the link failed. */
  private takeMessages(): number {
    const { intake } = this;
    const finishedBefore = intake.finished;
    const taken = intake.take();
    if (intake.finished !== finishedBefore) this.stallWatch.progress(intake.finished - finishedBefore);
    if (taken < 0) this.fail('EPROTO', intake.fault);
    return taken;
  }

  /** @internal */
  takeControl(type: number): string | undefined {
    return this.controlIntake.take(type);
  }

  /** @internal */
  takeLimit(type: number, message: Int32Array): string | undefined {
    const fault = this.limits.take(type, message);
    if (this.sender !== undefined) this.limits.apply(this.sender);
    return fault;
  }

  /** @internal */
  takeReady(): string | undefined {
    return this.opening?.takeReady();
  }

  /** @internal */
  takeCredit(maxPackets: number): string | undefined {
    if (this.sender !== undefined) return 'SET_MAX_PACKETS twice';
    if (maxPackets === 0) return 'SET_MAX_PACKETS of 0';
    this.grants = createGrants(this.settings, Math.min(maxPackets, MOST_UNFINISHED), this.block);
    this.intake.grants = this.grants;
    const sender = new PacketSender(this.settings, this.producer, this.grants, this.maxPackets);
    this.sender = sender;
    this.runs = new ForwardingSink(
      this.producer,
      answerReserve(this.maxPackets),
      sender,
      this.grants.exact,
      this.settings.counters,
      (packets) => this.written(sender, packets),
    );
    this.limits.apply(sender);
    // Whoever tried to send before is told.
    this.held = true;
    return undefined;
  }

  private written(sender: PacketSender, messages = 1): void {
    const { gate } = this;
    gate.count(messages);
    if (gate.due || sender.urgent || !this.flushWork.deferred) this.flushSoon(sender);
    gate.open();
  }

  /** Flushes now or, if that is not urgent, at the end of the turn or of the pass. */
  private flushSoon(sender: PacketSender): void {
    if (this.gate.due || sender.urgent) {
      sender.urgent = false;
      this.flush();
    } else if (!this.inPass && !this.flushWork.deferred) this.settings.domain.defer(this.flushWork);
  }

  private refuse(): false {
    this.held = true;
    this.settings.counters.sendRefused += 1;
    return false;
  }

  /** @param moving the peer has done something for it: it does not count as stalled. */
  private tryWritable(moving = true): void {
    const sender = this.sender;
    if (sender === undefined || this.owesAnswers || !sender.roomAgain()) {
      if (this.producer.broken) this.fail('EPROTO', 'consumer index of the peer is impossible');
      return;
    }
    this.held = false;
    if (moving) this.stallWatch.moving();
    this.settings.writable.emit();
  }

  private retryLater(): void {
    if (this.starvedTimer !== undefined) return;
    this.starvedTimer = this.settings.domain.scheduler.schedule(() => {
      this.starvedTimer = undefined;
      if (this.running && this.held && !this.ending) this.tryWritable();
    }, STARVED_MILLISECONDS);
  }

  /** Somebody else let go of a packet of the peer's. @internal */
  finished(id: number, obtained: boolean): void {
    this.finishLater(id, obtained ? 0 : FINISH_NOT_OBTAINED);
  }

  /** As {@link finished}, for many. @internal */
  runFinished(ids: Int32Array, obtained: Uint8Array, count: number): void {
    if (!this.running) return;
    if (this.writing) {
      const [copy, flags] = [ids.slice(0, count), obtained.slice(0, count)];
      this.postponed.add(() => this.runFinished(copy, flags, count));
    } else this.finishesQueued(this.finishes.finishRun(ids, obtained, count));
  }

  private finishLater(id: number, flags: number): void {
    if (!this.running) return;
    if (this.writing) this.postponed.add(() => this.finishLater(id, flags));
    else this.finishesQueued(this.finishes.finish(id, flags));
  }

  /** @param taken there was room. */
  private finishesQueued(taken: boolean): void {
    if (!taken) this.fail('EPROTO', 'peer does not take its FINISHes');
    else if (!this.inPass && !this.flushWork.deferred) this.settings.domain.defer(this.flushWork);
  }

  private watchDeadlines(): void {
    if (!this.deadlines.running && this.running && this.unfinished > 0) this.deadlines.start();
  }

  /** Gives overdue packets up. @returns whether any credit is taken still. */
  private sweep(): boolean {
    const { grants } = this;
    if (grants === undefined || !this.running) return false;
    // Ids are being taken: the next sweep will do.
    if (this.writing) return true;
    if (grants.sweep() && !this.stuck) {
      this.stuck = true;
      this.stallWatch.stall();
      this.settings.stuck();
    }
    // Pages and ids may have become free that no FINISH tells of.
    if (this.held && !this.ending) this.tryWritable(false);
    return grants.free < grants.capacity;
  }

  private publishAll(): void {
    this.gate.shown();
    this.watchDeadlines();
    this.sender?.settle();
    const room = this.consumer.publish();
    const messages = this.producer.publish();
    if (room || messages) this.notify();
  }

  /** @internal */
  notify(): void {
    this.settings.domain.events.notify(this.settings.rings.port);
  }

  private fail(code: Errno, message: string): void {
    if (!this.running) return;
    this.running = false;
    this.gate.close();
    this.noLongerWaited();
    if (!this.ending) this.settings.fail(code, message);
  }
}
