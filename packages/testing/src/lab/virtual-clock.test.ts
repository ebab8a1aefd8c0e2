import { asapScheduler, interval, timer } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from './virtual-clock';

describe('VirtualClock', () => {
  it('settles what is due now, across promises, and leaves later things alone', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    clock.schedule(() => {
      log.push('first');
      void Promise.resolve().then(() => clock.schedule(() => log.push('after a promise')));
    });
    clock.schedule(() => log.push('later'), 1);
    await clock.settle();
    expect(log).toEqual(['first', 'after a promise']);
    expect([clock.now(), clock.timers]).toEqual([0, 1]);
  });

  it('stops at each timer on its way', async () => {
    const clock = new VirtualClock();
    const seen: number[] = [];
    const ticks = interval(10, clock).subscribe(() => seen.push(clock.now()));
    timer(25, clock).subscribe(() =>
      asapScheduler.schedule(() => clock.schedule(() => seen.push(clock.now()))),
    );
    await clock.advance(34);
    expect(seen).toEqual([10, 20, 25, 30]);
    expect(clock.now()).toBe(34);
    await clock.advance(6);
    expect(seen.at(-1)).toBe(40);
    ticks.unsubscribe();
    expect(clock.timers).toBe(0);
  });
});
