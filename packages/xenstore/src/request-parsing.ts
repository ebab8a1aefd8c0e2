/**
 * Takes payloads of requests apart (spec §3).
 *
 * @packageDocumentation
 */
import { refuse } from './refusal';

/** The only argument: one NUL, and it is the last byte. */
export function oneArgument(payload: string): string {
  const end = payload.indexOf('\0');
  if (end < 0 || end !== payload.length - 1) refuse('EINVAL');
  return payload.slice(0, end);
}

/** All NUL-terminated strings; bytes behind the last NUL do not count. Fewer than `least` or more than `most`: EINVAL. */
export function stringArguments(payload: string, least: number, most = Number.POSITIVE_INFINITY): string[] {
  const strings = payload.split('\0');
  strings.pop();
  if (strings.length < least || strings.length > most) refuse('EINVAL');
  return strings;
}

/** A string, and everything behind its NUL. */
export function stringAndRest(payload: string): readonly [string, string] {
  const end = payload.indexOf('\0');
  if (end < 0) refuse('EINVAL');
  return [payload.slice(0, end), payload.slice(end + 1)];
}

/** A decimal number 0 … `most`. */
export function decimal(text: string | undefined, most: number): number {
  if (text === undefined || !/^[0-9]{1,16}$/.test(text)) refuse('EINVAL');
  const value = Number(text);
  return value > most ? refuse('EINVAL') : value;
}

/** A domain id: a whole decimal string 0 … 65535. */
export function domidArgument(text: string | undefined): number {
  return decimal(text, 0xffff);
}
