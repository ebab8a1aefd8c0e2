/**
 * Values of vif nodes in xenstore: decimal text without a newline (spec vif.md §10, xenbus.md §8).
 *
 * @packageDocumentation
 */

const DECIMAL = /^[0-9]{1,10}$/;

/** A u32 in strict decimal, `undefined` for anything else. */
export function parseUnsigned(text: string | undefined): number | undefined {
  if (text === undefined || !DECIMAL.test(text)) return undefined;
  const value = Number(text);
  return value <= 0xffff_ffff ? value : undefined;
}

/** A feature node: missing, garbage and 0 are off, every other number is on. */
export function parseSwitch(text: string | undefined): boolean {
  const value = parseUnsigned(text);
  return value !== undefined && value !== 0;
}

/** Exactly `1` or `0`: some peers compare the text. */
export function formatSwitch(on: boolean): string {
  return on ? '1' : '0';
}

/** A guest's rate: `bytes` per `microseconds`. */
export interface RateLimit {
  readonly bytes: number;
  readonly microseconds: number;
}

/** The `rate` node, `<bytes>,<usec>`; `undefined` (unlimited) when it is missing or malformed. */
export function parseRate(text: string | undefined): RateLimit | undefined {
  const match = text === undefined ? null : /^([0-9]{1,10}),([0-9]{1,10})$/.exec(text);
  const bytes = parseUnsigned(match?.[1]);
  const microseconds = parseUnsigned(match?.[2]);
  return bytes === undefined || microseconds === undefined ? undefined : { bytes, microseconds };
}
