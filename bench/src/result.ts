/** One row of `results.json`: `<class>/<bytes>/<one-thread|two-workers>[/<variant>]`. */
export interface BenchResult {
  readonly name: string;
  readonly framesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly nsPerFrame: number;
  /** This row's frames per second over the named baseline's of the same run and frame size. */
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
  readonly framesPerSecond: number;
}

export function resultOf(measurement: Measurement, baselines: Readonly<Record<string, number>>): BenchResult {
  const { name, frameBytes, framesPerSecond } = measurement;
  const ratios = Object.entries(baselines).map(([baseline, rate]) => [
    baseline,
    round(framesPerSecond / rate),
  ]);
  return {
    name,
    framesPerSecond: Math.round(framesPerSecond),
    bytesPerSecond: Math.round(framesPerSecond * frameBytes),
    nsPerFrame: round(1e9 / framesPerSecond),
    ratios: Object.fromEntries(ratios),
  };
}

const round = (value: number): number => Number(value.toPrecision(4));
