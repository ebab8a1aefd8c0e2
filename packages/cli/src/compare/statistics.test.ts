import { describe, expect, it } from 'vitest';
import { median, medianRatio } from './statistics';

describe('median', () => {
  it('is the one in the middle, whatever the order, and is not moved by what is far out', () => {
    expect(median([7, 1, 1000])).toBe(7);
    expect(median([5])).toBe(5);
  });

  it('lies between the two in the middle of an even number', () => {
    expect(median([4, 1, 2, 100])).toBe(3);
  });

  it('is 0 of none, and leaves the list as it is', () => {
    expect(median([])).toBe(0);
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });
});

describe('medianRatio', () => {
  it('is not moved by a pace that both sides of a pair share', () => {
    const pace = [1, 1.7, 1, 1.7, 1.7];
    const slow = pace.map((factor) => factor * 200);
    const fast = pace.map((factor) => factor * 50);
    expect(medianRatio(fast, slow)).toBeCloseTo(0.25);
  });

  it('leaves out pairs that divide by nothing, and says so when there are no others', () => {
    expect(medianRatio([1, 2, 3], [0, 4, 4])).toBe(0.625);
    expect(medianRatio([1], [0])).toBeUndefined();
    expect(medianRatio([], [])).toBeUndefined();
  });
});
