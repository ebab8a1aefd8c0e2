import { VirtualTimeScheduler } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { RunLoop, type Runnable } from './run-loop';

function counting(turns: number, log: string[], name: string): Runnable & { left: number } {
  return {
    queued: false,
    left: turns,
    runTurn() {
      log.push(name);
      this.left--;
      return this.left > 0;
    },
  };
}

describe('run loop', () => {
  it('is idle from the start', async () => {
    await new RunLoop(undefined).idle();
  });

  it('lets runnables take turns until none has work', async () => {
    const loop = new RunLoop(undefined);
    const log: string[] = [];
    loop.enqueue(counting(3, log, 'a'));
    loop.enqueue(counting(2, log, 'b'));
    expect(log).toEqual([]);
    await loop.idle();
    expect(log).toEqual(['a', 'b', 'a', 'b', 'a']);
  });

  it('queues a runnable once', async () => {
    const loop = new RunLoop(undefined);
    const log: string[] = [];
    const runnable = counting(1, log, 'a');
    loop.enqueue(runnable);
    loop.enqueue(runnable);
    await loop.idle();
    expect(log).toEqual(['a']);
  });

  it('runs on an injected scheduler only when that runs', async () => {
    const scheduler = new VirtualTimeScheduler();
    const loop = new RunLoop(scheduler);
    const log: string[] = [];
    loop.enqueue(counting(2, log, 'a'));
    await Promise.resolve();
    expect(log).toEqual([]);
    scheduler.flush();
    expect(log).toEqual(['a', 'a']);
    expect(loop.isIdle).toBe(true);
  });

  it('lets timers run while work never ends', async () => {
    const loop = new RunLoop(undefined);
    const busy: Runnable = { queued: false, runTurn: () => true };
    loop.enqueue(busy);
    await new Promise((resolve) => setTimeout(resolve, 1));
    expect(loop.isIdle).toBe(false);
    loop.stop();
    await loop.idle();
  });

  it('lets timers run while promises keep kicking', async () => {
    const loop = new RunLoop(undefined);
    let stopped = false;
    const bouncing: Runnable = {
      queued: false,
      runTurn() {
        if (!stopped) void Promise.resolve().then(() => loop.enqueue(bouncing));
        return false;
      },
    };
    loop.enqueue(bouncing);
    await new Promise((resolve) => setTimeout(resolve, 1));
    stopped = true;
    await loop.idle();
  });

  it('drops its queue when stopped', async () => {
    const loop = new RunLoop(undefined);
    const log: string[] = [];
    loop.enqueue(counting(1, log, 'a'));
    loop.stop();
    await loop.idle();
    expect(log).toEqual([]);
  });
});
