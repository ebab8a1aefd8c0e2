import { describe, expect, it } from 'vitest';
import { roundsOf, takeTurns } from './rounds';

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);

describe('roundsOf', () => {
  it('makes twenty rounds of what nc2 compare measures by default', () => {
    expect(roundsOf(400_000, 1514)).toEqual(Array(20).fill(20_000));
  });

  it('makes one round of few frames', () => {
    expect(roundsOf(1, 64)).toEqual([1]);
    expect(roundsOf(500, 4096)).toEqual([500]);
  });

  it('makes shorter rounds of long frames', () => {
    const rounds = roundsOf(400_000, 65_535);
    expect(rounds.length).toBeGreaterThan(200);
    expect(Math.max(...rounds) * 65_535).toBeLessThan(101e6);
  });

  it('loses no frame, and no round is more than one frame longer than another', () => {
    for (const frames of [19_999, 20_001, 39_999, 123_457]) {
      const rounds = roundsOf(frames, 1514);
      expect(sum(rounds)).toBe(frames);
      expect(Math.max(...rounds) - Math.min(...rounds)).toBeLessThanOrEqual(1);
    }
  });
});

describe('takeTurns', () => {
  it('lets each run once in every round, and answers the rounds of each', async () => {
    const ran: string[] = [];
    const named = (name: string) => ({
      run: async (frames: number) => {
        ran.push(`${name}${frames}`);
        return frames;
      },
    });
    expect(await takeTurns([named('a'), named('b')], [3, 2])).toEqual([
      [3, 2],
      [3, 2],
    ]);
    expect(ran).toEqual(['a3', 'b3', 'a2', 'b2']);
  });
});
