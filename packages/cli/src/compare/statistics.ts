/** The middle one; between the two in the middle of an even number. 0 of none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}

/**
 * The median of the ratios of what was measured side by side: pairs share the pace the machine had at their time. Pairs whose
 * divisor is 0 say nothing.
 *
 * @returns `undefined` when no pair says anything.
 */
export function medianRatio(dividends: readonly number[], divisors: readonly number[]): number | undefined {
  const ratios: number[] = [];
  for (const [index, dividend] of dividends.entries()) {
    const divisor = divisors[index] ?? 0;
    if (divisor !== 0) ratios.push(dividend / divisor);
  }
  return ratios.length === 0 ? undefined : median(ratios);
}
