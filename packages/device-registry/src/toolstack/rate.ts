/**
 * Transmit limits as configurations write them and as xenstore holds them (spec `xenbus.md` §6).
 *
 * @packageDocumentation
 */
import { parseDecimal } from '../peer-values';
import { ConfigurationError } from './configuration-error';

/** `bytes` may be sent in each interval of `microseconds`. */
export interface RateLimit {
  readonly bytes: number;
  readonly microseconds: number;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, K: 1e3, M: 1e6, G: 1e9 };
const INTERVALS: Readonly<Record<string, number>> = { us: 1, ms: 1e3, s: 1e6 };
const U32 = 0xffff_ffff;

/**
 * `R[GMK](B|b)/s[@I(ms|us|s)]`: `10Mb/s` is 62500 bytes in each 50 ms, `1MB/s@20ms` 20000 in each 20 ms. Prefixes are
 * decimal, `b` are bits.
 *
 * @throws {ConfigurationError}
 */
export function parseRate(text: string): RateLimit {
  const match = /^([0-9]+)([GMK]?)([Bb])\/s(?:@([0-9]+)(ms|us|s))?$/.exec(text);
  if (match === null) {
    throw new ConfigurationError(`rate "${text}" should look like 10Mb/s or 1MB/s@20ms`);
  }
  const [, amount = '0', prefix = '', unit, interval = '50', intervalUnit = 'ms'] = match;
  const perSecond = (Number(amount) * (UNITS[prefix] ?? 1)) / (unit === 'b' ? 8 : 1);
  const microseconds = Number(interval) * (INTERVALS[intervalUnit] ?? 1);
  if (microseconds < 1 || microseconds > U32) {
    throw new ConfigurationError(`rate "${text}": the interval should be from 1us to ${U32}us`);
  }
  const bytes = Math.floor((perSecond * microseconds) / 1e6);
  if (bytes < 1 || !Number.isSafeInteger(bytes)) {
    throw new ConfigurationError(`rate "${text}" allows ${bytes} bytes per interval, which is out of range`);
  }
  return { bytes, microseconds };
}

/** The `rate` node: `<bytes>,<usec>`. */
export function formatRateNode(rate: RateLimit): string {
  return `${rate.bytes},${rate.microseconds}`;
}

/** Reads a `rate` node; `undefined` when it is missing or malformed, which means no limit. */
export function parseRateNode(text: string | undefined): RateLimit | undefined {
  const [first, second, ...rest] = text?.split(',') ?? [];
  const bytes = parseDecimal(first, Number.MAX_SAFE_INTEGER);
  const microseconds = parseDecimal(second);
  if (bytes === undefined || microseconds === undefined || rest.length > 0) return undefined;
  return { bytes, microseconds };
}
