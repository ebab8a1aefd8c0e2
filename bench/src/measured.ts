import type { Rate } from './rate';

/** What one measurement answers, as JSON between processes. */
export interface Measured {
  /** Frames, or operations: the median of the rounds, and the slowest and the fastest. */
  readonly perSecond: number;
  readonly leastPerSecond: number;
  readonly mostPerSecond: number;
  /** Between guests: nanoseconds of dom0's time per frame. */
  readonly dom0NsPerFrame?: number;
}

export function measuredOf({ median, least, most }: Rate): Measured {
  return { perSecond: median, leastPerSecond: least, mostPerSecond: most };
}
