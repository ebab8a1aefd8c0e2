/**
 * The life of one bypass at the middle, which proposed it, as a table (spec vif2.md §6.2).
 *
 * @packageDocumentation
 */

/**
 * - `front`: BYPASS_FRONTEND was sent, the port is awaited.
 * - `back`: BYPASS_BACKEND was sent; the two ends do not talk yet.
 * - `live`: both ends have announced themselves on the bypass ring.
 * - `disabling`: both ends were asked to drain.
 * - `detaching`: both ends were asked to unmap.
 * - `free`: nothing is left but pages an end still maps.
 */
export const MIDDLE_BYPASS_STATES = ['front', 'back', 'live', 'disabling', 'detaching', 'free'] as const;
export type MiddleBypassState = (typeof MIDDLE_BYPASS_STATES)[number];

/**
 * - `ready`, `refused`: BYPASS_FRONTEND_READY with a port, or with an errno.
 * - `talking`: both ends have written into the bypass ring.
 * - `withdraw`: the policy, the user or a suspend wants the bypass gone, in order.
 * - `disabled`, `detached`: the message of that name from one end, and another end is still owed.
 * - `allDisabled`, `allDetached`: from the last end that was asked and is alive.
 * - `endGone`: one end's parent connection has ended; what is left of the bypass is with the other.
 * - `timeout`: the state's time is over.
 */
export const MIDDLE_BYPASS_EVENTS = [
  'ready',
  'refused',
  'talking',
  'withdraw',
  'disabled',
  'allDisabled',
  'detached',
  'allDetached',
  'endGone',
  'timeout',
] as const;
export type MiddleBypassEvent = (typeof MIDDLE_BYPASS_EVENTS)[number];

/**
 * - `offerBackend`: send BYPASS_BACKEND.
 * - `disable`, `detach`: send that message to the ends that know the bypass.
 * - `blame`: an end found the other corrupt, or cannot work with it: the pair is left alone for a minute.
 * - `release`: revoke the grants; free each page when the last mapping of it ends.
 */
export type MiddleBypassAction = 'offerBackend' | 'disable' | 'detach' | 'blame' | 'release';

export interface MiddleBypassTransition {
  readonly next: MiddleBypassState;
  readonly actions: readonly MiddleBypassAction[];
}
/** What is not listed changes nothing. */
export type MiddleBypassTable = Readonly<
  Record<MiddleBypassState, Partial<Record<MiddleBypassEvent, MiddleBypassTransition>>>
>;

const to = (next: MiddleBypassState, ...actions: MiddleBypassAction[]): MiddleBypassTransition => ({
  next,
  actions,
});
const detach = to('detaching', 'detach');
const blame = to('detaching', 'blame', 'detach');

/** Answers nobody asked for: an end tells that it cannot or will not go on. */
const UNASKED = { disabled: blame, allDisabled: blame, detached: blame, allDetached: blame };

export const MIDDLE_BYPASS_TABLE: MiddleBypassTable = {
  front: {
    ...UNASKED,
    ready: to('back', 'offerBackend'),
    refused: to('free', 'blame', 'release'),
    withdraw: detach,
    endGone: detach,
    timeout: blame,
  },
  back: {
    ...UNASKED,
    talking: to('live'),
    withdraw: to('disabling', 'disable'),
    endGone: detach,
    timeout: blame,
  },
  live: { ...UNASKED, withdraw: to('disabling', 'disable'), endGone: detach },
  disabling: { allDisabled: detach, detached: detach, allDetached: detach, endGone: detach, timeout: detach },
  detaching: { allDetached: to('free', 'release'), timeout: to('free', 'release') },
  free: {},
};

/** Milliseconds a state may last; the others last until an event ends them (spec §6.2, and [D] for `front` and `back`). */
export const MIDDLE_BYPASS_TIMEOUTS: Readonly<Partial<Record<MiddleBypassState, number>>> = {
  front: 5000,
  back: 5000,
  disabling: 1000,
  detaching: 5000,
};
