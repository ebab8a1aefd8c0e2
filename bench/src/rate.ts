/** How long a benchmark runs: rounds whose median counts, after others that only warm up. */
export interface RateOptions {
  readonly rounds: number;
  /** Least duration of a round, milliseconds. */
  readonly milliseconds: number;
}

/** Frames, or operations, per second in the rounds of one process. */
export interface Rate {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

/** Warm when this many rounds in a row … */
const STEADY_ROUNDS = 3;
/** … differ by no more than this, as a part of the fastest. */
const STEADY_SPREAD = 0.05;
/** Rounds that warm up at most: what is not steady by then stays as it is, and least and most tell. */
const MOST_WARM_UPS = 12;

/** The rate of `run(count)`, which moves `count` frames, once it does not get any faster. */
export async function measureRate(
  run: (count: number) => Promise<void> | void,
  options: RateOptions,
): Promise<Rate> {
  let count = 10_000;
  for (;;) {
    const elapsed = await timed(run, count);
    if (elapsed >= options.milliseconds) break;
    count = Math.ceil(count * Math.min(10, (options.milliseconds * 1.2) / Math.max(elapsed, 0.1)));
  }
  const round = async () => (count / (await timed(run, count))) * 1000;
  const warmUps: number[] = [];
  while (warmUps.length < MOST_WARM_UPS && !isSteady(warmUps)) warmUps.push(await round());
  const rates: number[] = [];
  while (rates.length < options.rounds) rates.push(await round());
  rates.sort((left, right) => left - right);
  const at = (index: number) => rates[index] ?? 0;
  return { median: at(rates.length >> 1), least: at(0), most: at(rates.length - 1) };
}

function isSteady(rates: readonly number[]): boolean {
  const last = rates.slice(-STEADY_ROUNDS);
  const most = Math.max(...last);
  return last.length === STEADY_ROUNDS && most - Math.min(...last) <= most * STEADY_SPREAD;
}

async function timed(run: (count: number) => Promise<void> | void, count: number): Promise<number> {
  const start = performance.now();
  await run(count);
  return performance.now() - start;
}
