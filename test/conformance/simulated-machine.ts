import { Machine } from '@netchannel2/hypervisor';
import { VirtualClock } from '@netchannel2/testing';

/** Longer than any interval in which something is tried again. */
export const RETRY_TIME = 2_000;

/** A machine on virtual time. */
export interface QuietMachine {
  readonly machine: Machine;
  readonly clock: VirtualClock;
  /** Everything still held between domains, and every timer still set, in words. */
  leaks(): string[];
}

export function bootQuietMachine(memoryMegabytes: number): QuietMachine {
  const clock = new VirtualClock();
  const machine = Machine.boot({
    memoryBytes: memoryMegabytes * 1024 * 1024,
    scheduler: clock,
    now: () => clock.now(),
  });
  return {
    machine,
    clock,
    leaks() {
      const leaks = machine.leaks().map((leak) => leak.message);
      if (clock.timers > 0) leaks.push(`${clock.timers} timers still set`);
      return leaks;
    },
  };
}
