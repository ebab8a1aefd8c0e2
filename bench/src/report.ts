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

/** A row as a line of a table for people, its name padded to `width`. */
export function reportLine(result: BenchResult, width: number): string {
  const { name, framesPerSecond, spread, nsPerFrame, ratios } = result;
  const millions = (rate: number) => (rate / 1e6).toFixed(2);
  const range = `(${spread.map(millions).join(' … ')})`.padEnd(15);
  const rate = `${millions(framesPerSecond).padStart(7)} M/s ${range} ${nsPerFrame.toFixed(nsPerFrame < 100 ? 1 : 0).padStart(6)} ns`;
  const against = Object.entries(ratios).map(([baseline, ratio]) => `${ratio.toFixed(2)} x ${baseline}`);
  return `${name.padEnd(width)} ${rate}   ${against.join('   ')}`;
}
