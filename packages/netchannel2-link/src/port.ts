import { FramePool, HotStream, sendOneByOne } from '@netchannel2/frames';
import type {
  Domain,
  DomainId,
  Errno,
  Frame,
  FrameForwarder,
  FramePort,
  GrantedFrame,
} from '@netchannel2/xen';
import { BehaviorSubject, type Observable } from 'rxjs';
import { type BypassAcceptance, GuestBypasses } from './bypass/guest-bypasses';
import type { GuestBypassInfo } from './bypass/guest-site';
import type { RunSink, RunSinkPort } from './forwarding-run';
import { lastFinishes } from './last-finishes';
import { Vif2Link } from './link';
import {
  type ConnectedRings,
  type FragmentKind,
  type LinkSettings,
  PREFIX_TO_END,
  type ReceiveOffer,
} from './link-settings';
import { Vif2Counters } from './vif2-counters';

/** What a vif2 can do right now: nothing; frames; frames, but the peer has not finished any for ten seconds. */
export type LinkState = 'down' | 'up' | 'stalled';

/** Options both drivers take. */
export interface Vif2Options {
  /** Pages for received frames and for heap bytes on their way out. Default: a pool of its own per device, see `poolPages`. */
  readonly pool?: FramePool | undefined;
  /** Pages of the device's own pool, while connected. Default 256. */
  readonly poolPages?: number | undefined;
  /**
   * Inline bytes of packets too long to be inline as a whole, 14 … 256. Default 80 in a frontend, whose backend may forward by
   * them, 64 in a backend and on a bypass.
   */
  readonly prefix?: number | undefined;
  /** Largest ring order this end agrees to, 0 … 4: 2^order pages per direction. Default 1 in a frontend, 4 in a backend. */
  readonly ringPageOrder?: number | undefined;
  /** Unfinished packets the peer may have, 1 … min(256, ring bytes / 32), the default. */
  readonly maxPackets?: number | undefined;
  /** Fragments per packet the peer may send, 1 … 18. Default 18. */
  readonly maxFragments?: number | undefined;
  /** The peer may leave checksums to us. Default true. */
  readonly checksumOffload?: boolean | undefined;
  /** The peer may leave TCP/IPv4 segmentation to us. Default true. */
  readonly tcpv4Segmentation?: boolean | undefined;
  /**
   * Frames of at least this many bytes, 0 … 65536, that the peer sends as `receiver_map` stay in its pages: whoever looks
   * behind the inline bytes has them mapped, and the peer may change them meanwhile, so check a copy (`toBytes`). Who
   * retains such a frame keeps the peer's pages for less than a second; then it is copied. Default: all are copied.
   */
  readonly mapFrom?: number | undefined;
}

const DEFAULT_POOL_PAGES = 256;

/** What a driver knows about one connection. */
export interface Vif2Connection {
  readonly rings: ConnectedRings;
  /** Inline bytes of packets with fragments, where no option says. */
  readonly prefix: number;
  readonly fragmentKind: FragmentKind;
  readonly onlySource: Uint8Array | undefined;
  readonly sourceGrantsExactly: boolean;
  /** Which messages the peer may send, and what the link is to do beyond frames. */
  readonly extras?: Pick<LinkSettings, 'rules' | 'marksCandidates' | 'emission' | 'bypassMessage'>;
  /** A frontend's: its backend may offer bypasses. */
  readonly bypasses?: {
    readonly acceptance: BypassAcceptance | undefined;
    readonly ownMac: Uint8Array | undefined;
  };
}

/** Decides the way of frames that do not simply go to the link. */
export interface FrameRouter {
  send(frame: Frame | Uint8Array): boolean;
}

/**
 * The frames of one vif2 across all its connections. Drivers extend it by the handshake; streams and counters live as long
 * as the device, a {@link Vif2Link} as long as one connection.
 */
export abstract class Vif2Port implements FramePort, RunSinkPort {
  abstract readonly name: string;
  readonly counters = new Vif2Counters();
  private readonly frames = new HotStream<Frame>();
  private readonly writable = new HotStream<void>();
  private readonly state = new BehaviorSubject<LinkState>('down');
  private link: Vif2Link | undefined;
  private router: FrameRouter | undefined;
  private bypasses: GuestBypasses | undefined;
  private readonly bypassList = new BehaviorSubject<readonly GuestBypassInfo[]>([]);
  private ownPool: FramePool | undefined;
  private forwarder: FrameForwarder | undefined;

  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    protected readonly options: Vif2Options,
  ) {
    checkOptions(options);
  }

  get frames$(): Observable<Frame> {
    return this.frames;
  }

  get writable$(): Observable<void> {
    return this.writable;
  }

  /** The link's state now and at every change. */
  get linkState$(): Observable<LinkState> {
    return this.state;
  }

  get linkState(): LinkState {
    return this.state.value;
  }

  /** Packets sent whose FINISH has not come yet. */
  get unfinished(): number {
    return (this.link?.unfinished ?? 0) + (this.bypasses?.unfinished ?? 0);
  }

  /** A frontend's bypasses: now, and whenever one changes its state. A backend has none of its own. */
  get bypasses$(): Observable<readonly GuestBypassInfo[]> {
    return this.bypassList;
  }

  send(frame: Frame | Uint8Array): boolean {
    const { link, router } = this;
    if (router !== undefined) return router.send(frame);
    if (link !== undefined) return link.send(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  sendBurst(frames: readonly (Frame | Uint8Array)[], start: number, end: number): number {
    const { link } = this;
    if (link !== undefined && this.router === undefined) return link.sendBurst(frames, start, end);
    return sendOneByOne(this, frames, start, end);
  }

  flush(): void {
    this.link?.flush();
    this.bypasses?.flush();
  }

  /** Shows received packets to `forwarder` before they are copied in, on this connection and later ones. */
  protected forwardBy(forwarder: FrameForwarder | undefined): void {
    this.forwarder = forwarder;
    this.link?.divert(forwarder);
  }

  /** Whether the peer can be given `frame` in its sender's grants. */
  protected acceptsForward(frame: GrantedFrame): boolean {
    return this.link?.acceptsGranted(frame) === true;
  }

  /** Hands `frame` on. @returns as `send`. */
  protected forward(frame: GrantedFrame): boolean {
    const link = this.link;
    if (link !== undefined) return link.sendGranted(frame);
    this.counters.sendRefused += 1;
    return false;
  }

  /** Where runs of packets may be handed on to, past {@link send} and {@link forward}. */
  runSink(): RunSink | undefined {
    return this.router === undefined ? this.link?.sink : undefined;
  }

  /** A packet the peer may have mapped is not finished and cannot be taken back; the link goes on, as far as it can. */
  protected abstract linkStuck(message: string): void;

  /** The peer broke the protocol, or this end cannot go on. */
  protected abstract linkFailed(code: Errno, message: string): void;

  /** @returns `false` when there are no pages for a pool. */
  protected openPool(): boolean {
    if (this.options.pool !== undefined || this.ownPool !== undefined) return true;
    this.ownPool = FramePool.create(this.domain.memory, this.options.poolPages ?? DEFAULT_POOL_PAGES);
    return this.ownPool !== undefined;
  }

  /** Starts traffic on agreed rings. */
  protected startLink(connection: Vif2Connection): Vif2Link {
    const pool = this.options.pool ?? this.ownPool;
    if (pool === undefined) throw new Error('openPool() comes before startLink()');
    const settings: LinkSettings = {
      ...connection.extras,
      rings: connection.rings,
      fragmentKind: connection.fragmentKind,
      onlySource: connection.onlySource,
      sourceGrantsExactly: connection.sourceGrantsExactly,
      ...(connection.bypasses && { bypassMessage: (message) => this.bypasses?.receive(message) }),
      domain: this.domain,
      peer: this.peer,
      pool,
      prefix: this.options.prefix ?? connection.prefix,
      offer: this.offer(),
      mapFrom: this.options.mapFrom,
      frames: this.frames,
      writable: this.writable,
      counters: this.counters,
      opened: () => this.state.next('up'),
      fail: (code, message) => {
        this.state.next('down');
        this.linkFailed(code, message);
      },
      stuck: () => this.linkStuck('a packet that may be mapped was not finished in 30 s'),
      stalled: (stalled) => this.state.next(stalled ? 'stalled' : 'up'),
    };
    const link = new Vif2Link(settings);
    this.link = link;
    if (this.forwarder !== undefined) link.divert(this.forwarder);
    if (connection.bypasses !== undefined) this.openBypasses(settings, link, connection.bypasses);
    link.start();
    return link;
  }

  /** @param message a bypass message that is no answer. @returns `false` when the link is down. */
  protected sendControl(message: Int32Array): boolean {
    if (this.link?.up !== true) return false;
    this.link.sendControl(message, false);
    return true;
  }

  /** Frames take the router's ways from now on; `undefined`: the link's. */
  protected route(router: FrameRouter | undefined): void {
    this.router = router;
  }

  /**
   * Sends nothing new, takes what the peer has sent so far, and gives it a second for what it has not taken or finished.
   *
   * @returns `undefined` when there is nothing to wait for.
   */
  protected windDown(): Promise<void> | undefined {
    const { link, bypasses } = this;
    if (link === undefined) return undefined;
    link.windDown();
    return lastFinishes([link, ...(bypasses?.windDown() ?? [])], this.domain.scheduler);
  }

  /** Ends traffic and lets go of grants, leases and timers; rings and port are the driver's. Idempotent. */
  protected stopLink(): void {
    this.router = undefined;
    this.bypasses?.end();
    this.bypasses = undefined;
    this.link?.stop();
    this.link = undefined;
    this.ownPool?.close();
    this.ownPool = undefined;
    if (this.state.value !== 'down') this.state.next('down');
  }

  /** The device has gone for good. */
  protected completeStreams(): void {
    this.frames.complete();
    this.writable.complete();
    this.state.complete();
    this.bypassList.complete();
  }

  private openBypasses(
    settings: LinkSettings,
    parent: Vif2Link,
    { acceptance, ownMac }: NonNullable<Vif2Connection['bypasses']>,
  ): void {
    const prefix = this.options.prefix ?? PREFIX_TO_END;
    const site = { ...settings, prefix, counters: this.counters, middle: this.peer, parent, ownMac };
    const bypasses = new GuestBypasses(site, acceptance, (list) => {
      this.route(list.length > 0 ? bypasses : undefined);
      this.bypassList.next(list);
    });
    this.bypasses = bypasses;
  }

  private offer(): ReceiveOffer {
    return {
      checksumOffload: this.options.checksumOffload ?? true,
      tcpv4Segmentation: this.options.tcpv4Segmentation ?? true,
      maxFragments: this.options.maxFragments ?? 18,
      maxPackets: this.options.maxPackets,
    };
  }
}

function checkOptions(options: Vif2Options): void {
  checkRange('prefix', options.prefix, 14, 256);
  checkRange('ringPageOrder', options.ringPageOrder, 0, 4);
  checkRange('maxPackets', options.maxPackets, 1, 256);
  checkRange('maxFragments', options.maxFragments, 1, 18);
  checkRange('mapFrom', options.mapFrom, 0, 65536);
  checkRange('poolPages', options.poolPages, 1, 1 << 20);
}

function checkRange(name: string, value: number | undefined, least: number, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) return;
  throw new RangeError(`vif2 option ${name} is ${value}: give an integer from ${least} to ${most}`);
}
