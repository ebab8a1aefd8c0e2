import { describe, expect, it } from 'vitest';
import {
  MIDDLE_BYPASS_EVENTS,
  MIDDLE_BYPASS_STATES,
  MIDDLE_BYPASS_TABLE,
  MIDDLE_BYPASS_TIMEOUTS,
  type MiddleBypassAction,
  type MiddleBypassEvent,
  type MiddleBypassState,
} from './bypass-transitions';

interface Walk {
  readonly state: MiddleBypassState;
  readonly actions: readonly MiddleBypassAction[];
}

/** Every sequence of events that changes something, up to the end. */
function sequences(): { readonly events: readonly MiddleBypassEvent[]; readonly walk: Walk }[] {
  const found: { events: MiddleBypassEvent[]; walk: Walk }[] = [];
  const follow = (events: MiddleBypassEvent[], walk: Walk) => {
    found.push({ events, walk });
    for (const event of MIDDLE_BYPASS_EVENTS) {
      const transition = MIDDLE_BYPASS_TABLE[walk.state][event];
      if (transition === undefined) continue;
      follow([...events, event], {
        state: transition.next,
        actions: [...walk.actions, ...transition.actions],
      });
    }
  };
  follow([], { state: 'front', actions: [] });
  return found;
}

const ORDER = new Map(MIDDLE_BYPASS_STATES.map((state, index) => [state, index]));

describe('a bypass at the middle', () => {
  const all = sequences();

  it('only ever moves towards its end, through every state', () => {
    for (const state of MIDDLE_BYPASS_STATES) {
      for (const transition of Object.values(MIDDLE_BYPASS_TABLE[state]))
        expect(ORDER.get(transition.next)).toBeGreaterThan(ORDER.get(state) ?? 0);
    }
    expect(new Set(all.map(({ walk }) => walk.state))).toEqual(new Set(MIDDLE_BYPASS_STATES));
  });

  it('is released exactly once, after the ends were asked to let go or had refused to begin', () => {
    for (const { events, walk } of all) {
      const { actions, state } = walk;
      expect(actions.filter((action) => action === 'release')).toHaveLength(state === 'free' ? 1 : 0);
      if (state === 'free') expect(actions.includes('detach')).toBe(events[0] !== 'refused');
      expect(actions.filter((action) => action === 'detach').length).toBeLessThanOrEqual(1);
      expect(actions.filter((action) => action === 'disable').length).toBeLessThanOrEqual(1);
    }
  });

  it('drains before it detaches whenever the ends are well and there is something to drain', () => {
    for (const state of ['back', 'live'] as const)
      expect(MIDDLE_BYPASS_TABLE[state].withdraw).toEqual({ next: 'disabling', actions: ['disable'] });
    expect(MIDDLE_BYPASS_TABLE.front.withdraw).toEqual({ next: 'detaching', actions: ['detach'] });
  });

  it('blames the pair for what an end said unasked, and for nothing that was asked or died', () => {
    for (const state of MIDDLE_BYPASS_STATES) {
      for (const event of MIDDLE_BYPASS_EVENTS) {
        const transition = MIDDLE_BYPASS_TABLE[state][event];
        if (transition === undefined) continue;
        const unasked = ['disabled', 'allDisabled', 'detached', 'allDetached', 'refused', 'timeout'].includes(
          event,
        );
        const early = state === 'front' || state === 'back' || state === 'live';
        expect(transition.actions.includes('blame')).toBe(unasked && early);
      }
    }
  });

  it('waits for an end that stays silent no longer than its time, except while it is live', () => {
    for (const state of MIDDLE_BYPASS_STATES) {
      const timed = MIDDLE_BYPASS_TIMEOUTS[state] !== undefined;
      expect(timed).toBe(state !== 'live' && state !== 'free');
      expect(MIDDLE_BYPASS_TABLE[state].timeout !== undefined).toBe(timed);
    }
  });

  it('survives the death of an end in every state', () => {
    for (const state of ['front', 'back', 'live', 'disabling'] as const)
      expect(MIDDLE_BYPASS_TABLE[state].endGone).toEqual({ next: 'detaching', actions: ['detach'] });
  });
});
