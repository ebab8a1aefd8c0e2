import { PortCounters } from '@netchannel2/frames';

/** Why a frontend gives a frame up. */
export type NetfrontDrop =
  /** Sent: shorter than an Ethernet header, or a frame whose lease had ended. */
  | 'tooShort'
  /** Sent: longer than 65535 bytes. */
  | 'tooLong'
  /** Sent: needs several slots, and the backend takes one a packet. */
  | 'scatterGatherMissing'
  /** Sent: wants segmentation, the backend does not segment, and neither could this end. */
  | 'segmentationUnknown'
  /** Sent: checksum blank, the backend does not complete it, and neither could this end find its place. */
  | 'checksumUnknown'
  /** Sent: the backend answered with an error. */
  | 'refusedByBackend'
  /** Sent and not answered, or received and not emitted, when the connection ended. */
  | 'lostInFlight'
  /** Received: the backend reported an error, or its slots do not make up a packet. */
  | 'receiveError'
  /** Received while nobody was subscribed. */
  | 'noSubscriber';

export type NetfrontCounters = PortCounters<NetfrontDrop>;

export function netfrontCounters(): NetfrontCounters {
  return new PortCounters<NetfrontDrop>([
    'tooShort',
    'tooLong',
    'scatterGatherMissing',
    'segmentationUnknown',
    'checksumUnknown',
    'refusedByBackend',
    'lostInFlight',
    'receiveError',
    'noSubscriber',
  ]);
}
