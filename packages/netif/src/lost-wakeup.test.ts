/**
 * Model check: every interleaving of one producer and one consumer on a ring of four slots. A step is what each side does
 * between two accesses to shared memory that the other can observe. No run may end with work visible and the consumer
 * asleep without a notification on its way.
 */
import { expect, it } from 'vitest';
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

/** Publishes `DEPTH` requests in groups of `group`, with the notification test as a step of its own. */
class RequestProducer implements Side {
  private readonly ring: FrontRing;
  private made = 0;
  private published = false;

  constructor(
    private readonly world: World,
    private readonly group: number,
  ) {
    this.ring = new FrontRing(world.words, 0, FOUR_SLOTS);
  }

  next(): Step | undefined {
    if (this.published) {
      return () => {
        this.published = false;
        if (this.ring.requestNotificationDue()) this.world.pending = true;
      };
    }
    if (this.made === DEPTH) return undefined;
    return () => {
      this.made += this.group;
      this.ring.requestIndex = (this.ring.requestIndex + this.group) | 0;
      this.ring.publishRequests();
      this.published = true;
    };
  }
}

/** Consumes one request per step; when there is none arms, looks again, and sleeps until the event. */
class RequestConsumer implements Side {
  private readonly ring: BackRing;
  private mode: 'look' | 'consume' | 'arm' | 'recheck' | 'asleep' = 'look';

  constructor(private readonly world: World) {
    this.ring = new BackRing(world.words, 0, FOUR_SLOTS);
  }

  next(): Step | undefined {
    switch (this.mode) {
      case 'asleep':
        if (!this.world.pending) return undefined;
        return () => {
          this.world.pending = false;
          this.mode = 'look';
        };
      case 'look':
        return () => {
          this.mode = this.ring.requests() > 0 ? 'consume' : 'arm';
        };
      case 'consume':
        return () => {
          this.ring.requestIndex = (this.ring.requestIndex + 1) | 0;
          this.world.consumed += 1;
          this.mode = this.ring.unconsumed > 0 ? 'consume' : 'look';
        };
      case 'arm':
        return () => {
          this.ring.armRequests();
          this.mode = 'recheck';
        };
      case 'recheck':
        return () => {
          this.mode = this.ring.requests() > 0 ? 'consume' : 'asleep';
        };
    }
  }
}

/** Everything the future of a run depends on, so that states reached by several interleavings are explored once. */
const stateKey = (world: World, sides: readonly Side[]): string =>
  JSON.stringify([[...world.words.subarray(0, 4)], world.pending, world.consumed, sides], (key, value) =>
    key === 'words' || key === 'world' ? undefined : value,
  );

/** Runs one schedule given as choices; answers the choices possible after it. */
function replay(choices: readonly number[], group: number) {
  const world = new World();
  const sides: Side[] = [new RequestProducer(world, group), new RequestConsumer(world)];
  for (const choice of choices) {
    const steps = sides.map((side) => side.next()).filter((step) => step !== undefined);
    steps[choice]?.();
  }
  const options = sides.filter((side) => side.next() !== undefined).length;
  return { options, consumed: world.consumed, key: stateKey(world, sides) };
}

it.each([1, 2, 4])('requests published in groups of %i are always consumed', (group) => {
  const seen = new Set<string>();
  let ends = 0;
  const explore = (choices: number[]): void => {
    const { options, consumed, key } = replay(choices, group);
    if (seen.has(key)) return;
    seen.add(key);
    if (options === 0) {
      ends += 1;
      expect(consumed, `schedule ${choices.join('')}`).toBe(DEPTH);
      return;
    }
    for (let choice = 0; choice < options; choice++) explore([...choices, choice]);
  };
  explore([]);
  expect(ends).toBeGreaterThan(0);
  expect(seen.size).toBeGreaterThan(20);
});
