import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Measured } from './measurements';
import type { RateOptions } from './rate';

const SCRIPT = fileURLToPath(new URL('./measure.js', import.meta.url));
const run = promisify(execFile);

/** Measurements of one run, each made once, in a process of its own. */
export class IsolatedMeasurements {
  private readonly made = new Map<string, Promise<Measured>>();

  constructor(private readonly options: RateOptions) {}

  get(name: string): Promise<Measured> {
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const measured = measureApart(name, this.options);
    this.made.set(name, measured);
    return measured;
  }
}

async function measureApart(name: string, options: RateOptions): Promise<Measured> {
  const { rounds, milliseconds } = options;
  const { stdout } = await run(process.execPath, [SCRIPT, name, String(rounds), String(milliseconds)]);
  return JSON.parse(stdout) as Measured;
}
