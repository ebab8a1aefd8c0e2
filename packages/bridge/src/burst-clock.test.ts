import { asyncScheduler, VirtualTimeScheduler } from 'rxjs';
import { afterEach, expect, it, vi } from 'vitest';
import { BurstClock } from './burst-clock';

afterEach(() => {
  vi.restoreAllMocks();
});

it('asks the real clock once for all that happens in one go', async () => {
  const now = vi.spyOn(asyncScheduler, 'now').mockReturnValue(5);
  const clock = new BurstClock(asyncScheduler);
  expect([clock.now(), clock.now(), now.mock.calls.length]).toEqual([5, 5, 1]);
  now.mockReturnValue(6);
  await Promise.resolve();
  expect([clock.now(), now.mock.calls.length]).toEqual([6, 2]);
});

it('asks any other clock each time', () => {
  const scheduler = new VirtualTimeScheduler();
  const clock = new BurstClock(scheduler);
  expect(clock.now()).toBe(0);
  scheduler.frame = 7;
  expect(clock.now()).toBe(7);
});
