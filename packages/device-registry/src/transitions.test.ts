import { describe, expect, it } from 'vitest';
import {
  BACKEND_STEPS,
  BACKEND_WANTED,
  type BackendMode,
  type BackendPhase,
  type BackendTarget,
  backendStep,
} from './backend-transitions';
import { DEVICE_CLASSES } from './device-paths';
import {
  FRONTEND_TRANSITIONS,
  type FrontendEvent,
  type FrontendPhase,
  frontendStep,
} from './frontend-transitions';
import { PEER_STATES, parseXenbusState, XenbusState, xenbusStateName } from './xenbus-state';

const PHASES = Object.keys(BACKEND_STEPS) as BackendPhase[];
const MODES = Object.keys(BACKEND_WANTED.vif) as BackendMode[];
const SHOWN: Readonly<Record<BackendPhase, XenbusState>> = {
  initialising: 1,
  initWait: 2,
  gated: 2,
  connected: 4,
  reconfigured: 8,
  closing: 5,
  closed: 6,
};
/** The legal graph of the specification, with the two states of a live change. */
const LEGAL = new Set(['1>2', '2>4', '4>5', '5>6', '6>2', '1>6', '2>5', '6>5', '4>8', '8>4', '8>5', '2>2']);

const cases = DEVICE_CLASSES.flatMap((type) =>
  MODES.flatMap((mode) =>
    PHASES.flatMap((phase) => PEER_STATES.map((peer) => ({ type, mode, phase, peer }))),
  ),
);

describe('backend: every mode × phase × frontend state', () => {
  it.each(cases)('$type $mode $phase, frontend $peer', ({ type, mode, phase, peer }) => {
    const target: BackendTarget | undefined = BACKEND_WANTED[type][mode][peer];
    let at = phase;
    let held = phase === 'gated' || phase === 'connected' || phase === 'reconfigured';
    for (let steps = 0; ; steps++) {
      const step = backendStep(type, mode, at, peer);
      if (step === undefined) break;
      expect(steps, 'a walk ends').toBeLessThan(6);
      expect(LEGAL, 'a legal step').toContain(`${SHOWN[at]}>${SHOWN[step.to]}`);
      if (step.writes !== undefined) expect(step.writes).toBe(SHOWN[step.to]);
      if (step.action === 'connect') {
        expect(held).toBe(false);
        held = true;
      }
      if (step.action === 'disconnect') held = false;
      if (step.to === 'closing' || step.to === 'closed')
        expect(held, 'let go before it is shown').toBe(false);
      at = step.to;
    }
    if (target === undefined) expect(at).toBe(phase);
    else if (target !== 'reconfigured' && !(target === 'closing' && phase === 'initialising')) {
      expect(at, 'the walk arrives').toBe(target);
    }
  });

  it('connects only as the class publishes', () => {
    expect(BACKEND_WANTED.vif.serving[3]).toBeUndefined();
    expect(BACKEND_WANTED.vif2.serving[3]).toBe('connected');
  });
});

const FRONTEND_PHASES = Object.keys(FRONTEND_TRANSITIONS) as FrontendPhase[];
const EVENTS: readonly FrontendEvent[] = [...PEER_STATES, 'unplug', 'close', 'fail'];
const HOLDS: ReadonlySet<FrontendPhase> = new Set([
  'offered',
  'running',
  'reconfiguring',
  'closing',
  'draining',
]);

describe('frontend: every phase × event', () => {
  it.each(FRONTEND_PHASES.flatMap((phase) => EVENTS.map((event) => ({ phase, event }))))(
    '$phase, $event',
    ({ phase, event }) => {
      const step = frontendStep(phase, event);
      if (event === 0 || event === 1 || event === 3 || event === 7) expect(step).toBeUndefined();
      if (step === 'publish') expect(HOLDS.has(phase)).toBe(false);
      const backendGone = event === 6 || event === 'gone';
      if (backendGone && HOLDS.has(phase)) expect(['end', 'follow', 'release']).toContain(step);
      if (backendGone && !HOLDS.has(phase)) expect(step).toBeUndefined();
      if (step === 'release') expect(backendGone).toBe(true);
      if (step === 'restart') expect(event).toBe(2);
    },
  );
});

describe('xenbus states', () => {
  it.each([
    [undefined, 'gone'],
    ['', 0],
    ['0', 0],
    ['1', 1],
    ['8', 8],
    ['9', 0],
    ['04', 0],
    ['4\n', 0],
    ['abc', 0],
  ] as const)('%s reads as %s', (text, state) => {
    expect(parseXenbusState(text)).toBe(state);
  });

  it('have names', () => {
    expect(xenbusStateName(XenbusState.Connected)).toBe('Connected');
    expect(xenbusStateName('gone')).toBe('gone');
  });
});
