import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { CostRatio, Measured } from './measured';
import { middleBy } from './middle';
import type { RateOptions } from './rate';

const SCRIPT = fileURLToPath(new URL('./measure.js', import.meta.url));
const run = promisify(execFile);

/** How a run measures. */
export interface IsolatedOptions extends RateOptions {
  /** Processes for each measurement: each has its own luck with what the compiler makes of it. */
  readonly processes: number;
}

/** Measurements of one run, each made once, in processes of its own. */
export class IsolatedMeasurements {
  private readonly rates = new Map<string, Promise<Measured>>();

  constructor(private readonly options: IsolatedOptions) {}

  /** The process in the middle, with the slowest and the fastest round of all. */
  rate(name: string): Promise<Measured> {
    const known = this.rates.get(name);
    if (known !== undefined) return known;
    const measured = this.answers<Measured>(name).then((all) => ({
      ...middleBy(all, ({ perSecond }) => perSecond),
      leastPerSecond: Math.min(...all.map(({ leastPerSecond }) => leastPerSecond)),
      mostPerSecond: Math.max(...all.map(({ mostPerSecond }) => mostPerSecond)),
    }));
    this.rates.set(name, measured);
    return measured;
  }

  /** The ratio of the process in the middle. Only one row shows each. */
  async costRatio(name: string): Promise<number> {
    const all = await this.answers<CostRatio>(name);
    return middleBy(all, ({ ratio }) => ratio).ratio;
  }

  private async answers<Answer>(name: string): Promise<Answer[]> {
    const { rounds, milliseconds, processes } = this.options;
    const all: Answer[] = [];
    while (all.length < processes) {
      const { stdout } = await run(process.execPath, [SCRIPT, name, String(rounds), String(milliseconds)]);
      all.push(JSON.parse(stdout) as Answer);
    }
    return all;
  }
}
