import { asyncScheduler, interval, type SchedulerLike, take, timer, VirtualTimeScheduler } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DomainScheduler } from './domain-scheduler';

/** Time of a machine, moved by the test. */
interface Time {
  readonly scheduler: SchedulerLike;
  /** Moves on to `milliseconds` after the start. */
  until(milliseconds: number): void;
}

function virtualTime(): Time {
  const scheduler = new VirtualTimeScheduler();
  return {
    scheduler,
    until(milliseconds) {
      scheduler.maxFrames = milliseconds;
      scheduler.flush();
      scheduler.frame = milliseconds;
    },
  };
}

function realTimers(): Time {
  const start = Date.now();
  return {
    scheduler: asyncScheduler,
    until: (milliseconds) => vi.advanceTimersByTime(start + milliseconds - Date.now()),
  };
}

describe.each([
  ['virtual time', virtualTime],
  ['timers of the process', realTimers],
])('the scheduler of a domain, on %s', (_, createTime) => {
  let time: Time;
  let scheduler: DomainScheduler;
  let log: unknown[];

  beforeEach(() => {
    vi.useFakeTimers();
    time = createTime();
    scheduler = new DomainScheduler(time.scheduler);
    log = [];
  });
  afterEach(() => {
    scheduler.end();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  it('runs work at its time, with its state, once', () => {
    const start = scheduler.now();
    scheduler.schedule((state?: string) => log.push([state, scheduler.now() - start]), 10, 'state');
    time.until(9);
    expect([log, scheduler.waiting]).toEqual([[], 1]);
    time.until(100);
    expect([log, scheduler.waiting]).toEqual([[['state', 10]], 0]);
  });

  it('runs what is due at one moment in the order it was scheduled', () => {
    for (const name of ['a', 'b', 'c']) scheduler.schedule(() => log.push(name), 5);
    scheduler.schedule(() => log.push('before'), 4);
    time.until(5);
    expect(log).toEqual(['before', 'a', 'b', 'c']);
  });

  it('lets work schedule itself again, with another state and delay', () => {
    const start = scheduler.now();
    scheduler.schedule<number>(
      function (turn = 0) {
        log.push([turn, scheduler.now() - start]);
        if (turn < 3) this.schedule(turn + 1, turn === 1 ? 20 : 10);
      },
      10,
      0,
    );
    time.until(1000);
    expect(log).toEqual([
      [0, 10],
      [1, 20],
      [2, 40],
      [3, 50],
    ]);
    expect(scheduler.waiting).toBe(0);
  });

  it('cancels work that is unsubscribed, also what has repeated itself', () => {
    const once = scheduler.schedule(() => log.push('once'), 10);
    const again = scheduler.schedule(function () {
      log.push('again');
      this.schedule(undefined, 10);
    }, 10);
    once.unsubscribe();
    expect(scheduler.waiting).toBe(1);
    time.until(25);
    again.unsubscribe();
    time.until(1000);
    expect([log, scheduler.waiting]).toEqual([['again', 'again'], 0]);
  });

  it('lets work end itself', () => {
    scheduler.schedule(function () {
      log.push('run');
      this.schedule(undefined, 10);
      this.unsubscribe();
    }, 10);
    time.until(1000);
    expect([log, scheduler.waiting]).toEqual([['run'], 0]);
  });

  it('serves RxJS', () => {
    interval(10, scheduler)
      .pipe(take(3))
      .subscribe((value) => log.push(value));
    timer(15, scheduler).subscribe(() => log.push('timer'));
    time.until(1000);
    expect([log, scheduler.waiting]).toEqual([[0, 'timer', 1, 2], 0]);
  });

  it('drops everything when the domain ends', () => {
    const once = scheduler.schedule(() => log.push('once'), 20);
    interval(10, scheduler).subscribe((value) => log.push(value));
    time.until(15);
    scheduler.end();
    expect([once.closed, scheduler.waiting]).toEqual([true, 0]);
    scheduler.schedule(() => log.push('late'), 0);
    time.until(1000);
    expect(log).toEqual([0]);
  });

  it('drops what the work that ends the domain schedules', () => {
    scheduler.schedule(function () {
      log.push('last');
      scheduler.end();
      this.schedule(undefined, 1);
      scheduler.schedule(() => log.push('late'));
    }, 1);
    scheduler.schedule(() => log.push('same moment'), 1);
    time.until(1000);
    expect(log).toEqual(['last']);
  });

  it('hands on what work throws, and ends that work', () => {
    const failing = scheduler.schedule(function () {
      this.schedule(undefined, 1);
      throw new Error('a driver’s mistake');
    }, 1);
    expect(() => time.until(1)).toThrow('mistake');
    expect([failing.closed, scheduler.waiting]).toEqual([true, 0]);
  });
});
