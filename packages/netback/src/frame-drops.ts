import { PortCounters } from '@netchannel2/frames';

/** Why a backend gives a frame up. */
export type NetbackDrop =
  /** To the guest: shorter than an Ethernet header, or a frame whose lease had ended. */
  | 'tooShort'
  /** To the guest: longer than 65535 bytes. */
  | 'tooLong'
  /** To the guest: needs several slots, and the frontend takes one a packet. */
  | 'scatterGatherMissing'
  /** To the guest: wants segmentation, the frontend does not segment, and neither could this end. */
  | 'segmentationUnknown'
  /** To the guest: checksum blank, the frontend wants it complete, and its place was not found. */
  | 'checksumUnknown'
  /** To the guest: a multicast address the guest did not ask for. */
  | 'multicastFiltered'
  /** To the guest: waited too long for buffers. */
  | 'expired'
  /** To the guest: it has posted no buffers for so long that its carrier is off. */
  | 'stalled'
  /** To the guest: a copy into a posted buffer failed. */
  | 'copyFailed'
  /** Either way: under way when the connection ended. */
  | 'lostInFlight'
  /** From the guest: a copy out of a granted page failed. */
  | 'fetchFailed'
  /** From the guest: a slot group that breaks a rule. */
  | 'malformed'
  /** From the guest: taken off the ring when subscribers retained all pages. */
  | 'noPages'
  /** From the guest while nobody was subscribed. */
  | 'noSubscriber';

export type NetbackCounters = PortCounters<NetbackDrop>;

export function netbackCounters(): NetbackCounters {
  return new PortCounters<NetbackDrop>([
    'tooShort',
    'tooLong',
    'scatterGatherMissing',
    'segmentationUnknown',
    'checksumUnknown',
    'multicastFiltered',
    'expired',
    'stalled',
    'copyFailed',
    'lostInFlight',
    'fetchFailed',
    'malformed',
    'noPages',
    'noSubscriber',
  ]);
}
