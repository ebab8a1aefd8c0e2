import {
  BYPASS_MESSAGE_SIZE,
  type BypassHandleType,
  bypassSetupSize,
  MessageType,
  writeBypassHandle,
  writeBypassSetup,
} from '@netchannel2/netchannel2';
import { DOMID_SELF } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import type { BypassEnd, JoinedBypass } from './bypass-end';
import type { BypassMemory, BypassRefs } from './bypass-memory';
import { BypassOrder } from './bypass-order';
import {
  MIDDLE_BYPASS_TABLE,
  MIDDLE_BYPASS_TIMEOUTS,
  type MiddleBypassAction,
  type MiddleBypassEvent,
  type MiddleBypassState,
} from './bypass-transitions';

/** One guest of a bypass, as the middle keeps book of it. */
interface Side {
  readonly end: BypassEnd;
  /** It was told of the bypass and has not let go of it. */
  told: boolean;
  /** It was asked to drain and has not answered. */
  draining: boolean;
}

/** What a bypass tells its proposer. */
export interface MiddleBypassOwner {
  /** Its state has changed. */
  changed(bypass: MiddleBypass): void;
  /** An end refused or gave up: the pair is to be left alone. */
  blamed(bypass: MiddleBypass): void;
}

/** One bypass at the middle: carries out what the table says. */
export class MiddleBypass implements JoinedBypass {
  /** Bytes the ends wrote into the rings, as they claim: toward the backend-like end, and toward the frontend-like one. */
  bytesToBackend = 0;
  bytesToFrontend = 0;
  private current: MiddleBypassState = 'front';
  private readonly front: Side;
  private readonly back: Side;
  private orders: BypassOrder[];
  private timer: Subscription | undefined;
  private port = 0;

  /** Sends BYPASS_FRONTEND. */
  constructor(
    readonly handle: number,
    front: BypassEnd,
    back: BypassEnd,
    private readonly memory: BypassMemory,
    private readonly owner: MiddleBypassOwner,
  ) {
    this.front = { end: front, told: true, draining: false };
    this.back = { end: back, told: false, draining: false };
    const late = () => this.dispatch('withdraw');
    this.orders = [new BypassOrder(front, back, late), new BypassOrder(back, front, late)];
    front.bypasses.add(this);
    back.bypasses.add(this);
    front.awaited = this;
    this.startTimer();
    this.offer(MessageType.bypassFrontend, front, back, memory.front);
  }

  get state(): MiddleBypassState {
    return this.current;
  }

  get frontend(): BypassEnd {
    return this.front.end;
  }

  get backend(): BypassEnd {
    return this.back.end;
  }

  joins(one: BypassEnd, other: BypassEnd): boolean {
    const { frontend, backend } = this;
    return (frontend === one && backend === other) || (frontend === other && backend === one);
  }

  /** Looks at the rings' indices. @returns bytes since the last look, both directions together. */
  sample(): number {
    if (this.current === 'free') return 0;
    const { a, b } = this.memory.sample();
    this.bytesToBackend += a;
    this.bytesToFrontend += b;
    if (this.current === 'back' && this.memory.talking) this.dispatch('talking');
    return a + b;
  }

  withdraw(): void {
    this.dispatch('withdraw');
  }

  answered(port: number): void {
    this.port = port;
    if (port <= 0) this.front.told = false;
    this.dispatch(port > 0 ? 'ready' : 'refused');
  }

  disabled(end: BypassEnd): void {
    const side = this.sideOf(end);
    if (!side.told) return;
    side.draining = false;
    this.dispatch(this.front.draining || this.back.draining ? 'disabled' : 'allDisabled');
  }

  detached(end: BypassEnd): void {
    const side = this.sideOf(end);
    if (!side.told) return;
    side.told = false;
    side.draining = false;
    this.dispatch(this.anyTold ? 'detached' : 'allDetached');
  }

  gone(end: BypassEnd): void {
    const side = this.sideOf(end);
    side.told = false;
    side.draining = false;
    if (this.current !== 'detaching') this.dispatch('endGone');
    else if (!this.anyTold) this.dispatch('allDetached');
  }

  private get anyTold(): boolean {
    return this.front.told || this.back.told;
  }

  private sideOf(end: BypassEnd): Side {
    return end === this.front.end ? this.front : this.back;
  }

  private dispatch(event: MiddleBypassEvent): void {
    const transition = MIDDLE_BYPASS_TABLE[this.current][event];
    if (transition === undefined) return;
    this.timer?.unsubscribe();
    this.timer = undefined;
    this.current = transition.next;
    this.startTimer();
    for (const action of transition.actions) this.perform(action);
    this.owner.changed(this);
    if (this.current === 'detaching' && !this.anyTold) this.dispatch('allDetached');
  }

  private perform(action: MiddleBypassAction): void {
    switch (action) {
      case 'offerBackend':
        this.back.told = true;
        this.offer(MessageType.bypassBackend, this.backend, this.frontend, this.memory.back);
        return;
      case 'disable':
        for (const side of [this.front, this.back]) side.draining = side.told;
        this.command(MessageType.bypassDisable);
        this.endOrder();
        return;
      case 'detach':
        this.command(MessageType.bypassDetach);
        this.endOrder();
        return;
      case 'blame':
        this.owner.blamed(this);
        return;
      case 'release':
        this.endOrder();
        this.release();
    }
  }

  /** Only after the ends were told to stop: what they conclude from a FINISH must hold until then. */
  private endOrder(): void {
    for (const order of this.orders) order.end();
    this.orders = [];
  }

  private release(): void {
    const { frontend, backend } = this;
    const ends = [frontend, backend];
    const { a, b } = this.memory.sample();
    this.bytesToBackend += a;
    this.bytesToFrontend += b;
    for (const end of ends) {
      end.bypasses.delete(this);
      end.leaked += 1;
    }
    this.memory.end(() => {
      for (const end of ends) end.leaked -= 1;
    });
  }

  private startTimer(): void {
    const milliseconds = MIDDLE_BYPASS_TIMEOUTS[this.current];
    if (milliseconds === undefined) return;
    this.timer = this.frontend.domain.scheduler.schedule(() => {
      this.timer = undefined;
      this.dispatch('timeout');
    }, milliseconds);
  }

  private offer(
    type: typeof MessageType.bypassFrontend | typeof MessageType.bypassBackend,
    to: BypassEnd,
    peer: BypassEnd,
    refs: BypassRefs,
  ): void {
    const message = new Int32Array(bypassSetupSize(refs.a.length) / 4);
    writeBypassSetup(message, 0, {
      type,
      port: type === MessageType.bypassBackend ? this.port : 0,
      ringDomain: DOMID_SELF,
      peerDomain: peer.info.guest,
      handle: this.handle,
      remoteMac: peer.mac,
      peerTrusted: peer.info.trusted,
      controlRef: refs.control,
      producerRefs: refs.a,
      consumerRefs: refs.b,
    });
    to.link.sendControl(message, false);
  }

  private command(type: BypassHandleType): void {
    for (const { end, told } of [this.front, this.back]) {
      if (!told) continue;
      const message = new Int32Array(BYPASS_MESSAGE_SIZE / 4);
      writeBypassHandle(message, 0, type, this.handle);
      end.link.sendControl(message, false);
    }
  }
}
