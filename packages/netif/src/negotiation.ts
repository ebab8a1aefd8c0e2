/**
 * What the two ends of a vif tell each other in xenstore, and what follows (spec vif.md §8, §10). Pure: nodes in,
 * settings out.
 *
 * @packageDocumentation
 */
import { formatSwitch, parseSwitch, parseUnsigned } from './node-values';

/** What a backend offers before InitWait; defaults are what a missing node means. */
export interface BackendFeatures {
  /** `feature-rx-copy`: copies into posted buffers, the only receive path in use. A frontend refuses without. */
  readonly rxCopy: boolean;
  /** `feature-sg`: takes packets of more than one slot. */
  readonly scatterGather: boolean;
  readonly gsoTcpv4: boolean;
  readonly gsoTcpv6: boolean;
  readonly ipv6ChecksumOffload: boolean;
  readonly multicastControl: boolean;
  readonly dynamicMulticastControl: boolean;
  readonly splitEventChannels: boolean;
  /** `multi-queue-max-queues`; 0 when the node is missing, which means one queue and no `multi-queue-num-queues`. */
  readonly maxQueues: number;
  readonly controlRing: boolean;
}

/** What a frontend asks for when it publishes its rings. */
export interface FrontendFeatures {
  /** `request-rx-copy`: mandatory. */
  readonly rxCopy: boolean;
  /** `feature-rx-notify`: sends an event when it posts buffers. */
  readonly rxNotify: boolean;
  readonly scatterGather: boolean;
  readonly gsoTcpv4: boolean;
  readonly gsoTcpv6: boolean;
  readonly ipv6ChecksumOffload: boolean;
  /** `feature-no-csum-offload`: wants no blank IPv4 checksums. */
  readonly noChecksumOffload: boolean;
  readonly multicastControl: boolean;
}

/** Feature nodes of the backend's directory. */
export const BACKEND_NODES = {
  rxCopy: 'feature-rx-copy',
  rxFlip: 'feature-rx-flip',
  scatterGather: 'feature-sg',
  gsoTcpv4: 'feature-gso-tcpv4',
  gsoTcpv6: 'feature-gso-tcpv6',
  ipv6ChecksumOffload: 'feature-ipv6-csum-offload',
  multicastControl: 'feature-multicast-control',
  dynamicMulticastControl: 'feature-dynamic-multicast-control',
  splitEventChannels: 'feature-split-event-channels',
  maxQueues: 'multi-queue-max-queues',
  controlRing: 'feature-ctrl-ring',
} as const;

/** Feature nodes of the frontend's directory. */
export const FRONTEND_NODES = {
  rxCopy: 'request-rx-copy',
  rxNotify: 'feature-rx-notify',
  scatterGather: 'feature-sg',
  gsoTcpv4: 'feature-gso-tcpv4',
  gsoTcpv6: 'feature-gso-tcpv6',
  ipv6ChecksumOffload: 'feature-ipv6-csum-offload',
  noChecksumOffload: 'feature-no-csum-offload',
  multicastControl: 'request-multicast-control',
} as const;

/** Nodes of rings and ports, flat for one queue, below `queue-<n>` for more. */
export const RING_NODES = {
  txRing: 'tx-ring-ref',
  rxRing: 'rx-ring-ref',
  eventChannel: 'event-channel',
  eventChannelTx: 'event-channel-tx',
  eventChannelRx: 'event-channel-rx',
} as const;

/** Nodes of a control ring: both or none. */
export const CONTROL_NODES = { ring: 'ctrl-ring-ref', port: 'event-channel-ctrl' } as const;

/** Node with the number of queues a frontend uses. */
export const NUM_QUEUES_NODE = 'multi-queue-num-queues';

/** Most queues the drivers offer or use. */
export const QUEUES_MAX = 8;

/** Where a queue's nodes lie: flat with one queue, below `queue-<n>` with more. */
export function queuePrefix(index: number, count: number): string {
  return count === 1 ? '' : `queue-${index}/`;
}

/** Nodes by relative name; missing ones are absent. */
export type Nodes = ReadonlyMap<string, string>;

export function readBackendFeatures(nodes: Nodes): BackendFeatures {
  const on = (node: string) => parseSwitch(nodes.get(node));
  return {
    rxCopy: on(BACKEND_NODES.rxCopy),
    scatterGather: on(BACKEND_NODES.scatterGather),
    gsoTcpv4: on(BACKEND_NODES.gsoTcpv4),
    gsoTcpv6: on(BACKEND_NODES.gsoTcpv6),
    ipv6ChecksumOffload: on(BACKEND_NODES.ipv6ChecksumOffload),
    multicastControl: on(BACKEND_NODES.multicastControl),
    dynamicMulticastControl: on(BACKEND_NODES.dynamicMulticastControl),
    splitEventChannels: on(BACKEND_NODES.splitEventChannels),
    maxQueues: parseUnsigned(nodes.get(BACKEND_NODES.maxQueues)) ?? 0,
    controlRing: on(BACKEND_NODES.controlRing),
  };
}

export function readFrontendFeatures(nodes: Nodes): FrontendFeatures {
  const on = (node: string) => parseSwitch(nodes.get(node));
  return {
    rxCopy: on(FRONTEND_NODES.rxCopy),
    rxNotify: on(FRONTEND_NODES.rxNotify),
    scatterGather: on(FRONTEND_NODES.scatterGather),
    gsoTcpv4: on(FRONTEND_NODES.gsoTcpv4),
    gsoTcpv6: on(FRONTEND_NODES.gsoTcpv6),
    ipv6ChecksumOffload: on(FRONTEND_NODES.ipv6ChecksumOffload),
    noChecksumOffload: on(FRONTEND_NODES.noChecksumOffload),
    multicastControl: on(FRONTEND_NODES.multicastControl),
  };
}

/** Nodes a backend writes. Optional features that are off are left out where a missing node means off. */
export function writeBackendFeatures(features: BackendFeatures): Record<string, string> {
  const nodes: Record<string, string> = {
    [BACKEND_NODES.rxCopy]: formatSwitch(features.rxCopy),
    [BACKEND_NODES.rxFlip]: '0',
    [BACKEND_NODES.scatterGather]: formatSwitch(features.scatterGather),
    [BACKEND_NODES.gsoTcpv4]: formatSwitch(features.gsoTcpv4),
    [BACKEND_NODES.gsoTcpv6]: formatSwitch(features.gsoTcpv6),
    [BACKEND_NODES.ipv6ChecksumOffload]: formatSwitch(features.ipv6ChecksumOffload),
    [BACKEND_NODES.splitEventChannels]: formatSwitch(features.splitEventChannels),
  };
  if (features.multicastControl) nodes[BACKEND_NODES.multicastControl] = '1';
  if (features.dynamicMulticastControl) nodes[BACKEND_NODES.dynamicMulticastControl] = '1';
  if (features.controlRing) nodes[BACKEND_NODES.controlRing] = '1';
  if (features.maxQueues > 0) nodes[BACKEND_NODES.maxQueues] = String(features.maxQueues);
  return nodes;
}

/** Nodes a frontend writes beside its rings and ports. */
export function writeFrontendFeatures(features: FrontendFeatures): Record<string, string> {
  const nodes: Record<string, string> = {
    [FRONTEND_NODES.rxCopy]: formatSwitch(features.rxCopy),
    [FRONTEND_NODES.rxNotify]: formatSwitch(features.rxNotify),
    [FRONTEND_NODES.scatterGather]: formatSwitch(features.scatterGather),
    [FRONTEND_NODES.gsoTcpv4]: formatSwitch(features.gsoTcpv4),
    [FRONTEND_NODES.gsoTcpv6]: formatSwitch(features.gsoTcpv6),
    [FRONTEND_NODES.ipv6ChecksumOffload]: formatSwitch(features.ipv6ChecksumOffload),
  };
  if (features.noChecksumOffload) nodes[FRONTEND_NODES.noChecksumOffload] = '1';
  if (features.multicastControl) nodes[FRONTEND_NODES.multicastControl] = '1';
  return nodes;
}

/** Rings and ports of one queue as a frontend published them. */
export interface QueueNodes {
  readonly txRing: number;
  readonly rxRing: number;
  /** Both the same when the queue has a single event channel. */
  readonly txPort: number;
  readonly rxPort: number;
}

/** Control ring and port as a frontend published them. */
export interface ControlNodes {
  readonly ring: number;
  readonly port: number;
}

/**
 * The control ring of a frontend, `undefined` when it has none.
 *
 * @returns what is wrong, as text for an error node, otherwise.
 */
export function readControlNodes(nodes: Nodes): ControlNodes | string | undefined {
  if (!nodes.has(CONTROL_NODES.ring)) return undefined;
  const ring = parseUnsigned(nodes.get(CONTROL_NODES.ring));
  const port = parseUnsigned(nodes.get(CONTROL_NODES.port));
  if (ring === undefined) return malformed(nodes, CONTROL_NODES.ring);
  if (port === undefined) return malformed(nodes, CONTROL_NODES.port);
  return { ring, port };
}

/** Names, relative to the frontend's directory, of the nodes {@link readQueueNodes} wants. */
export function queueNodeNames(prefix: string): string[] {
  return Object.values(RING_NODES).map((node) => prefix + node);
}

/**
 * Rings and ports of a queue. The pair of event channels is tried first, then the single one.
 *
 * @param prefix empty, or `queue-<n>/`.
 * @returns what is wrong, as text for an error node, otherwise.
 */
export function readQueueNodes(nodes: Nodes, prefix = ''): QueueNodes | string {
  const number = (node: string) => parseUnsigned(nodes.get(prefix + node));
  const txRing = number(RING_NODES.txRing);
  const rxRing = number(RING_NODES.rxRing);
  if (txRing === undefined) return malformed(nodes, prefix + RING_NODES.txRing);
  if (rxRing === undefined) return malformed(nodes, prefix + RING_NODES.rxRing);
  if (txRing === rxRing) return `${prefix}${RING_NODES.txRing} and ${RING_NODES.rxRing} name the same grant`;
  const pair = nodes.has(prefix + RING_NODES.eventChannelTx) && nodes.has(prefix + RING_NODES.eventChannelRx);
  const txNode = pair ? RING_NODES.eventChannelTx : RING_NODES.eventChannel;
  const rxNode = pair ? RING_NODES.eventChannelRx : RING_NODES.eventChannel;
  const txPort = number(txNode);
  const rxPort = number(rxNode);
  if (txPort === undefined) return malformed(nodes, prefix + txNode);
  if (rxPort === undefined) return malformed(nodes, prefix + rxNode);
  return { txRing, rxRing, txPort, rxPort };
}

/**
 * Number of queues a frontend wants.
 *
 * @returns what is wrong, as text, otherwise.
 */
export function readQueueCount(nodes: Nodes, maxQueues: number): number | string {
  const text = nodes.get(NUM_QUEUES_NODE);
  if (text === undefined) return 1;
  const count = parseUnsigned(text);
  if (count === undefined || count < 1 || count > Math.max(1, maxQueues)) {
    return `${NUM_QUEUES_NODE} is "${shown(text)}", must be 1 to ${Math.max(1, maxQueues)}`;
  }
  return count;
}

function malformed(nodes: Nodes, node: string): string {
  const text = nodes.get(node);
  return text === undefined ? `${node} is missing` : `${node} is "${shown(text)}", not a number`;
}

/** Peer text in an error node: short and printable. */
function shown(text: string): string {
  return text.slice(0, 32).replace(/[^\x20-\x7e]/g, '?');
}
