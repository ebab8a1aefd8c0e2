/** Runs the benchmarks, prints their table and writes it for machines. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Command, InvalidArgumentError } from 'commander';
import { IsolatedMeasurements } from './isolated';
import { reportLine, reportOf } from './report';
import type { BenchResult } from './result';
import { allRows, measureRow } from './rows';

const RESULTS_FILE = fileURLToPath(new URL('../results.json', import.meta.url));

const positive = (value: string): number => {
  const number = Number(value);
  if (Number.isInteger(number) && number > 0) return number;
  throw new InvalidArgumentError('give a whole number from 1');
};

interface RunOptions {
  readonly only?: string;
  readonly processes: number;
  readonly rounds: number;
  readonly milliseconds: number;
  readonly out: string;
}

const options = new Command('bench')
  .description('Frames per second of every path, as ratios against baselines of the same run')
  .option('--only <text>', 'rows whose name contains this; results are printed and not written')
  .option('--processes <count>', 'processes per row, of which the median counts', positive, 3)
  .option('--rounds <count>', 'rounds per process, of which the median counts', positive, 5)
  .option('--milliseconds <time>', 'least time of a round', positive, 300)
  .option('--out <file>', 'where the results go', RESULTS_FILE)
  .parse()
  .opts<RunOptions>();

const rows = allRows().filter(({ name }) => options.only === undefined || name.includes(options.only));
if (rows.length === 0) {
  console.error(`no row has "${options.only}" in its name; there are:`);
  for (const { name } of allRows()) console.error(`  ${name}`);
  process.exit(2);
}
const measurements = new IsolatedMeasurements({
  processes: options.processes,
  rounds: options.rounds,
  milliseconds: options.milliseconds,
});
const width = Math.max(...rows.map(({ name }) => name.length));
const results: BenchResult[] = [];
for (const row of rows) {
  const result = await measureRow(row, measurements);
  results.push(result);
  console.log(reportLine(result, width));
}
const report = reportOf(results);
console.log(report.machine);
if (options.only === undefined) {
  writeFileSync(options.out, `${JSON.stringify(report, null, 2)}\n`);
  console.log(`written: ${options.out}`);
}
