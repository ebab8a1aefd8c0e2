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

const FIRST_COUNT = 10_000;
/** For so long the pace tells about the compiler. */
const COLD_MILLISECONDS = 250;
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
  const count = await countForARound(run, options.milliseconds);
  const round = async () => (count / (await timed(run, count))) * 1000;
  const warmUps: number[] = [];
  while (warmUps.length < MOST_WARM_UPS && !isSteady(warmUps)) warmUps.push(await round());
  const rates: number[] = [];
  while (rates.length < options.rounds) rates.push(await round());
  rates.sort((left, right) => left - right);
  const at = (index: number) => rates[index] ?? 0;
  return { median: at(rates.length >> 1), least: at(0), most: at(rates.length - 1) };
}

/** How much to move in a round, by the pace of the last of some that were run until the compiler had its say. */
async function countForARound(
  run: (count: number) => Promise<void> | void,
  milliseconds: number,
): Promise<number> {
  let count = FIRST_COUNT;
  let elapsed = await timed(run, count);
  for (let warm = elapsed; warm < COLD_MILLISECONDS; warm += elapsed) elapsed = await timed(run, count);
  // By factors of ten at most: a short round tells little about a long one.
  while (elapsed < milliseconds) {
    count = Math.ceil(count * Math.min(10, (milliseconds * 1.2) / Math.max(elapsed, 0.1)));
    elapsed = await timed(run, count);
  }
  return count;
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
