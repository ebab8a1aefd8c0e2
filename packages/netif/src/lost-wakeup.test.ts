/**
 * Model check: every interleaving of one producer and one consumer on a ring of four slots, for both thresholds: requests
 * (`req_event`), responses (`rsp_event`), and the receiver that waits for several requests at once. A step is what each
 * side does between two accesses to shared memory that the other can observe. No run may end with work visible and the
 * consumer asleep without a notification on its way.
 */
import { describe, expect, it } from 'vitest';
import { BackRing, FrontRing, initialiseRing, type RingGeometry } from './index';

const FOUR_SLOTS: RingGeometry = { slotWords: 3, slotCount: 4 };
const DEPTH = 4;

type Step = () => void;

interface Side {
  /** The next step, `undefined` when this side is done or asleep. */
  next(): Step | undefined;
}

class World {
  readonly words = new Int32Array(new SharedArrayBuffer(4096));
  pending = false;
  consumed = 0;

  constructor() {
    initialiseRing(this.words, 0);
  }
}

/** One direction of a ring: what its two ends do. */
interface Direction {
  produce(count: number): void;
  publish(): void;
  notificationDue(): boolean;
  /** How many the consumer sees now. */
  look(): number;
  take(count: number): void;
  /** Asks for an event while fewer than `wanted` are there. */
  arm(wanted: number): void;
}

const requests = (words: Int32Array): Direction => {
  const front = new FrontRing(words, 0, FOUR_SLOTS);
  const back = new BackRing(words, 0, FOUR_SLOTS);
  return {
    produce: (count) => {
      front.requestIndex = (front.requestIndex + count) | 0;
    },
    publish: () => front.publishRequests(),
    notificationDue: () => front.requestNotificationDue(),
    look: () => back.requests(),
    take: (count) => {
      back.requestIndex = (back.requestIndex + count) | 0;
    },
    arm: (wanted) => (wanted === 1 ? back.armRequests() : back.armNextRequest()),
  };
};

const responses = (words: Int32Array): Direction => {
  const front = new FrontRing(words, 0, FOUR_SLOTS);
  const back = new BackRing(words, 0, FOUR_SLOTS);
  // All requests were made and taken before the run begins.
  front.requestIndex = DEPTH;
  front.pushRequests();
  back.requests();
  back.requestIndex = DEPTH;
  return {
    produce: (count) => {
      back.responseIndex = (back.responseIndex + count) | 0;
    },
    publish: () => back.publishResponses(),
    notificationDue: () => back.responseNotificationDue(),
    look: () => front.responses(),
    take: (count) => {
      front.responseIndex = (front.responseIndex + count) | 0;
    },
    arm: () => front.armResponses(),
  };
};

/** Publishes `DEPTH` entries in groups, with the notification test as a step of its own. */
class Producer implements Side {
  private made = 0;
  private published = false;

  constructor(
    private readonly world: World,
    private readonly direction: Direction,
    private readonly group: number,
  ) {}

  next(): Step | undefined {
    const { direction, world } = this;
    if (this.published) {
      return () => {
        this.published = false;
        if (direction.notificationDue()) world.pending = true;
      };
    }
    if (this.made === DEPTH) return undefined;
    return () => {
      this.made += this.group;
      direction.produce(this.group);
      direction.publish();
      this.published = true;
    };
  }
}

/** Consumes `wanted` entries per step; when they are not there arms, looks again, and sleeps until the event. */
class Consumer implements Side {
  private mode: 'look' | 'consume' | 'arm' | 'recheck' | 'asleep' = 'look';
  private seen = 0;

  constructor(
    private readonly world: World,
    private readonly direction: Direction,
    private readonly wanted: number,
  ) {}

  next(): Step | undefined {
    const { direction, world, wanted } = this;
    switch (this.mode) {
      case 'asleep':
        if (!world.pending) return undefined;
        return () => {
          world.pending = false;
          this.mode = 'look';
        };
      case 'look':
        return () => {
          this.seen = direction.look();
          this.mode = this.seen >= wanted ? 'consume' : 'arm';
        };
      case 'consume':
        return () => {
          direction.take(wanted);
          world.consumed += wanted;
          this.mode = 'look';
        };
      case 'arm':
        return () => {
          direction.arm(wanted);
          this.mode = 'recheck';
        };
      case 'recheck':
        // Not enough, but more than when it armed: the event asked for may have gone by.
        return () => {
          const before = this.seen;
          this.seen = direction.look();
          if (this.seen >= wanted) this.mode = 'consume';
          else this.mode = this.seen === before ? 'asleep' : 'arm';
        };
    }
  }
}

/** Everything the future of a run depends on, so that states reached by several interleavings are explored once. */
const stateKey = (world: World, sides: readonly Side[]): string =>
  JSON.stringify([[...world.words.subarray(0, 4)], world.pending, world.consumed, sides], (key, value) =>
    key === 'words' || key === 'world' || key === 'direction' ? undefined : value,
  );

interface Setting {
  readonly direction: (words: Int32Array) => Direction;
  readonly group: number;
  readonly wanted: number;
}

/** Runs one schedule given as choices; answers the choices possible after it. */
function replay(choices: readonly number[], { direction, group, wanted }: Setting) {
  const world = new World();
  const ends = direction(world.words);
  const sides: Side[] = [new Producer(world, ends, group), new Consumer(world, ends, wanted)];
  for (const choice of choices) {
    const steps = sides.map((side) => side.next()).filter((step) => step !== undefined);
    steps[choice]?.();
  }
  const options = sides.filter((side) => side.next() !== undefined).length;
  return { options, consumed: world.consumed, key: stateKey(world, sides) };
}

function checkAll(setting: Setting): number {
  const seen = new Set<string>();
  let ends = 0;
  const explore = (choices: number[]): void => {
    const { options, consumed, key } = replay(choices, setting);
    if (seen.has(key)) return;
    seen.add(key);
    if (options === 0) {
      ends += 1;
      expect(consumed, `schedule ${choices.join('')}`).toBe(DEPTH);
      return;
    }
    for (let choice = 0; choice < options; choice += 1) explore([...choices, choice]);
  };
  explore([]);
  expect(ends).toBeGreaterThan(0);
  return seen.size;
}

describe('no wake-up is lost', () => {
  it.each([1, 2, 4])('requests published in groups of %i', (group) => {
    expect(checkAll({ direction: requests, group, wanted: 1 })).toBeGreaterThan(20);
  });

  it.each([1, 2, 4])('responses published in groups of %i', (group) => {
    expect(checkAll({ direction: responses, group, wanted: 1 })).toBeGreaterThan(20);
  });

  it.each([
    [1, 2],
    [1, 4],
    [2, 2],
    [2, 4],
    [4, 2],
  ])('requests published in groups of %i to a receiver that waits for %i', (group, wanted) => {
    expect(checkAll({ direction: requests, group, wanted })).toBeGreaterThan(8);
  });

  it('a consumer that arms without looking again does sleep through work: the check is able to fail', () => {
    const hasty = (words: Int32Array): Direction => {
      const ends = requests(words);
      let armed = false;
      return {
        ...ends,
        arm: (wanted) => {
          ends.arm(wanted);
          armed = true;
        },
        look: () => {
          const found = ends.look();
          const blind = armed;
          armed = false;
          return blind ? 0 : found;
        },
      };
    };
    expect(() => checkAll({ direction: hasty, group: 1, wanted: 1 })).toThrow();
  });
});
