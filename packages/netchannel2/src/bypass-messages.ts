/**
 * The short messages of a bypass's life (spec `vif2.md` §3.1, §6.2).
 *
 * @packageDocumentation
 */
import { MessageType, messageHeader } from './message-header';

export const BYPASS_MESSAGE_SIZE = 8;
export const SUGGEST_BYPASS_SIZE = 16;

/** @param port an unbound port for the other guest, or −errno. */
export function writeBypassFrontendReady(words: Int32Array, at: number, port: number): void {
  words[at] = messageHeader(MessageType.bypassFrontendReady, 0, BYPASS_MESSAGE_SIZE);
  words[at + 1] = port | 0;
}

/** The port, or ≤ 0 for failure: −errno. */
export function bypassFrontendReadyPort(words: Int32Array, at: number): number {
  return words[at + 1] ?? 0;
}

export function writeBypassReady(words: Int32Array, at: number): void {
  words[at] = messageHeader(MessageType.bypassReady, 0, BYPASS_MESSAGE_SIZE);
  words[at + 1] = 0;
}

/** The four messages that carry only the bypass's handle. */
export type BypassHandleType =
  | typeof MessageType.bypassDisable
  | typeof MessageType.bypassDisabled
  | typeof MessageType.bypassDetach
  | typeof MessageType.bypassDetached;

export function writeBypassHandle(
  words: Int32Array,
  at: number,
  type: BypassHandleType,
  handle: number,
): void {
  words[at] = messageHeader(type, 0, BYPASS_MESSAGE_SIZE);
  words[at + 1] = handle | 0;
}

export function bypassHandle(words: Int32Array, at: number): number {
  return (words[at + 1] ?? 0) >>> 0;
}

/** @param mac six bytes: the guest traffic goes to. */
export function writeSuggestBypass(words: Int32Array, at: number, mac: Uint8Array): void {
  const byte = (index: number) => mac[index] ?? 0;
  words[at] = messageHeader(MessageType.suggestBypass, 0, SUGGEST_BYPASS_SIZE);
  words[at + 1] = byte(0) | (byte(1) << 8) | (byte(2) << 16) | (byte(3) << 24);
  words[at + 2] = byte(4) | (byte(5) << 8);
  words[at + 3] = 0;
}

export function suggestBypassMac(words: Int32Array, at: number): Uint8Array {
  const low = words[at + 1] ?? 0;
  const high = words[at + 2] ?? 0;
  return Uint8Array.of(low, low >>> 8, low >>> 16, low >>> 24, high, high >>> 8);
}
