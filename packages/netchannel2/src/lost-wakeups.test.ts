import { describe, expect, it } from 'vitest';
import { crossesEvent } from './event-threshold';

/**
 * Every interleaving of one end that moves an index and one that sleeps on it, step by step as the two classes do it. One
 * step is one access to shared memory. `armFirst = false` is the wrong order, which the model must catch.
 */
interface State {
  index: number;
  event: number;
  pendingEvents: number;
  mover: { step: number; moved: number; old: number; left: number };
  sleeper: { step: number; seen: number; asleep: boolean };
}

const MOVES = 3;

function stepMover(state: State): State | undefined {
  const { mover } = state;
  if (mover.step === 0) {
    if (mover.left === 0) return undefined;
    const moved = mover.moved + 8;
    return { ...state, index: moved, mover: { step: 1, moved, old: mover.moved, left: mover.left - 1 } };
  }
  const notify = crossesEvent(mover.old, mover.moved, state.event);
  return { ...state, pendingEvents: notify ? 1 : state.pendingEvents, mover: { ...mover, step: 0 } };
}

function stepSleeper(state: State, armFirst: boolean): State | undefined {
  const { sleeper } = state;
  if (sleeper.asleep) {
    if (state.pendingEvents === 0) return undefined;
    return { ...state, pendingEvents: 0, sleeper: { ...sleeper, asleep: false, step: 0 } };
  }
  switch (sleeper.step) {
    case 0:
      return { ...state, sleeper: { ...sleeper, seen: state.index, step: 1 } };
    case 1:
      if (armFirst) return { ...state, event: sleeper.seen + 1, sleeper: { ...sleeper, step: 2 } };
      return { ...state, sleeper: { ...sleeper, step: state.index === sleeper.seen ? 2 : 0 } };
    default:
      if (armFirst) {
        const sleep = state.index === sleeper.seen;
        return { ...state, sleeper: { ...sleeper, asleep: sleep, step: 0 } };
      }
      return { ...state, event: sleeper.seen + 1, sleeper: { ...sleeper, asleep: true, step: 0 } };
  }
}

function lostWakeups(armFirst: boolean): number {
  const start: State = {
    index: 0,
    event: 1,
    pendingEvents: 0,
    mover: { step: 0, moved: 0, old: 0, left: MOVES },
    sleeper: { step: 0, seen: 0, asleep: true },
  };
  const seen = new Set<string>();
  const queue = [start];
  let lost = 0;
  for (let state = queue.pop(); state !== undefined; state = queue.pop()) {
    const key = JSON.stringify(state);
    if (seen.has(key)) continue;
    seen.add(key);
    const next = [stepMover(state), stepSleeper(state, armFirst)].filter((one) => one !== undefined);
    if (next.length === 0 && state.sleeper.seen !== state.index) lost++;
    queue.push(...next);
  }
  return lost;
}

describe('lost wake-ups', () => {
  it('none in any interleaving of arming and moving', () => {
    expect(lostWakeups(true)).toBe(0);
  });
  it('the model finds them when the threshold is written after the check', () => {
    expect(lostWakeups(false)).toBeGreaterThan(0);
  });
});
