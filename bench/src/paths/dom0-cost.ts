import type { CostRatio } from '../measured';
import { middleBy } from '../middle';
import type { RateOptions } from '../rate';
import { GuestToGuest } from './guest-to-guest';

/** A turn takes about so long: a round of both is then short against the swings of a machine that is shared. */
const TURN_MILLISECONDS = 20;
/** Both paths take turns for so long before anything counts. */
const WARM_MILLISECONDS = 1500;
const FIRST_COUNT = 10_000;

/** A path that takes turns, its turns' length by the pace of the last. */
class TurnTaker {
  private count = FIRST_COUNT;

  constructor(private readonly path: GuestToGuest) {}

  /** What a frame of this turn cost dom0, in nanoseconds. */
  async turn(): Promise<number> {
    const start = performance.now();
    const cost = await this.path.dom0NsPerFrame(this.count);
    const paceToKeep = TURN_MILLISECONDS / Math.max(performance.now() - start, 0.1);
    this.count = Math.ceil(this.count * Math.min(10, paceToKeep));
    return cost;
  }
}

/**
 * What a frame from guest to guest costs dom0 by vif2, over what it costs by vif. Both paths are wired in this process and take
 * turns for as long as a rate would be measured; the ratio is the median of the rounds' own, so the pace of the machine cancels.
 */
export async function dom0CostOverVif(frameBytes: number, options: RateOptions): Promise<CostRatio> {
  const paths = [
    await GuestToGuest.wire('vif', frameBytes),
    await GuestToGuest.wire('vif2', frameBytes),
  ] as const;
  const [vif, vif2] = [new TurnTaker(paths[0]), new TurnTaker(paths[1])];
  const round = async (): Promise<number> => {
    const over = await vif.turn();
    return (await vif2.turn()) / over;
  };
  const start = performance.now();
  while (performance.now() - start < WARM_MILLISECONDS) await round();
  const rounds = Math.max(
    options.rounds,
    Math.ceil((options.rounds * options.milliseconds) / TURN_MILLISECONDS),
  );
  const ratios: number[] = [];
  while (ratios.length < rounds) ratios.push(await round());
  for (const path of paths) await path.close();
  return { ratio: middleBy(ratios, (ratio) => ratio) };
}
