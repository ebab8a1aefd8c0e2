import type { Frame } from '@netchannel2/xen';

/** What `finish` of a packet found. */
export const FinishOutcome = {
  done: 0,
  /** The id is not one of an unfinished packet. */
  unknown: 1,
  /** More grants than tolerable are still in use by a peer that says it is done with them. */
  tooManyBusy: 2,
} as const;
export type FinishOutcome = (typeof FinishOutcome)[keyof typeof FinishOutcome];

/**
 * The unfinished packets of this end: their ids, and how the peer reaches their bytes. Two ways exist, exact sub-page
 * grants where the bytes lie, and pages shared whole for the connection's life.
 */
export interface PacketGrants {
  /** Ids that are free now: the credit left. */
  readonly free: number;
  readonly unfinished: number;
  /** Fragments that the bytes of `frame` behind the first `skip` will take. */
  fragmentsOf(frame: Frame, skip: number): number;
  /**
   * Takes an id, makes the bytes behind the first `skip` reachable and writes the fragment descriptors of the message at
   * `(words, at)`.
   *
   * @returns the id, or -1 when ids, references or pages are exhausted: nothing is left behind then.
   */
  grant(frame: Frame, skip: number, words: Int32Array, at: number): number;
  /** The peer is done with packet `id`, any 32 bits it sent. */
  finish(id: number): FinishOutcome;
  /** The connection is over: nothing stays granted, except what a peer still holds, until it lets go. */
  end(): void;
}
