import { Machine } from '@netchannel2/hypervisor';
import { measureRate, type Rate, type RateOptions } from '../rate';
import type { Mover } from './reference-machine';

/** Copies `count` times. */
type Copying = (count: number) => void;

/**
 * Copies per second from one page of the machine's memory to another, always the same two, so all from the nearest cache. The
 * kernel is the WebAssembly export itself, as the hypervisor calls it: a call from JavaScript is in the figure, and no more.
 */
export async function yardstickRate(mover: Mover, byteLength: number, options: RateOptions): Promise<Rate> {
  const machine = Machine.boot({ memoryBytes: 16 << 20 });
  const { memory } = machine.createDomain({ memoryPages: 256 });
  const pages = memory.allocate(2);
  if (pages === undefined) throw new Error('the benchmark domain has no two pages');
  const [from, to] = pages.pages.map(({ base }) => base) as [number, number];
  const { copy } = machine.hypervisor.memory.kernels;
  const { bytes } = pages;
  const movers: Readonly<Record<Mover, Copying>> = {
    kernel: (count) => {
      for (let done = 0; done < count; done += 1) copy(to, from, byteLength);
    },
    'copy-within': (count) => {
      for (let done = 0; done < count; done += 1) bytes.copyWithin(to, from, from + byteLength);
    },
    'set-subarray': (count) => {
      for (let done = 0; done < count; done += 1) bytes.set(bytes.subarray(from, from + byteLength), to);
    },
  };
  const rate = await measureRate(movers[mover], options);
  machine.shutdown();
  return rate;
}
