/** The one in the middle by some figure of each, the upper of two. @throws Error when there are none. */
export function middleBy<Value>(values: readonly Value[], figure: (value: Value) => number): Value {
  const sorted = [...values].sort((left, right) => figure(left) - figure(right));
  const middle = sorted[sorted.length >> 1];
  if (middle === undefined) throw new Error('nothing was measured');
  return middle;
}
