import type { DomainMemory } from '@netchannel2/xen';
import { measureRate, type Rate, type RateOptions } from '../rate';

/** Pages on each side, so that the copies do not all hit one cache line set. */
const PAGES = 64;

/** Frames per second of the machine's copy kernel alone, from page to page. */
export async function memoryCopyRate(
  memory: DomainMemory,
  frameBytes: number,
  options: RateOptions,
): Promise<Rate> {
  const source = memory.allocate(PAGES);
  const target = memory.allocate(PAGES);
  if (source === undefined || target === undefined)
    throw new Error('the benchmark domain needs 128 free pages');
  const rate = await measureRate((count) => {
    for (let index = 0; index < count; index += 1) {
      const offset = (index & (PAGES - 1)) << 12;
      memory.copy(target, offset, source, offset, frameBytes);
    }
  }, options);
  memory.free(source);
  memory.free(target);
  return rate;
}
