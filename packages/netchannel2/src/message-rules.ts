/**
 * Which message may arrive where (spec `vif2.md` §3, §6.3).
 *
 * @packageDocumentation
 */
import { MessageType, smallestMessage } from './message-header';

/** What a receiving end knows of the ring a message came on. */
export interface RingRules {
  readonly ring: 'parent' | 'bypass';
  /** The other end of the parent ring is trusted (`remote-trusted`): it may set bypasses up. */
  readonly peerTrusted: boolean;
  /** This end may be asked to answer for bypasses it set up: the trusted middle. */
  readonly offersBypasses: boolean;
}

const EVERYWHERE: readonly number[] = [
  MessageType.setMaxPackets,
  MessageType.packet,
  MessageType.finishPacket,
  MessageType.setOffload,
  MessageType.setMaxFragmentsPerPacket,
];
const FROM_TRUSTED: readonly number[] = [
  MessageType.bypassFrontend,
  MessageType.bypassBackend,
  MessageType.bypassDisable,
  MessageType.bypassDetach,
];
const TO_MIDDLE: readonly number[] = [
  MessageType.bypassFrontendReady,
  MessageType.bypassDisabled,
  MessageType.bypassDetached,
  MessageType.suggestBypass,
];

/** The smallest size of each type allowed on a ring, 0 where the type is forbidden: one table look-up per message. */
export function allowedMessages(rules: RingRules): Uint8Array {
  const table = new Uint8Array(256);
  const allow = (types: readonly number[]) => {
    for (const type of types) table[type] = smallestMessage(type);
  };
  allow(EVERYWHERE);
  if (rules.ring === 'bypass') allow([MessageType.bypassReady]);
  else {
    if (rules.peerTrusted) allow(FROM_TRUSTED);
    if (rules.offersBypasses) allow(TO_MIDDLE);
  }
  return table;
}
