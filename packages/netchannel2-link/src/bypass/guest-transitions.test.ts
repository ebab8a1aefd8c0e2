import { describe, expect, it } from 'vitest';
import {
  type BypassRole,
  GUEST_BYPASS_EVENTS,
  GUEST_BYPASS_STATES,
  GUEST_BYPASS_TABLES,
  type GuestBypassAction,
  type GuestBypassEvent,
  type GuestBypassState,
  initialGuestBypassState,
} from './guest-transitions';

/** What a bypass holds and has said, after any sequence of events. */
interface Books {
  readonly state: GuestBypassState;
  readonly linked: boolean;
  readonly mapped: boolean;
  readonly announced: boolean;
  /** Where packets to the other end go. */
  readonly route: 'parent' | 'held' | 'bypass';
  /** The middle knows that the bypass is out of use. */
  readonly toldOff: boolean;
}

const ROLES: readonly BypassRole[] = ['frontend', 'backend'];
const begin = (role: BypassRole): Books => ({
  state: initialGuestBypassState(role),
  linked: true,
  mapped: true,
  announced: role === 'backend',
  route: 'parent',
  toldOff: false,
});

const perform = (books: Books, action: GuestBypassAction): Books => {
  switch (action) {
    case 'announce':
      expect(books).toMatchObject({ linked: true, announced: false });
      return { ...books, announced: true };
    case 'switch':
      expect(books).toMatchObject({ linked: true, announced: true, route: 'parent' });
      return { ...books, route: 'held' };
    case 'drain':
      expect(books.linked).toBe(true);
      return { ...books, route: 'held' };
    case 'useBypass':
      expect(books).toMatchObject({ linked: true, announced: true, route: 'held' });
      return { ...books, route: 'bypass' };
    case 'useParent':
      return { ...books, route: 'parent' };
    case 'stop':
      expect(books.linked).toBe(true);
      return { ...books, linked: false };
    case 'release':
      expect(books).toMatchObject({ linked: false, mapped: true });
      return { ...books, mapped: false };
    case 'answerDisabled':
      // Said only once that is true, and then true for good.
      expect(books.route).toBe('parent');
      return { ...books, toldOff: true };
    default:
      expect(books.mapped).toBe(false);
      return books;
  }
};

/** Follows every event from every set of books that any sequence of events leads to. */
function walk(role: BypassRole, visit: (from: Books, event: GuestBypassEvent, into: Books) => void): Books[] {
  const seen = new Map<string, Books>();
  const ahead = [begin(role)];
  for (let books = ahead.pop(); books !== undefined; books = ahead.pop()) {
    const key = JSON.stringify(books);
    if (seen.has(key)) continue;
    seen.set(key, books);
    for (const event of GUEST_BYPASS_EVENTS) {
      const transition = GUEST_BYPASS_TABLES[role][books.state]?.[event];
      if (transition === undefined) continue;
      const into = transition.actions.reduce(perform, { ...books, state: transition.next });
      visit(books, event, into);
      ahead.push(into);
    }
  }
  return [...seen.values()];
}

describe.each(ROLES)('a bypass at its %s-like end', (role) => {
  it('holds what its state says, after every sequence of events', () => {
    const reached = walk(role, () => {});
    for (const { state, linked, mapped, route, announced, toldOff } of reached) {
      expect(mapped).toBe(state !== 'gone');
      expect(linked).toBe(state !== 'gone' && state !== 'broken');
      if (['open', 'switching', 'waiting'].includes(state))
        expect([announced, toldOff]).toEqual([true, false]);
      if (state === 'open') expect(route).toBe('bypass');
      else if (state === 'switching' || state === 'draining') expect(route).toBe('held');
      else if (state !== 'gone') expect(route).toBe('parent');
      if (state === 'disabled' || state === 'broken') expect(toldOff).toBe(true);
    }
    const expected = GUEST_BYPASS_STATES.filter((state) => role === 'frontend' || state !== 'unbound');
    expect([...new Set(reached.map(({ state }) => state))].sort()).toEqual([...expected].sort());
  });

  it.each(
    GUEST_BYPASS_STATES.filter((state) => state !== 'gone' && (role === 'frontend' || state !== 'unbound')),
  )('in %s, detach and close let go of everything; only detach is answered', (state) => {
    const row = GUEST_BYPASS_TABLES[role][state];
    expect(row?.detach?.next).toBe('gone');
    expect(row?.detach?.actions.at(-1)).toBe('answerDetached');
    expect(row?.close?.next).toBe('gone');
    expect(row?.close?.actions.some((action) => action.startsWith('answer'))).toBe(false);
  });

  it.each(['unbound', 'waiting', 'switching', 'open', 'draining', 'disabled', 'broken'] as const)(
    'in %s, disable is answered now or when it is true',
    (state) => {
      if (role === 'backend' && state === 'unbound') return;
      const transition = GUEST_BYPASS_TABLES[role][state]?.disable;
      if (state === 'draining') expect(transition).toBeUndefined();
      else if (state === 'disabled' || state === 'broken')
        expect(transition).toEqual({ next: state, actions: ['answerDisabled'] });
      else expect(transition).toEqual({ next: 'draining', actions: ['drain'] });
    },
  );

  it('a corrupt ring is never used again, and the middle is told once', () => {
    walk(role, (from, event, into) => {
      if (event !== 'corrupt') return;
      expect(into.state).toBe('broken');
      const transition = GUEST_BYPASS_TABLES[role][from.state]?.corrupt;
      expect(transition?.actions.includes('answerDisabled')).toBe(!from.toldOff);
    });
  });

  it('nothing moves a bypass that has gone', () => {
    expect(GUEST_BYPASS_TABLES[role].gone).toBeUndefined();
  });
});
