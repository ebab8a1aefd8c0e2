import { cpus } from 'node:os';
import type { BenchReport, BenchResult } from './result';

export function reportOf(results: readonly BenchResult[]): BenchReport {
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU';
  return {
    machine: `${model}, ${cpus().length} cores, Node ${process.versions.node}`,
    date: new Date().toISOString(),
    results,
  };
}

/** The report as lines of a table for people. */
export function* reportLines(report: BenchReport): Generator<string> {
  yield report.machine;
  const width = Math.max(...report.results.map((result) => result.name.length));
  for (const { name, framesPerSecond, nsPerFrame, ratios } of report.results) {
    const rate = `${(framesPerSecond / 1e6).toFixed(2).padStart(8)} M frames/s ${nsPerFrame.toFixed(0).padStart(7)} ns`;
    const against = Object.entries(ratios).map(([baseline, ratio]) => `${ratio.toFixed(2)} x ${baseline}`);
    yield `${name.padEnd(width)} ${rate}   ${against.join('   ')}`;
  }
}
