import type { Rate } from './rate';

/** What the measurement of a rate answers, as JSON between processes. */
export interface Measured {
  /** Frames, or operations: the median of the rounds, and the slowest and the fastest. */
  readonly perSecond: number;
  readonly leastPerSecond: number;
  readonly mostPerSecond: number;
  /** Between guests: nanoseconds of dom0's time per frame. */
  readonly dom0NsPerFrame?: number;
}

/** What a comparison of two paths in one process answers. */
export interface CostRatio {
  /** What the one costs over what the other does: the median of the rounds. */
  readonly ratio: number;
}

export function measuredOf({ median, least, most }: Rate): Measured {
  return { perSecond: median, leastPerSecond: least, mostPerSecond: most };
}
