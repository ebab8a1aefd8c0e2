import {
  bypassFrontendReadyPort,
  bypassHandle,
  MessageType,
  messageType,
  suggestBypassMac,
} from '@netchannel2/netchannel2';
import type { EmissionWatch, FrameRouter, PacketFlow, Vif2Link } from '@netchannel2/netchannel2-link';
import type { Domain, DomainId, Frame, FramePort, FrameView } from '@netchannel2/xen';
import { PairTraffic } from './bypass-policy';

/** A guest that agreed to bypasses, as its backend knows it. */
export interface BypassGuest {
  /** The backend. */
  readonly port: FramePort;
  /** The middle's domain. */
  readonly domain: Domain;
  readonly guest: DomainId;
  /** The guest's address, six bytes. */
  readonly mac: Uint8Array;
  /** The toolstack vouches for the guest. */
  readonly trusted: boolean;
  /** Bypasses it may take part in at the same time. */
  readonly most: number;
}

/** A bypass as its ends know it. */
export interface JoinedBypass {
  readonly handle: number;
  /** BYPASS_FRONTEND_READY came. @param port as in the message. */
  answered(port: number): void;
  /** BYPASS_DISABLED came. */
  disabled(end: BypassEnd): void;
  /** BYPASS_DETACHED came. */
  detached(end: BypassEnd): void;
  /** The end's connection is over. */
  gone(end: BypassEnd): void;
}

/** A pair whose order is kept, at its destination. */
export interface KeptOrder {
  readonly flow: PacketFlow;
  /** Whether a frame for the destination belongs to the pair. */
  covers(frame: Frame | Uint8Array): boolean;
}

/** What the ends of one middle share. */
export interface BypassSite {
  /** The guest whose frame is being emitted, if it is one that could take a bypass. */
  source: BypassEnd | undefined;
  /** First packet of a pair in its window. */
  noticed(source: BypassEnd, destination: BypassEnd): void;
  /** A trusted guest asks for a bypass. */
  suggested(source: BypassEnd, mac: Uint8Array): void;
}

/**
 * One connected guest at the middle: counts what is forwarded to it and from whom, keeps the order of what comes while a bypass
 * begins, and takes the guest's answers.
 */
export class BypassEnd implements EmissionWatch, FrameRouter {
  /** Pairs whose order is kept, this guest being the destination. */
  readonly orders: KeptOrder[] = [];
  /** What this guest sent, by destination. */
  readonly traffic = new Map<BypassEnd, PairTraffic>();
  readonly bypasses = new Set<JoinedBypass>();
  /** The bypass whose BYPASS_FRONTEND has not been answered: the answer names none. */
  awaited: JoinedBypass | undefined;
  /** Bypasses of this guest whose pages it has not unmapped. */
  leaked = 0;
  private readonly macHigh: number;
  private readonly macLow: number;
  private connection: Vif2Link | undefined;
  private lastPair: PairTraffic | undefined;
  private lastDestination: BypassEnd | undefined;

  constructor(
    readonly info: BypassGuest,
    private readonly site: BypassSite,
  ) {
    const bytes = new DataView(info.mac.buffer, info.mac.byteOffset);
    this.macHigh = bytes.getUint16(0);
    this.macLow = bytes.getUint32(2);
  }

  get domain(): Domain {
    return this.info.domain;
  }

  get mac(): Uint8Array {
    return this.info.mac;
  }

  /** @throws Error before {@link connect}. */
  get link(): Vif2Link {
    if (this.connection === undefined) throw new Error(`${this.info.port.name} is not connected yet`);
    return this.connection;
  }

  connect(link: Vif2Link): void {
    this.connection = link;
  }

  begin(candidate: boolean): void {
    this.site.source = candidate ? this : undefined;
  }

  end(): void {
    this.site.source = undefined;
  }

  send(frame: Frame | Uint8Array): boolean {
    const taken = this.link.send(frame, this.orders.length === 0 ? undefined : this.flowOf(frame));
    const { source } = this.site;
    if (taken && source !== undefined && source !== this && this.isTarget(frame))
      source.count(this, frame.byteLength);
    return taken;
  }

  /** A packet was handed on in its sender's grants. */
  handedOn(head: FrameView, byteLength: number): void {
    const { source } = this.site;
    if (source !== undefined && source !== this && this.isTarget(head)) source.count(this, byteLength);
  }

  /** A frame of this guest was forwarded to `destination`, whose address it has. */
  count(destination: BypassEnd, bytes: number): void {
    let pair = this.lastPair;
    if (this.lastDestination !== destination || pair === undefined) pair = this.pairTo(destination);
    pair.packets += 1;
    pair.bytes += bytes;
    if (pair.packets === 1) this.site.noticed(this, destination);
  }

  pairTo(destination: BypassEnd): PairTraffic {
    let pair = this.traffic.get(destination);
    if (pair === undefined) {
      pair = new PairTraffic();
      this.traffic.set(destination, pair);
    }
    this.lastDestination = destination;
    this.lastPair = pair;
    return pair;
  }

  /** Another guest has gone. */
  forget(other: BypassEnd): void {
    this.traffic.delete(other);
    if (this.lastDestination !== other) return;
    this.lastDestination = undefined;
    this.lastPair = undefined;
  }

  isTarget(frame: FrameView | Uint8Array): boolean {
    return this.isAt(frame, 0);
  }

  isSource(frame: FrameView | Uint8Array): boolean {
    return this.isAt(frame, 6);
  }

  hasMac(mac: Uint8Array): boolean {
    return this.mac.every((byte, index) => byte === mac[index]);
  }

  /** @param message of the guest. @returns what ends its connection, or `undefined`. */
  receive(message: Int32Array): string | undefined {
    const type = messageType(message[0] ?? 0);
    if (type === MessageType.bypassFrontendReady) {
      const bypass = this.awaited;
      if (bypass === undefined) return 'BYPASS_FRONTEND_READY that nobody asked for';
      this.awaited = undefined;
      bypass.answered(bypassFrontendReadyPort(message, 0));
    } else if (type === MessageType.suggestBypass) {
      if (this.info.trusted) this.site.suggested(this, suggestBypassMac(message, 0));
    } else {
      const handle = bypassHandle(message, 0);
      // An answer to a bypass that was given up in the meantime is nothing to be angry about.
      for (const bypass of this.bypasses) {
        if (bypass.handle !== handle) continue;
        if (type === MessageType.bypassDisabled) bypass.disabled(this);
        else bypass.detached(this);
      }
    }
    return undefined;
  }

  private flowOf(frame: Frame | Uint8Array): PacketFlow | undefined {
    for (const order of this.orders) if (order.covers(frame)) return order.flow;
    return undefined;
  }

  private isAt(frame: FrameView | Uint8Array, at: number): boolean {
    if (!(frame instanceof Uint8Array))
      return frame.uint32(at + 2) === this.macLow && frame.uint16(at) === this.macHigh;
    const { mac } = this;
    for (let byte = 0; byte < 6; byte += 1) if (frame[at + byte] !== mac[byte]) return false;
    return true;
  }
}
