import type { Measured } from './measured';

/** One row of `results.json`: `<class>/<bytes>/<one-thread|two-workers>[/<variant>]`, or a `yardstick/<bytes>/<way>`. */
export interface BenchResult {
  readonly name: string;
  /** Median of the rounds. */
  readonly framesPerSecond: number;
  /** The slowest round and the fastest. */
  readonly spread: readonly [number, number];
  readonly bytesPerSecond: number;
  readonly nsPerFrame: number;
  /**
   * This row's frames per second over the named baseline's of the same run and frame size. Two are something else: `reference`
   * is over those of the machine the bars come from, and `dom0CostOverVif` is dom0's time per frame over what vif takes of it,
   * from a process in which both take turns.
   */
  readonly ratios: Readonly<Record<string, number>>;
  /** Between guests: nanoseconds of dom0's time per frame. */
  readonly dom0NsPerFrame?: number;
}

export interface BenchReport {
  readonly machine: string;
  readonly date: string;
  readonly results: readonly BenchResult[];
}

/** A rate without its ratios, which are known only when all baselines have run. */
export interface Measurement {
  readonly name: string;
  readonly frameBytes: number;
  readonly measured: Measured;
}

export function resultOf(measurement: Measurement, baselines: Readonly<Record<string, number>>): BenchResult {
  const { name, frameBytes, measured } = measurement;
  const framesPerSecond = measured.perSecond;
  const ratios = Object.entries(baselines).map(([baseline, rate]) => [
    baseline,
    round(framesPerSecond / rate),
  ]);
  return {
    name,
    framesPerSecond: Math.round(framesPerSecond),
    spread: [Math.round(measured.leastPerSecond), Math.round(measured.mostPerSecond)],
    bytesPerSecond: Math.round(framesPerSecond * frameBytes),
    nsPerFrame: round(1e9 / framesPerSecond),
    ratios: Object.fromEntries(ratios),
    ...(measured.dom0NsPerFrame !== undefined && { dom0NsPerFrame: measured.dom0NsPerFrame }),
  };
}

const round = (value: number): number => Number(value.toPrecision(4));
