/**
 * The backend's state machine as data (spec `xenbus.md` §4): the frontend's state says which state is wanted, and the
 * backend walks there through the legal graph, writing each state it passes.
 *
 * @packageDocumentation
 */
import type { DeviceClass } from './driver';
import { type PeerState, XenbusState } from './xenbus-state';

/**
 * Where a backend stands. `gated` is InitWait to the outside with the data path up: only the hotplug script is missing.
 */
export type BackendPhase =
  | 'initialising'
  | 'initWait'
  | 'gated'
  | 'connected'
  | 'reconfigured'
  | 'closing'
  | 'closed';

export type BackendTarget = 'initWait' | 'connected' | 'reconfigured' | 'closing' | 'closed';

/**
 * What the backend is about, beside what the frontend wants:
 *
 * - `serving`: as the frontend wishes.
 * - `inviting`: offers InitWait to a frontend that is still Closed from an earlier connection.
 * - `resetting`: found a connection it did not make; takes it down before it serves.
 * - `failed`: gave up with an error; waits for the frontend to close, and for its fresh start.
 * - `offline`: the toolstack has unplugged; the frontend closes, or is not there.
 * - `unplugging`: unplugged by `shutdown-request`, or the driver is leaving: this end closes first.
 * - `forced`: closes without waiting for anybody.
 */
export type BackendMode =
  | 'serving'
  | 'inviting'
  | 'resetting'
  | 'failed'
  | 'offline'
  | 'unplugging'
  | 'forced';

export interface BackendStep {
  readonly to: BackendPhase;
  /** The state to write; `gated` shows nothing new. */
  readonly writes?: XenbusState;
  readonly action?: 'features' | 'connect' | 'disconnect' | 'reconfigure';
}

const initWait: BackendStep = { to: 'initWait', writes: XenbusState.InitWait, action: 'features' };
const gated: BackendStep = { to: 'gated', action: 'connect' };
const connected: BackendStep = { to: 'connected', writes: XenbusState.Connected };
const reconfigured: BackendStep = {
  to: 'reconfigured',
  writes: XenbusState.Reconfigured,
  action: 'reconfigure',
};
const closing: BackendStep = { to: 'closing', writes: XenbusState.Closing };
const disconnected: BackendStep = { to: 'closing', writes: XenbusState.Closing, action: 'disconnect' };
const closed: BackendStep = { to: 'closed', writes: XenbusState.Closed };

type Steps = Readonly<Partial<Record<BackendTarget, BackendStep>>>;

/** The next step from a phase towards a target; absent means: there, or no way. */
export const BACKEND_STEPS: Readonly<Record<BackendPhase, Steps>> = {
  initialising: { initWait, connected: initWait, closing: closed, closed },
  initWait: { connected: gated, closing, closed: closing },
  gated: { initWait: disconnected, connected, closing: disconnected, closed: disconnected },
  connected: { initWait: disconnected, reconfigured, closing: disconnected, closed: disconnected },
  reconfigured: { initWait: disconnected, connected, closing: disconnected, closed: disconnected },
  closing: { initWait: closed, connected: closed, closed },
  closed: { initWait, connected: initWait, closing },
};

type Wanted = Readonly<Partial<Record<PeerState, BackendTarget>>>;

const serving: Wanted = {
  1: 'initWait',
  4: 'connected',
  5: 'closing',
  6: 'closed',
  7: 'reconfigured',
  gone: 'closed',
};
const inviting: Wanted = {
  1: 'initWait',
  2: 'initWait',
  4: 'connected',
  5: 'closing',
  6: 'initWait',
  gone: 'closed',
};
const resetting: Wanted = {
  0: 'closing',
  1: 'closed',
  2: 'closed',
  3: 'closing',
  4: 'closing',
  5: 'closing',
  6: 'closed',
  7: 'closing',
  8: 'closing',
  gone: 'closed',
};
const offline: Wanted = { 1: 'closed', 2: 'closed', 3: 'closed', 5: 'closing', 6: 'closed', gone: 'closed' };
const forced: Wanted = {
  0: 'closed',
  1: 'closed',
  2: 'closed',
  3: 'closed',
  4: 'closed',
  5: 'closed',
  6: 'closed',
  7: 'closed',
  8: 'closed',
  gone: 'closed',
};

/** The state wanted for each state of the frontend; absent means unchanged. */
export const BACKEND_WANTED: Readonly<Record<DeviceClass, Readonly<Record<BackendMode, Wanted>>>> = {
  vif: { serving, inviting, resetting, failed: resetting, offline, unplugging: resetting, forced },
  vif2: {
    serving: { ...serving, 3: 'connected' },
    inviting: { ...inviting, 3: 'connected' },
    resetting,
    failed: resetting,
    offline: { 1: 'closed', 2: 'closed', 5: 'closing', 6: 'closed', gone: 'closed' },
    unplugging: resetting,
    forced,
  },
};

/** The next step, or `undefined` when nothing is to be done. */
export function backendStep(
  deviceClass: DeviceClass,
  mode: BackendMode,
  phase: BackendPhase,
  peer: PeerState,
): BackendStep | undefined {
  const wanted = BACKEND_WANTED[deviceClass][mode][peer];
  return wanted === undefined ? undefined : BACKEND_STEPS[phase][wanted];
}
