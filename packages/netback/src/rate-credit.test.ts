import { expect, it } from 'vitest';
import { RateCredit } from './rate-credit';

it('vector 35: five packets of 600 bytes at 1000 bytes a second', () => {
  const credit = new RateCredit({ bytes: 1000, microseconds: 1_000_000 }, 0);
  const sent: number[] = [];
  let now = 0;
  while (sent.length < 5) {
    const delay = credit.take(600, now);
    if (delay === 0) sent.push(now);
    now += delay;
  }
  // 1000 at once; 400 + 1000 after a second; 200 + 1000 after two.
  expect(sent).toEqual([0, 1_000_000, 1_000_000, 2_000_000, 2_000_000]);
});

it('saves up at most 131072 bytes, or one window if that is more', () => {
  const credit = new RateCredit({ bytes: 100_000, microseconds: 1000 }, 0);
  expect(credit.take(1, 0)).toBe(0);
  expect(credit.take(150_000, 5000)).toBeGreaterThan(0);
  expect(credit.take(131_072, 5000)).toBe(0);
  expect(credit.take(1, 5000)).toBeGreaterThan(0);
});

it('never answers a delay of 0 for a packet that may not pass', () => {
  const credit = new RateCredit({ bytes: 10, microseconds: 0 }, 0);
  expect(credit.take(60_000, 0)).toBeGreaterThan(0);
});
