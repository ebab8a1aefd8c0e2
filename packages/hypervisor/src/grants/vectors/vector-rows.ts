import { expect, it } from 'vitest';
import { type BenchOptions, GrantBench } from './grant-bench';

/** One row of the specification's tables: its number, what is done, what is expected. */
export type VectorRow = readonly [
  id: string,
  run: (bench: GrantBench) => unknown,
  expected: unknown,
  options?: BenchOptions,
];

/** Each row on a machine of its own. */
export function checkRows(rows: readonly VectorRow[], standard: BenchOptions = {}): void {
  for (const [id, run, expected, options] of rows) {
    it(id, () => {
      const bench = new GrantBench({ ...standard, ...options });
      expect(run(bench)).toEqual(expected);
      bench.machine.shutdown();
    });
  }
}
