import {
  BACKEND_VIEW,
  BYPASS_MESSAGE_SIZE,
  type BypassHandleType,
  type BypassSetup,
  FRONTEND_VIEW,
  MessageType,
  writeBypassHandle,
} from '@netchannel2/netchannel2';
import { type DeferredWork, domainId, type Frame } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { Vif2Link } from '../link';
import type { BypassRings } from './bypass-rings';
import type { GuestBypassInfo, GuestSite } from './guest-site';
import {
  type BypassRole,
  GUEST_BYPASS_TABLES,
  type GuestBypassAction,
  type GuestBypassEvent,
  type GuestBypassState,
  initialGuestBypassState,
} from './guest-transitions';
import { PacketFlow } from './packet-flow';

/** Packets are held back at most this long for a switch in either direction (spec §6.2). */
const SWITCH_MILLISECONDS = 1000;

/** One bypass at a guest: carries out what the tables say. Its rings are mapped before and unmapped by it. */
export class GuestBypass implements GuestBypassInfo {
  readonly handle: number;
  readonly role: BypassRole;
  readonly peer;
  readonly remoteMac: Uint8Array;
  /** The two parts of `remoteMac` as numbers, to be compared with a frame's destination. */
  readonly macHigh: number;
  readonly macLow: number;
  private current: GuestBypassState;
  private readonly link: Vif2Link;
  /** What went over the parent ring since the offer came. */
  private readonly flow = new PacketFlow(() => this.post('switched'));
  private readonly events: GuestBypassEvent[] = [];
  private readonly work: DeferredWork = { deferred: false, run: () => this.runEvents() };
  private timer: Subscription | undefined;
  /** A frame was refused to keep the order; somebody waits to be told. */
  private held = false;
  private used = false;

  /** @param changed called after each change of `state`; `gone` is the last. */
  constructor(
    private readonly site: GuestSite,
    setup: BypassSetup,
    private readonly rings: BypassRings,
    private readonly changed: (bypass: GuestBypass) => void,
  ) {
    const { control, produce, consume, port } = rings;
    const { remoteMac, peerTrusted } = setup;
    const frontend = setup.type === MessageType.bypassFrontend;
    this.handle = setup.handle;
    this.role = frontend ? 'frontend' : 'backend';
    this.peer = domainId(setup.peerDomain);
    this.remoteMac = remoteMac;
    const bytes = new DataView(remoteMac.buffer, remoteMac.byteOffset);
    this.macHigh = bytes.getUint16(0);
    this.macLow = bytes.getUint32(2);
    this.current = initialGuestBypassState(this.role);
    this.link = new Vif2Link({
      domain: site.domain,
      pool: site.pool,
      prefix: site.prefix,
      offer: site.offer,
      frames: site.frames,
      writable: site.writable,
      counters: site.counters,
      peer: this.peer,
      rings: {
        control: control.area,
        produce: produce.area,
        consume: consume.area,
        view: frontend ? FRONTEND_VIEW : BACKEND_VIEW,
        port,
      },
      fragmentKind: 'receiver_copy',
      onlySource: peerTrusted ? undefined : remoteMac,
      onlyTarget: peerTrusted ? undefined : site.ownMac,
      rules: { ring: 'bypass', peerTrusted: false, offersBypasses: false },
      bypass: {
        awaitsEvent: frontend,
        announced: () => this.post('firstEvent'),
        received: site.counters,
      },
      opened: () => this.post('peerReady'),
      fail: () => this.post('corrupt'),
      // A guest that finishes nothing must not hold up what the parent ring could deliver.
      stuck: () => {},
      sourceGrantsExactly: false,
      stalled: () => this.post('corrupt'),
    });
  }

  get state(): GuestBypassState {
    return this.current;
  }

  get port(): number {
    return this.rings.port;
  }

  /** Unfinished packets on the bypass. */
  get unfinished(): number {
    return this.link.unfinished;
  }

  /** Listens, and announces this end if the other one is there. Not to be called amid a pass of another link. */
  start(): void {
    this.link.start();
  }

  /** Sends a frame for the other end the way it must take now. @returns `false` when it must wait. */
  send(frame: Frame | Uint8Array): boolean {
    switch (this.current) {
      case 'open':
        return this.sendAcross(frame);
      case 'unbound':
      case 'waiting':
        return this.site.parent.send(frame, this.flow);
      case 'switching':
        // The first one marks the end of what cannot be followed: all that went inline before the offer came.
        if (!this.flow.marked) return this.site.parent.send(frame, this.flow);
        return this.hold();
      case 'draining':
        return this.hold();
      default:
        return this.site.parent.send(frame);
    }
  }

  flush(): void {
    if (this.current === 'open') this.link.flush();
  }

  /** Something happened. It is dealt with once the pass that found it is over. */
  post(event: GuestBypassEvent): void {
    if (this.current === 'gone') return;
    this.events.push(event);
    this.site.domain.defer(this.work);
  }

  /** Sends nothing new, takes what the other end has sent so far. */
  windDown(): Vif2Link {
    this.link.windDown();
    return this.link;
  }

  /** The parent connection ends: so does this, at once. */
  close(): void {
    this.dispatch('close');
  }

  private runEvents(): void {
    for (let event = this.events.shift(); event !== undefined; event = this.events.shift())
      this.dispatch(event);
  }

  private dispatch(event: GuestBypassEvent): void {
    const transition = GUEST_BYPASS_TABLES[this.role][this.current]?.[event];
    if (transition === undefined || (event === 'switched' && !this.parentIsEmpty)) return;
    this.timer?.unsubscribe();
    this.timer = undefined;
    this.current = transition.next;
    if (event === 'corrupt' || event === 'switchTimeout') this.site.counters.bypassesBroken += 1;
    // What the other end had written before it heard of the end is in the ring yet, and needs no answer.
    if (event === 'detach' && this.current === 'gone') this.link.windDown();
    for (const action of transition.actions) this.perform(action);
    this.changed(this);
  }

  private perform(action: GuestBypassAction): void {
    switch (action) {
      case 'announce':
        // The link did, in the pass that met the first event.
        return;
      case 'switch':
        if (this.parentIsEmpty) this.post('switched');
        return;
      case 'useBypass':
        this.used = true;
        this.site.counters.bypassesOpened += 1;
        this.unhold();
        return;
      case 'useParent':
        this.unhold();
        return;
      case 'drain':
        this.drain();
        return;
      case 'stop':
        this.site.counters.dropped.bypassLost += this.link.unfinished;
        this.link.stop();
        return;
      case 'release':
        this.rings.end();
        return;
      case 'answerDisabled':
        this.answer(MessageType.bypassDisabled);
        return;
      case 'answerDetached':
        this.answer(MessageType.bypassDetached);
    }
  }

  /** Whatever went over the parent ring has been delivered: a packet that says so went last, and came back. */
  private get parentIsEmpty(): boolean {
    return this.flow.marked && this.flow.unfinished === 0;
  }

  private sendAcross(frame: Frame | Uint8Array): boolean {
    const { counters } = this.site;
    const frames = counters.framesSent;
    const bytes = counters.bytesSent;
    const taken = this.link.send(frame);
    counters.bypassFramesSent += counters.framesSent - frames;
    counters.bypassBytesSent += counters.bytesSent - bytes;
    return taken;
  }

  private drain(): void {
    if (!this.used) {
      this.post('drained');
      return;
    }
    this.startTimer('drainTimeout');
    this.link.onTaken(true, () => this.post('drained'));
  }

  private hold(): false {
    this.held = true;
    this.site.counters.sendRefused += 1;
    if (this.current === 'switching' && this.timer === undefined) this.startTimer('switchTimeout');
    return false;
  }

  private unhold(): void {
    if (!this.held) return;
    this.held = false;
    this.site.writable.emit();
  }

  private startTimer(event: GuestBypassEvent): void {
    this.timer = this.site.domain.scheduler.schedule(() => {
      this.timer = undefined;
      this.dispatch(event);
    }, SWITCH_MILLISECONDS);
  }

  private answer(type: BypassHandleType): void {
    const message = new Int32Array(BYPASS_MESSAGE_SIZE / 4);
    writeBypassHandle(message, 0, type, this.handle);
    this.site.parent.sendControl(message, true);
  }
}
