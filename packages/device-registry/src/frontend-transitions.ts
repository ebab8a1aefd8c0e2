/**
 * The frontend's state machine as data (spec `xenbus.md` §3).
 *
 * @packageDocumentation
 */
import type { DeviceClass } from './driver';
import { type PeerState, XenbusState } from './xenbus-state';

/**
 * Where a frontend stands. Several phases show the same xenbus state: what the frontend still holds decides what the
 * same event means.
 *
 * - `waiting` (1): nothing published.
 * - `offered` (vif 4, vif2 3): published, the backend has not been seen Connected since.
 * - `running` (4): both Connected.
 * - `reconfiguring` (7): a live change waits for the backend's 8.
 * - `closing` (5): closed from this end, waits for the backend to follow.
 * - `draining` (6): stopped; rings and grants are kept until the backend has let go.
 * - `closed` (6): nothing held.
 */
export type FrontendPhase =
  | 'waiting'
  | 'offered'
  | 'running'
  | 'reconfiguring'
  | 'closing'
  | 'draining'
  | 'closed';

/**
 * The backend's state as read, and what else moves a frontend: `unplug`, the backend is Closing and the toolstack
 * will not have it back (`online` = 0); `close`, this end's user closes; `fail`, this end's driver gave up.
 */
export type FrontendEvent = PeerState | 'unplug' | 'close' | 'fail';

/**
 * What to do, in order:
 *
 * - `publish`: `prepare()`, write its nodes with the published state; `offered`.
 * - `run`: write 4 unless written, `connected()`; `running`.
 * - `reconfigured`: write 4; `running`.
 * - `stop`: no new work, write 6; `draining`.
 * - `end`: `disconnect()`, write 6; `closed`.
 * - `leave`: no new work, write 5; `closing`.
 * - `follow`: write 6; `draining`.
 * - `release`: `disconnect()`; `closed`.
 * - `restart`: `disconnect()`, write 1; `waiting`.
 */
export type FrontendStep =
  | 'publish'
  | 'run'
  | 'reconfigured'
  | 'stop'
  | 'end'
  | 'leave'
  | 'follow'
  | 'release'
  | 'restart';

/** The state in which a class publishes its nodes; Linux's netback knows nothing of 3. */
export const PUBLISHED_STATE: Readonly<Record<DeviceClass, XenbusState>> = {
  vif: XenbusState.Connected,
  vif2: XenbusState.Initialised,
};

type Row = Readonly<Partial<Record<FrontendEvent, FrontendStep>>>;

/** Absent means: nothing to do. */
export const FRONTEND_TRANSITIONS: Readonly<Record<FrontendPhase, Row>> = {
  // A backend on its way from an earlier connection passes 5 and 6 while we wait; only an unplug ends the wait.
  waiting: { 2: 'publish', unplug: 'end', close: 'end', fail: 'leave' },
  offered: { 4: 'run', 5: 'stop', unplug: 'stop', 6: 'end', gone: 'end', close: 'leave', fail: 'leave' },
  // InitWait after Connected: the backend restarted and its 5 and 6 were missed.
  running: { 2: 'restart', 5: 'stop', unplug: 'stop', 6: 'end', gone: 'end', close: 'leave', fail: 'leave' },
  reconfiguring: {
    2: 'restart',
    5: 'stop',
    unplug: 'stop',
    6: 'end',
    8: 'reconfigured',
    gone: 'end',
    close: 'leave',
    fail: 'leave',
  },
  closing: { 5: 'follow', unplug: 'follow', 6: 'follow', gone: 'follow' },
  draining: { 2: 'restart', 6: 'release', gone: 'release' },
  closed: { 2: 'restart' },
};

/** The step for an event, or `undefined` when there is nothing to do. */
export function frontendStep(phase: FrontendPhase, event: FrontendEvent): FrontendStep | undefined {
  return FRONTEND_TRANSITIONS[phase][event];
}
