import type { UringProducer } from '@netchannel2/netchannel2';
import type { DomainId, Frame, GrantedFrame, GrantRef, LeasedPage } from '@netchannel2/xen';
import type { LinkBlock } from './link-block';
import type { NotedPieces, PieceShape, SentCounters } from './noted-pieces';
import type { ParkedPackets } from './parked-packets';

/** Milliseconds after which a packet that waits in a third domain's grants is given up (spec §4.4). */
export const FORWARD_DEADLINE = 1000;
/** Milliseconds after which a packet in copy-only grants is given up (spec §4.3). */
export const COPY_DEADLINE = 2000;
/** Milliseconds after which a packet the peer may have mapped counts as stuck: it cannot be given up (spec §4.3). */
export const MAP_DEADLINE = 30_000;

/** What `finish` of a packet found. */
export const FinishOutcome = {
  done: 0,
  /** The id is not one of an unfinished packet. */
  unknown: 1,
  /** More grants than tolerable are still in use by a peer that says it is done with them. */
  tooManyBusy: 2,
} as const;
export type FinishOutcome = (typeof FinishOutcome)[keyof typeof FinishOutcome];

/** Exact grants of packets in one piece of one page. */
export interface ExactGrants {
  /** Packets on `producer` that a kernel writes in runs; `undefined` where none does. Asked for once. */
  notePieces(producer: UringProducer, counters: SentCounters, shape: PieceShape): NotedPieces | undefined;
  /** Grants bytes `[offset, offset + length)` of `page`. @returns as `PacketGrants.grant`. */
  grantPage(page: LeasedPage, offset: number, length: number): number;
  /** The reference of a packet's first fragment. */
  firstRef(id: number): GrantRef;
  /**
   * Sets ids and references aside for packets of `owner` that are handed on, each in up to `parts` grants.
   *
   * @returns how many, at most `most`.
   */
  openRun(block: LinkBlock, owner: DomainId, most: number, parts: number): number;
  /** Address of the block whose models a kernel grants them by, and of the first publication. */
  readonly runBlock: number;
  readonly runList: number;
  /** Begins a run of FINISHes that a kernel takes. @returns `false`: no kernel can do it. */
  openFinishes(): boolean;
  /** Where the kernel puts their grants. */
  readonly finishesAt: number;
  /** The kernel took the FINISHes of `count` packets: as {@link PacketGrants.finish} and {@link PacketGrants.settle} for them. */
  closeFinishes(count: number): FinishOutcome;
  /** The first `pieces` of them were handed on and are held, the others not. */
  closeRun(block: LinkBlock, parked: ParkedPackets, owner: DomainId, pieces: number): void;
}

/**
 * The unfinished packets of this end: their ids, and how the peer reaches their bytes. Two ways exist, exact sub-page
 * grants where the bytes lie, and pages shared whole for the connection's life.
 */
export interface PacketGrants {
  /** Ids that are free now: the credit left. */
  readonly free: number;
  readonly unfinished: number;
  /** All ids there are. */
  readonly capacity: number;
  /** Fragments that the bytes of `frame` behind the first `skip` will take. */
  fragmentsOf(frame: Frame, skip: number): number;
  /**
   * Takes an id, makes the bytes behind the first `skip` reachable and writes the fragment descriptors of the message at
   * `(words, at)`.
   *
   * @returns the id, or -1 when ids, references or pages are exhausted: nothing is left behind then.
   */
  grant(frame: Frame, skip: number, words: Int32Array, at: number): number;
  /** The short way for packets in one piece, `undefined` where there is none. */
  readonly exact: ExactGrants | undefined;
  /** Makes what was granted reachable: before the peer is shown any of it. */
  publish(): void;
  /** Whether a packet of a third domain may be granted on now. */
  acceptsGranted(frame: GrantedFrame): boolean;
  /** As {@link grant}, for a packet that stays in its sender's grants and is held until FINISH. */
  grantOn(frame: GrantedFrame, words: Int32Array, at: number): number;
  /**
   * The peer is done with packet `id`, any 32 bits it sent. What that frees may be free only after {@link settle}.
   *
   * @param obtained whether the peer says that it got the bytes.
   */
  finish(id: number, obtained: boolean): FinishOutcome;
  /** Ends a run of {@link finish}. */
  settle(): FinishOutcome;
  /**
   * Gives up packets that are overdue; called four times a second while any is unfinished.
   *
   * @returns whether one is stuck that cannot be given up.
   */
  sweep(): boolean;
  /** The connection is over: nothing stays granted, except what a peer still holds, until it lets go. */
  end(): void;
}
