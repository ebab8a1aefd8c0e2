import type { FramePool, HotStream, PortCounters } from '@netchannel2/frames';
import type { RingRules, RingView } from '@netchannel2/netchannel2';
import type { Domain, DomainId, Errno, EventChannelPort, Frame, MemoryArea } from '@netchannel2/xen';
import type { DropReason } from './drop-reasons';

/** Messages a pass takes before other devices get their turn (spec §2.4). */
export const PASS_BUDGET = 64;
/** Messages written before a flush that nobody asked for (spec §2.4). */
export const FLUSH_EVERY = 32;
/** Unfinished packets we ever have, whatever the peer allows. */
export const MOST_UNFINISHED = 256;
/**
 * Inline bytes of packets with fragments, by default, to a middle, which decides by the headers and needs no copy to see them: those of
 * Ethernet with a VLAN, of IPv4 or IPv6, and of TCP. A multiple of 16, so that the rest is copied to where vectors lie.
 */
export const PREFIX_TO_MIDDLE = 80;
/** The same to an end, which copies the rest anyway: the headers of Ethernet, IPv4 and TCP, and a multiple of 16. */
export const PREFIX_TO_END = 64;

/** Which messages may come on an ordinary ring, between ends that agreed on no bypasses. */
export const PLAIN_RING: RingRules = { ring: 'parent', peerTrusted: false, offersBypasses: false };

/** What a link on a bypass ring does differently (spec §6.2). */
export interface BypassRing {
  /** The other end has not bound the port: announce this one at the first event, not at once. */
  readonly awaitsEvent: boolean;
  /** The first event came: this end is about to be announced. */
  announced(): void;
  /** Counts what comes this way, beside the port's own counters. */
  readonly received: { bypassFramesReceived: number; bypassBytesReceived: number };
}

/** Told what the link emits, for whoever wants to know whose frame it is that comes out of another port meanwhile. */
export interface EmissionWatch {
  /** A frame is about to be emitted. @param candidate its sender says that it could take a bypass. */
  begin(candidate: boolean): void;
  /** No frame of this link is being emitted any more. */
  end(): void;
}

/** How fragments reach the peer. */
export type FragmentKind = 'receiver_copy' | 'receiver_map';

/** Two rings and a port that both ends have agreed on: what the drivers set up before a link can run. */
export interface ConnectedRings {
  readonly control: MemoryArea;
  /** Payload of the ring this end produces on. */
  readonly produce: MemoryArea;
  readonly consume: MemoryArea;
  readonly view: RingView;
  readonly port: EventChannelPort;
}

/** What the peer may send us, as advertised in the start-up burst. */
export interface ReceiveOffer {
  readonly checksumOffload: boolean;
  readonly tcpv4Segmentation: boolean;
  /** 1 … 18. */
  readonly maxFragments: number;
  /** Credit; at most min(256, own ring bytes / 32), which is the default. */
  readonly maxPackets?: number | undefined;
}

export interface LinkSettings {
  readonly domain: Domain;
  readonly peer: DomainId;
  readonly rings: ConnectedRings;
  /** Where received frames go, and heap bytes on their way out. */
  readonly pool: FramePool;
  readonly fragmentKind: FragmentKind;
  /** Inline bytes of packets with fragments, 14 … 256. */
  readonly prefix: number;
  readonly offer: ReceiveOffer;
  /** Frames from any other source are dropped (`filter-mac`); six bytes. */
  readonly onlySource: Uint8Array | undefined;
  /** Frames to any other destination are dropped: only on a bypass with a peer that is not trusted. Six bytes. */
  readonly onlyTarget?: Uint8Array | undefined;
  /** Which messages may come. Default {@link PLAIN_RING}. */
  readonly rules?: RingRules;
  /** Takes a bypass message the rules allow, whole and private. @returns what ends the connection, or `undefined`. */
  readonly bypassMessage?: (message: Int32Array) => string | undefined;
  /** The ring is a bypass. */
  readonly bypass?: BypassRing;
  /** Unicast packets are marked: they could take a bypass. */
  readonly marksCandidates?: boolean;
  /** Packets of type receiver_copy lie in grants that cover them and nothing else: the peer's table is of version 2. */
  readonly sourceGrantsExactly: boolean;
  readonly emission?: EmissionWatch | undefined;
  /** Frames of at least this many bytes that may be mapped are, when they are looked at; `undefined`: all are copied. */
  readonly mapFrom?: number | undefined;
  readonly frames: HotStream<Frame>;
  readonly writable: HotStream<void>;
  readonly counters: PortCounters<DropReason>;
  /** The peer's credit has arrived: frames can be sent. */
  opened(): void;
  /** The peer broke the protocol, or this end cannot go on. Called once; the link has stopped. */
  fail(code: Errno, message: string): void;
  /** A packet the peer may have mapped was not finished in half a minute. Told once. */
  stuck(): void;
  /** No FINISH for ten seconds while frames wait (`true`), and the first one after that (`false`). */
  stalled(stalled: boolean): void;
}
