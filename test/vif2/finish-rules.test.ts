/**
 * FINISHes are taken one by one, or in runs by a kernel. Both against a set of ids, with a peer that finishes what it got in any
 * order, amid FINISHes of nothing, twice the same, longer messages, and other messages: the same are taken and fatal.
 */
import { netback2Driver } from '@netchannel2/netback2';
import { rawVif2FrontendDriver, SeededRandom, WiredDevice } from '@netchannel2/testing';
import { describe, expect, it } from 'vitest';
import { BURST, RawWriter } from './raw-writer';
import { vif2Pair } from './vif2-pair';

const BATCHES = 300;
const PACKET = 2;
const FRAME = Uint8Array.from({ length: 400 }, (_, index) => (index === 0 ? 2 : index));

class Finishes {
  /** Ids of packets that are unfinished. */
  readonly open = new Set<number>();
  /** A FINISH of nothing was among those made last. */
  fatal = false;

  constructor(private readonly random: SeededRandom) {}

  /** Messages of one batch; behind one that is fatal, nothing counts. */
  batch(): number[] {
    const { random } = this;
    this.fatal = false;
    return Array.from({ length: random.integer(1, 12) }, () => this.message()).flat();
  }

  private message(): number[] {
    const { random, open } = this;
    if (random.integer(0, 12) === 0) return [0x00080005, random.integer(1, 18)];
    const known = [...open];
    const odd = random.integer(0, 60) === 0 || known.length === 0;
    const id = odd ? random.pick([0, 63, 64, 255, 256, 4096, -1, 1 << 31]) : random.pick(known);
    if (!open.delete(id)) this.fatal = true;
    const flags = random.pick([0, 0, 0, 1, 2, 0xff]);
    // What is behind the id is none of a FINISH's.
    return random.integer(0, 8) === 0
      ? [0x00100003 | (flags << 8), id, random.uint32() | 0, 0]
      : [0x00080003 | (flags << 8), id];
  }
}

describe.each([true, false])('FINISHes, by kernels: %s', (kernels) => {
  it.each([1, 2, 3])('are taken for what they are, seed %i', async (seed) => {
    const { machine, clock, guest, host } = vif2Pair();
    if (!kernels) Object.defineProperty(host.memory, 'kernels', { value: undefined });
    const backend = netback2Driver({ poolPages: 256 });
    const device = new WiredDevice({ guest, host, frontend: rawVif2FrontendDriver(), backend, clock });
    const random = new SeededRandom(seed);
    let writer: RawWriter | undefined;
    let finishes = new Finishes(random);
    let fatal = 0;
    let taken = 0;
    for (let batch = 0; batch < BATCHES; batch += 1) {
      if (writer === undefined) {
        await device.disconnect();
        await device.connect();
        writer = new RawWriter(device.frontend);
        finishes = new Finishes(random);
        writer.show(BURST);
        await clock.settle();
        writer.hear();
      }
      const { backend: back } = device;
      for (let frame = random.integer(0, 9); frame > 0; frame -= 1) host.run(() => back.send(FRAME));
      await clock.settle();
      for (const { type, word } of writer.hear()) if (type === PACKET) finishes.open.add(word);
      expect(back.unfinished).toBe(finishes.open.size);
      const before = finishes.open.size;
      const failures = device.failures.length;
      writer.show(finishes.batch());
      await clock.settle();
      expect(device.failures.length - failures, `batch ${batch}`).toBe(finishes.fatal ? 1 : 0);
      if (finishes.fatal) {
        fatal += 1;
        writer = undefined;
        continue;
      }
      expect(back.unfinished, `batch ${batch}`).toBe(finishes.open.size);
      taken += before - finishes.open.size;
    }
    expect(taken).toBeGreaterThan(100);
    expect(fatal).toBeGreaterThan(5);
    await device.remove();
    await clock.advance(3000);
    expect(machine.leaks()).toEqual([]);
    expect(clock.timers).toBe(0);
    machine.shutdown();
  });
});
