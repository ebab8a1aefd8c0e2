/**
 * BYPASS_FRONTEND and BYPASS_BACKEND: the offer of a direct ring between two guests (spec `vif2.md` §6.1).
 *
 * @packageDocumentation
 */
import { DOMID_FIRST_RESERVED, DOMID_SELF } from '@netchannel2/xen';
import { MessageType, messageHeader, messageSize, messageType } from './message-header';

const FIXED_SIZE = 32;
export const LARGEST_BYPASS_RING_PAGES = 16;

export interface BypassSetup {
  readonly type: typeof MessageType.bypassFrontend | typeof MessageType.bypassBackend;
  /** BYPASS_BACKEND: the port of `peerDomain` to bind; 0 in BYPASS_FRONTEND. */
  readonly port: number;
  /** Owner of the ring pages; DOMID_SELF means the sender of the message. */
  readonly ringDomain: number;
  readonly peerDomain: number;
  readonly handle: number;
  /** All unicast frames to it take the bypass. Six bytes. */
  readonly remoteMac: Uint8Array;
  readonly peerTrusted: boolean;
  readonly controlRef: number;
  /** Ring A, on which the frontend-like end produces, in both messages. */
  readonly producerRefs: readonly number[];
  /** Ring B. As many as ring A has. */
  readonly consumerRefs: readonly number[];
}

export function bypassSetupSize(ringPages: number): number {
  return FIXED_SIZE + 8 * ringPages;
}

/** Writes the message and returns its size in bytes. `ringPages` is the number of producer references. */
export function writeBypassSetup(words: Int32Array, at: number, setup: BypassSetup): number {
  const pages = setup.producerRefs.length;
  const size = bypassSetupSize(pages);
  const mac = (index: number) => setup.remoteMac[index] ?? 0;
  words[at] = messageHeader(setup.type, 0, size);
  words[at + 1] = setup.port | 0;
  words[at + 2] = setup.ringDomain | (setup.peerDomain << 16);
  words[at + 3] = setup.handle | 0;
  words[at + 4] = mac(0) | (mac(1) << 8) | (mac(2) << 16) | (mac(3) << 24);
  words[at + 5] = mac(4) | (mac(5) << 8) | (setup.peerTrusted ? 1 << 16 : 0) | (pages << 24);
  words[at + 6] = setup.controlRef | 0;
  words[at + 7] = 0;
  for (let page = 0; page < pages; page++) {
    words[at + 8 + page] = (setup.producerRefs[page] ?? 0) | 0;
    words[at + 8 + pages + page] = (setup.consumerRefs[page] ?? 0) | 0;
  }
  return size;
}

/**
 * Takes a private copy of the message apart and checks what can be checked without knowing the bypasses there are.
 *
 * @param sender domain the message came from.
 * @param self this domain, which cannot be its own peer.
 * @returns the reason to refuse it (answer −EINVAL) instead of a setup. Refusing is not fatal: the sender is trusted.
 */
export function readBypassSetup(
  words: Int32Array,
  at: number,
  sender: number,
  self: number,
): BypassSetup | string {
  const header = words[at] ?? 0;
  const type = messageType(header);
  if (type !== MessageType.bypassFrontend && type !== MessageType.bypassBackend) return 'not a bypass set-up';
  const macLow = words[at + 4] ?? 0;
  const mixed = words[at + 5] ?? 0;
  const pages = mixed >>> 24;
  if (pages === 0 || pages > LARGEST_BYPASS_RING_PAGES || (pages & (pages - 1)) !== 0) {
    return `${pages} ring pages`;
  }
  if (messageSize(header) < bypassSetupSize(pages)) return 'message too short for its ring pages';
  const domains = words[at + 2] ?? 0;
  const ringDomain = domains & 0xffff;
  const peerDomain = domains >>> 16;
  if (ringDomain !== DOMID_SELF && ringDomain !== sender) return `ring pages of domain ${ringDomain}`;
  if (peerDomain === self) return 'own domain as peer';
  if (peerDomain >= DOMID_FIRST_RESERVED) return `reserved domain ${peerDomain} as peer`;
  if ((macLow & 1) !== 0) return 'group address as remote MAC';
  const refs = (first: number) =>
    Array.from({ length: pages }, (_, page) => (words[at + first + page] ?? 0) >>> 0);
  return {
    type,
    port: words[at + 1] ?? 0,
    ringDomain,
    peerDomain,
    handle: (words[at + 3] ?? 0) >>> 0,
    remoteMac: Uint8Array.of(macLow, macLow >>> 8, macLow >>> 16, macLow >>> 24, mixed, mixed >>> 8),
    peerTrusted: ((mixed >>> 16) & 0xff) !== 0,
    controlRef: (words[at + 6] ?? 0) >>> 0,
    producerRefs: refs(8),
    consumerRefs: refs(8 + pages),
  };
}
