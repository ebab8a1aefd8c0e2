/** How long a benchmark runs: rounds whose median counts, after one that only warms up. */
export interface RateOptions {
  readonly rounds: number;
  /** Least duration of a round, milliseconds. */
  readonly milliseconds: number;
}

/**
 * Frames per second of `run(count)`, which moves `count` frames: the median over the rounds.
 */
export async function medianRate(
  run: (count: number) => Promise<void> | void,
  options: RateOptions,
): Promise<number> {
  let count = 10_000;
  for (;;) {
    const elapsed = await timed(run, count);
    if (elapsed >= options.milliseconds) break;
    count = Math.ceil(count * Math.min(10, (options.milliseconds * 1.2) / Math.max(elapsed, 0.1)));
  }
  const rates: number[] = [];
  for (let round = 0; round < options.rounds; round += 1) {
    rates.push((count / (await timed(run, count))) * 1000);
  }
  rates.sort((left, right) => left - right);
  return rates[rates.length >> 1] ?? 0;
}

async function timed(run: (count: number) => Promise<void> | void, count: number): Promise<number> {
  const start = performance.now();
  await run(count);
  return performance.now() - start;
}
