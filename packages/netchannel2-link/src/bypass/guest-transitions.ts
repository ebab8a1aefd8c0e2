/**
 * The life of one bypass at a guest, as tables (spec vif2.md §6.2). Both roles share the rows; the frontend-like end has one
 * state more, since nobody is at the other end of its port before the first event.
 *
 * @packageDocumentation
 */

/** The end that was sent BYPASS_FRONTEND, or the one that was sent BYPASS_BACKEND. */
export type BypassRole = 'frontend' | 'backend';

/**
 * - `unbound`: mapped; no event from the other end yet (frontend-like end only).
 * - `waiting`: BYPASS_READY was sent, the other end's has not come.
 * - `switching`: the other end is ready; what went over the parent ring is still under way.
 * - `open`: packets to the other end take the bypass.
 * - `draining`: no new packets; the last ones are waited for.
 * - `disabled`: not used for sending any more; the other end is still answered.
 * - `broken`: not used at all; the mapping stays until the middle detaches it.
 * - `gone`: nothing is left.
 */
export const GUEST_BYPASS_STATES = [
  'unbound',
  'waiting',
  'switching',
  'open',
  'draining',
  'disabled',
  'broken',
  'gone',
] as const;
export type GuestBypassState = (typeof GUEST_BYPASS_STATES)[number];

/**
 * - `firstEvent`: the port was notified for the first time: the other end has bound it.
 * - `peerReady`: BYPASS_READY arrived.
 * - `switched`, `switchTimeout`: the parent ring carries nothing to the other end any more, or still does after a second.
 * - `disable`, `detach`: messages of the middle.
 * - `drained`, `drainTimeout`: the other end has taken and finished everything, or has not after a second.
 * - `corrupt`: the other end broke the protocol of the bypass ring.
 * - `close`: the parent connection ends.
 */
export const GUEST_BYPASS_EVENTS = [
  'firstEvent',
  'peerReady',
  'switched',
  'switchTimeout',
  'disable',
  'drained',
  'drainTimeout',
  'corrupt',
  'detach',
  'close',
] as const;
export type GuestBypassEvent = (typeof GUEST_BYPASS_EVENTS)[number];

/**
 * - `announce`: send the start-up burst and BYPASS_READY.
 * - `switch`: hold packets back until the parent ring carries none.
 * - `useBypass`, `useParent`: from now on packets to the other end go there, and whoever was held back is told.
 * - `drain`: hold packets back until the bypass carries none.
 * - `stop`: stop the link, end its grants, count what is lost.
 * - `release`: unmap the rings and close the port.
 * - `answerDisabled`, `answerDetached`: messages to the middle.
 */
export type GuestBypassAction =
  | 'announce'
  | 'switch'
  | 'useBypass'
  | 'useParent'
  | 'drain'
  | 'stop'
  | 'release'
  | 'answerDisabled'
  | 'answerDetached';

export interface GuestBypassTransition {
  readonly next: GuestBypassState;
  readonly actions: readonly GuestBypassAction[];
}
type Row = Partial<Record<GuestBypassEvent, GuestBypassTransition>>;
/** What is not listed changes nothing: a timer or an event that lost a race. */
export type GuestBypassTable = Readonly<Partial<Record<GuestBypassState, Row>>>;

const to = (next: GuestBypassState, ...actions: GuestBypassAction[]): GuestBypassTransition => ({
  next,
  actions,
});

/** Whatever a bypass does, it can be taken away: by the middle, or with the parent connection. */
const ENDS: Row = {
  detach: to('gone', 'stop', 'release', 'useParent', 'answerDetached'),
  close: to('gone', 'stop', 'release'),
};
/** Found corrupt before the middle was told that it is out of use: it is told now, unasked. */
const BREAKS: Row = { corrupt: to('broken', 'stop', 'useParent', 'answerDisabled') };

const UNBOUND: Row = {
  ...ENDS,
  ...BREAKS,
  firstEvent: to('waiting', 'announce'),
  disable: to('draining', 'drain'),
};

const BACKEND: GuestBypassTable = {
  waiting: { ...ENDS, ...BREAKS, peerReady: to('switching', 'switch'), disable: to('draining', 'drain') },
  switching: {
    ...ENDS,
    ...BREAKS,
    switched: to('open', 'useBypass'),
    switchTimeout: to('disabled', 'useParent', 'answerDisabled'),
    disable: to('draining', 'drain'),
  },
  open: { ...ENDS, ...BREAKS, disable: to('draining', 'drain') },
  // A second BYPASS_DISABLE is answered together with the first, once that is true.
  draining: {
    ...ENDS,
    ...BREAKS,
    drained: to('disabled', 'useParent', 'answerDisabled'),
    drainTimeout: to('disabled', 'useParent', 'answerDisabled'),
  },
  disabled: { ...ENDS, disable: to('disabled', 'answerDisabled'), corrupt: to('broken', 'stop') },
  broken: {
    detach: to('gone', 'release', 'answerDetached'),
    close: to('gone', 'release'),
    disable: to('broken', 'answerDisabled'),
  },
};

/** The tables of both roles. The backend-like end begins in `waiting`, having announced itself when it bound the port. */
export const GUEST_BYPASS_TABLES: Readonly<Record<BypassRole, GuestBypassTable>> = {
  frontend: { unbound: UNBOUND, ...BACKEND },
  backend: BACKEND,
};

export function initialGuestBypassState(role: BypassRole): GuestBypassState {
  return role === 'frontend' ? 'unbound' : 'waiting';
}
