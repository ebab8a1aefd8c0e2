/**
 * The xenbus states and their node (`io/xenbus.h`, spec `xenbus.md` §2).
 *
 * @packageDocumentation
 */

/** What an end writes to its `state` node, as a decimal digit. */
export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const;
export type XenbusState = (typeof XenbusState)[keyof typeof XenbusState];

/**
 * A peer's state as read: a node that is missing (or may not be read) says the peer has gone, one that holds anything
 * but a known state reads as `Unknown`.
 */
export type PeerState = XenbusState | 'gone';

/** All values a peer's state can be read as, for tables and tests. */
export const PEER_STATES: readonly PeerState[] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 'gone'];

const NAMES = Object.keys(XenbusState) as readonly (keyof typeof XenbusState)[];

/** `Connected` for 4; `gone` for a missing node. */
export function xenbusStateName(state: PeerState): string {
  return state === 'gone' ? 'gone' : (NAMES[state] ?? 'Unknown');
}

/** @param text the `state` node's value, `undefined` where it is missing. */
export function parseXenbusState(text: string | undefined): PeerState {
  if (text === undefined) return 'gone';
  return /^[1-8]$/.test(text) ? (Number(text) as XenbusState) : XenbusState.Unknown;
}

/** The node's text: one decimal digit, no newline. */
export function formatXenbusState(state: XenbusState): string {
  return String(state);
}
