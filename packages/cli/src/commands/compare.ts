import { closeSync, writeSync } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { type Comparison, compare } from '../compare/compare';
import { compareChart } from '../report/compare-chart';
import { compareText } from '../report/compare-text';
import { openOutput } from '../report/open-output';
import { paintFor, type Terminal } from '../terminal';
import { parseCount } from './arguments';

interface CompareFlags {
  readonly bytes: number;
  readonly frames: number;
  /** `false` with `--no-output`. */
  readonly output: string | false;
  readonly json?: true;
}

export const COMPARE_DEFAULTS = { bytes: 1514, frames: 400_000, output: 'out/compare.html' } as const;

/** `nc2 compare`: what a frame costs whom, by every way there is. */
export function registerCompare(program: Command, terminal: Terminal): void {
  program
    .command('compare')
    .summary('what a frame costs each domain: vif beside vif2, by every way there is')
    .description(
      'Measure what a frame costs sender, dom0 and receiver: vif beside vif2, guest to dom0, dom0 to guest, and guest to guest by copies, by transitive grants and over a bypass.',
    )
    .addOption(
      new Option('-b, --bytes <number>', 'length of the frames, 61 to 65535')
        .argParser(parseFrameBytes)
        .default(COMPARE_DEFAULTS.bytes),
    )
    .addOption(
      new Option('-n, --frames <number>', 'frames measured on each way')
        .argParser(parseCount)
        .default(COMPARE_DEFAULTS.frames),
    )
    .addOption(
      new Option('-o, --output <file>', 'where to write the chart, a page of HTML').default(
        COMPARE_DEFAULTS.output,
      ),
    )
    .addOption(new Option('--no-output', 'write no chart'))
    .addOption(new Option('--json', 'print one line of JSON and nothing else'))
    .action(async (flags: CompareFlags) => {
      const comparison = await runCompare(flags, terminal);
      if (flags.json) terminal.out(`${JSON.stringify(comparison)}\n`);
    });
}

/** Measures, writes the chart, and prints the comparison for people unless JSON is wanted. */
export async function runCompare(flags: CompareFlags, terminal: Terminal): Promise<Comparison> {
  const chart = flags.output === false ? undefined : openOutput(flags.output);
  try {
    const comparison = await compare({
      frameBytes: flags.bytes,
      frames: flags.frames,
      warmUp: Math.ceil(flags.frames / 2),
    });
    if (chart !== undefined) writeSync(chart, compareChart(comparison));
    if (flags.json !== true) {
      terminal.out(compareText(comparison, paintFor(terminal)));
      if (flags.output !== false) terminal.out(`  as a chart: ${flags.output}\n`);
    }
    return comparison;
  } finally {
    if (chart !== undefined) closeSync(chart);
  }
}

function parseFrameBytes(text: string): number {
  const bytes = parseCount(text);
  if (bytes < 61 || bytes > 65535) throw new InvalidArgumentError('Give a whole number from 61 to 65535.');
  return bytes;
}
