import { formatMac } from '@netchannel2/device-registry';
import type { Vif2Link } from '@netchannel2/netchannel2-link';
import type { DeferredWork, FramePort } from '@netchannel2/xen';
import { BehaviorSubject, filter, firstValueFrom, map, type Observable, type Subscription } from 'rxjs';
import { BypassEnd, type BypassGuest, type BypassSite } from './bypass-end';
import { BypassMemory } from './bypass-memory';
import { MiddleBypass } from './bypass-middle';
import { BypassIdleness, type BypassPolicy, type Thresholds, thresholdsOf } from './bypass-policy';
import type { MiddleBypassState } from './bypass-transitions';

/** Milliseconds a pair is left alone after an end found the other corrupt, or could not work with it (spec vif2.md §6.2). */
const BLAME_TIME = 60_000;
/** Milliseconds between two suggestions of one guest that count. */
const SUGGESTION_INTERVAL = 1000;
const DEFAULT_RING_PAGES = 4;

export interface BypassProposerOptions {
  /** Default `never`: what takes a bypass is not seen by whoever filters, records or shapes frames in this domain. */
  readonly policy?: BypassPolicy;
  /** Pages of each ring of a bypass: 1, 2, 4, 8 or 16. Default 4. */
  readonly ringPages?: number;
  /**
   * Whether two guests may have a bypass at all; asked before each proposal. Answer `false` for pairs whose frames are
   * filtered, mirrored or kept apart in this domain. Default: all may.
   */
  readonly permits?: (one: FramePort, other: FramePort) => boolean;
}

/** A bypass, for people to look at. */
export interface BypassInfo {
  readonly handle: number;
  readonly state: MiddleBypassState;
  /** The backends of the two guests. */
  readonly frontend: FramePort;
  readonly backend: FramePort;
  /**
   * Bytes written into the two rings, from the guests' own producer indices: descriptors and inline bytes, not frames. Good
   * enough to see what is busy, and a statement of the guests.
   */
  readonly bytesToBackend: number;
  readonly bytesToFrontend: number;
}

/**
 * Proposes direct rings between the guests of one domain's netback2s, and takes them down (spec vif2.md §6). Given to one or
 * several drivers of the same domain; the drivers tell it of their guests.
 */
export class BypassProposer {
  private readonly ends = new Map<FramePort, BypassEnd>();
  private readonly live: MiddleBypass[] = [];
  private readonly idleness = new Map<MiddleBypass, BypassIdleness>();
  private readonly list = new BehaviorSubject<readonly BypassInfo[]>([]);
  /** Pairs to be left alone, by their addresses, and until when. */
  private readonly avoided = new Map<string, number>();
  private readonly suggestions = new Map<BypassEnd, number>();
  private readonly wanted: [BypassEnd, BypassEnd][] = [];
  private readonly permits: (one: FramePort, other: FramePort) => boolean;
  private readonly ringPages: number;
  private thresholds: Thresholds;
  private current: BypassPolicy;
  private timer: Subscription | undefined;
  private lastHandle = 0;
  private readonly site: BypassSite = {
    source: undefined,
    noticed: (source, destination) => this.notice(source, destination),
    suggested: (source, mac) => this.considerSuggestion(source, mac),
  };
  private readonly work: DeferredWork = { deferred: false, run: () => this.proposeWanted() };

  /** @throws RangeError when an option is out of range. */
  constructor(options: BypassProposerOptions = {}) {
    const ringPages = options.ringPages ?? DEFAULT_RING_PAGES;
    if (![1, 2, 4, 8, 16].includes(ringPages))
      throw new RangeError(`bypass option ringPages is ${ringPages}: give 1, 2, 4, 8 or 16`);
    this.ringPages = ringPages;
    this.permits = options.permits ?? (() => true);
    this.current = options.policy ?? { kind: 'never' };
    this.thresholds = thresholdsOf(this.current);
  }

  get policy(): BypassPolicy {
    return this.current;
  }

  /**
   * Changes the policy from now on. `never` withdraws all bypasses. Guests that connected under `never` agreed on none, and
   * take part only once they reconnect.
   *
   * @throws RangeError when a threshold is out of range; nothing changes then.
   */
  set policy(policy: BypassPolicy) {
    this.thresholds = thresholdsOf(policy);
    this.current = policy;
    if (policy.kind === 'never') for (const bypass of [...this.live]) bypass.withdraw();
  }

  /** The bypasses there are, now and whenever one changes its state. */
  get bypasses$(): Observable<readonly BypassInfo[]> {
    return this.list;
  }

  /** The bypasses there are, their bytes counted up to now. */
  get bypasses(): readonly BypassInfo[] {
    for (const bypass of [...this.live]) bypass.sample();
    return this.live.map(infoOf);
  }

  /**
   * Proposes a bypass between the guests of two backends, whatever the policy's counts say.
   *
   * @param frontend backend of the guest that allocates the event channel.
   * @returns why there will be none, or `undefined`: `bypasses$` tells how it goes on.
   */
  propose(frontend: FramePort, backend: FramePort): string | undefined {
    const front = this.ends.get(frontend);
    const back = this.ends.get(backend);
    if (front === undefined) return `${frontend.name} has no guest that agreed to bypasses`;
    if (back === undefined) return `${backend.name} has no guest that agreed to bypasses`;
    if (this.current.kind === 'never') return 'the policy is never';
    return this.create(front, back);
  }

  /**
   * Takes bypasses down in order, as before a suspend: both ends drain, and go on over their parent rings.
   *
   * @param port only those of this backend's guest. Default: all.
   * @returns when they are gone, within six seconds.
   */
  async withdraw(port?: FramePort): Promise<void> {
    const concerned = this.live.filter(
      ({ frontend, backend }) =>
        port === undefined || frontend.info.port === port || backend.info.port === port,
    );
    for (const bypass of concerned) bypass.withdraw();
    const done = () => concerned.every(({ state }) => state === 'free');
    await firstValueFrom(this.list.pipe(map(done), filter(Boolean)));
  }

  /** @internal Whether frontends that connect now may agree to bypasses. */
  get offers(): boolean {
    return this.current.kind !== 'never';
  }

  /** @internal A guest agreed to bypasses; `join` follows when its link runs. */
  admit(guest: BypassGuest): BypassEnd {
    return new BypassEnd(guest, this.site);
  }

  /** @internal */
  join(end: BypassEnd, link: Vif2Link): void {
    end.connect(link);
    this.ends.set(end.info.port, end);
  }

  /** @internal The guest's connection ends; nothing more is sent to it. */
  leave(end: BypassEnd): void {
    this.ends.delete(end.info.port);
    this.suggestions.delete(end);
    for (const other of this.ends.values()) other.forget(end);
    for (const bypass of [...end.bypasses]) bypass.gone(end);
  }

  private create(front: BypassEnd, back: BypassEnd): string | undefined {
    const reason = this.refusal(front, back);
    if (reason !== undefined) return reason;
    const memory = BypassMemory.create(front.domain, front.info.guest, back.info.guest, this.ringPages);
    if (memory === undefined) return 'no pages or grant references are left for its rings';
    this.lastHandle = (this.lastHandle + 1) >>> 0;
    const bypass = new MiddleBypass(this.lastHandle, front, back, memory, {
      changed: (one) => this.note(one),
      blamed: (one) => this.avoid(one.frontend, one.backend, BLAME_TIME),
    });
    this.live.push(bypass);
    this.idleness.set(bypass, new BypassIdleness(front.domain.scheduler.now()));
    this.startTimer(front);
    this.list.next(this.live.map(infoOf));
    return undefined;
  }

  private refusal(front: BypassEnd, back: BypassEnd): string | undefined {
    if (front === back || front.info.guest === back.info.guest) return 'both ends are in one domain';
    if (this.live.some((bypass) => bypass.joins(front, back))) return 'there is one already';
    if (front.awaited !== undefined) return 'the guest has not answered another BYPASS_FRONTEND';
    for (const end of [front, back]) {
      if (!end.link.up) return `${end.info.port.name} is down`;
      if (end.bypasses.size + end.leaked >= end.info.most) return `${end.info.port.name} has enough bypasses`;
    }
    if (this.isAvoided(front, back)) return 'the pair is left alone for a while';
    return this.permits(front.info.port, back.info.port) ? undefined : 'not permitted';
  }

  private notice(source: BypassEnd, destination: BypassEnd): void {
    if (this.current.kind === 'always') this.want(source, destination);
    else if (this.current.kind === 'automatic') this.startTimer(source);
  }

  /** Amid a pass; the proposal is made behind it. */
  private want(source: BypassEnd, destination: BypassEnd): void {
    this.wanted.push([source, destination]);
    source.domain.defer(this.work);
  }

  private proposeWanted(): void {
    for (const [source, destination] of this.wanted.splice(0)) {
      source.pairTo(destination).forget();
      if (this.ends.get(source.info.port) === source && this.ends.get(destination.info.port) === destination)
        this.create(source, destination);
    }
  }

  private considerSuggestion(source: BypassEnd, mac: Uint8Array): void {
    const now = source.domain.scheduler.now();
    if (now - (this.suggestions.get(source) ?? Number.NEGATIVE_INFINITY) < SUGGESTION_INTERVAL) return;
    this.suggestions.set(source, now);
    for (const end of this.ends.values()) {
      if (end === source || !end.hasMac(mac)) continue;
      source.pairTo(end).suggest(this.thresholds);
      this.notice(source, end);
    }
  }

  private startTimer({ domain }: BypassEnd): void {
    this.timer ??= domain.scheduler.schedule(() => {
      this.timer = undefined;
      this.closeWindow(domain.scheduler.now());
      const [any] = this.ends.values();
      if (any !== undefined && this.needsWindows()) this.startTimer(any);
    }, this.thresholds.window);
  }

  /** Somebody's traffic is being counted, or a bypass is there: an idle middle has no timer. */
  private needsWindows(): boolean {
    if (this.live.length > 0) return true;
    if (this.current.kind !== 'automatic') return false;
    for (const end of this.ends.values()) {
      for (const pair of end.traffic.values()) if (!pair.quiet) return true;
    }
    return false;
  }

  private closeWindow(now: number): void {
    for (const bypass of [...this.live]) {
      const idle = this.idleness.get(bypass)?.look(bypass.sample(), now, this.thresholds);
      if (idle === true && this.current.kind === 'automatic') bypass.withdraw();
    }
    for (const end of this.ends.values()) {
      for (const [destination, pair] of end.traffic) {
        const earned = pair.closeWindow(this.thresholds);
        if (earned && this.current.kind === 'automatic') this.create(end, destination);
      }
    }
    for (const [pair, until] of this.avoided) if (until <= now) this.avoided.delete(pair);
  }

  private note(bypass: MiddleBypass): void {
    if (bypass.state === 'free') {
      this.live.splice(this.live.indexOf(bypass), 1);
      this.idleness.delete(bypass);
      if (this.current.kind === 'automatic')
        this.avoid(bypass.frontend, bypass.backend, this.thresholds.holdDown);
    }
    this.list.next(this.live.map(infoOf));
  }

  private avoid(one: BypassEnd, other: BypassEnd, milliseconds: number): void {
    const pair = pairName(one, other);
    const until = one.domain.scheduler.now() + milliseconds;
    this.avoided.set(pair, Math.max(until, this.avoided.get(pair) ?? 0));
  }

  private isAvoided(one: BypassEnd, other: BypassEnd): boolean {
    return (this.avoided.get(pairName(one, other)) ?? 0) > one.domain.scheduler.now();
  }
}

function infoOf(bypass: MiddleBypass): BypassInfo {
  const { handle, state, frontend, backend, bytesToBackend, bytesToFrontend } = bypass;
  return {
    handle,
    state,
    frontend: frontend.info.port,
    backend: backend.info.port,
    bytesToBackend,
    bytesToFrontend,
  };
}

/** The same for both orders, and for a guest that comes back. */
function pairName(one: BypassEnd, other: BypassEnd): string {
  return [formatMac(one.mac), formatMac(other.mac)].sort().join(' ');
}
