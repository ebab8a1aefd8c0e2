/**
 * Strict readers for what a peer wrote into its nodes (spec `xenbus.md` §8): anything but the plain form is refused.
 *
 * @packageDocumentation
 */
import { DeviceError } from './driver';

export const U32_MAX = 0xffff_ffff;

/**
 * A decimal number `0 … max` without sign, blanks, leading zeros or newline; `undefined` for anything else.
 *
 * @param max at most 2^53 - 1.
 */
export function parseDecimal(text: string | undefined, max: number = U32_MAX): number | undefined {
  if (text === undefined || text.length > 16 || !/^(?:0|[1-9][0-9]*)$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/**
 * {@link parseDecimal} for a node that must be there.
 *
 * @param node its name, for the message.
 * @throws {DeviceError} `EINVAL` naming the node.
 */
export function requireDecimal(node: string, text: string | undefined, max: number = U32_MAX): number {
  const value = parseDecimal(text, max);
  if (value !== undefined) return value;
  throw new DeviceError(
    'EINVAL',
    text === undefined ? `${node} is missing` : `${node} is not a decimal number from 0 to ${max}`,
  );
}

/** A switch: `1` is true; `0` or a missing node false; anything else `undefined`. */
export function parseSwitch(text: string | undefined): boolean | undefined {
  if (text === undefined || text === '0') return false;
  return text === '1' ? true : undefined;
}

/** {@link parseSwitch}; @throws {DeviceError} `EINVAL` naming the node. */
export function requireSwitch(node: string, text: string | undefined): boolean {
  const value = parseSwitch(text);
  if (value === undefined) throw new DeviceError('EINVAL', `${node} is neither 0 nor 1`);
  return value;
}
