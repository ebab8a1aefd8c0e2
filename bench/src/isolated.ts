import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Measured } from './measured';
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
  private readonly made = new Map<string, Promise<Measured>>();

  constructor(private readonly options: IsolatedOptions) {}

  get(name: string): Promise<Measured> {
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const measured = measureApart(name, this.options);
    this.made.set(name, measured);
    return measured;
  }
}

/** The process in the middle, with the slowest and the fastest round of all. */
async function measureApart(name: string, options: IsolatedOptions): Promise<Measured> {
  const { rounds, milliseconds, processes } = options;
  const all: Measured[] = [];
  while (all.length < processes) {
    const { stdout } = await run(process.execPath, [SCRIPT, name, String(rounds), String(milliseconds)]);
    all.push(JSON.parse(stdout) as Measured);
  }
  all.sort((left, right) => left.perSecond - right.perSecond);
  const middle = all[all.length >> 1];
  if (middle === undefined) throw new Error(`${name} was not measured: give at least one process`);
  return {
    ...middle,
    leastPerSecond: Math.min(...all.map(({ leastPerSecond }) => leastPerSecond)),
    mostPerSecond: Math.max(...all.map(({ mostPerSecond }) => mostPerSecond)),
  };
}
