/** What may be wrong with each node one end of a device reads of the other, and what comes of it. */
import type { DeviceClass } from '@netchannel2/device-registry';

/** Changes to what an end publishes; `undefined` leaves a node out. */
export type NodeChanges = Readonly<Record<string, string | undefined>>;

/**
 * `works`: the device connects, with a default in the node's place, and passes frames. `connects`: as far as that, for ends
 * that then understand different rings. Otherwise the reader gives up, and its error node says so.
 */
export type Outcome = 'works' | 'connects' | RegExp;

export type NodeCase = readonly [what: string, changes: NodeChanges, outcome: Outcome];

const MALFORMED: Readonly<Record<string, string>> = {
  empty: '',
  garbage: 'abc',
  negative: '-1',
  'too large': '4294967296',
  'with a NUL inside': '1\u00002',
  'with a NUL at its end': '1\u0000',
  'with a newline': '1\n',
};

/** Each node missing and in every malformed way. */
const each = (nodes: readonly string[], missing: Outcome, malformed: Outcome): NodeCase[] =>
  nodes.flatMap((node) => [
    [`${node} missing`, { [node]: undefined }, missing] as const,
    ...Object.entries(MALFORMED).map(
      ([what, value]) => [`${node} ${what}`, { [node]: value }, malformed] as const,
    ),
  ]);

const required = (...nodes: readonly string[]): NodeCase[] =>
  nodes.flatMap((node) => each([node], new RegExp(`22 ${node}`), new RegExp(`22 ${node}`)));
const optional = (...nodes: readonly string[]): NodeCase[] => each(nodes, 'works', 'works');

/** Frontend nodes, read by the backend. */
export const FRONTEND_CASES: Readonly<Record<DeviceClass, readonly NodeCase[]>> = {
  vif: [
    ...required('tx-ring-ref', 'rx-ring-ref', 'event-channel'),
    ...each(['request-rx-copy'], /95 .*request-rx-copy/, /95 .*request-rx-copy/),
    ...each(['multi-queue-num-queues'], 'works', /22 multi-queue-num-queues/),
    ['no queues', { 'multi-queue-num-queues': '0' }, /22 multi-queue-num-queues/],
    ['more queues than offered', { 'multi-queue-num-queues': '9' }, /22 multi-queue-num-queues/],
    ['queues without nodes', { 'multi-queue-num-queues': '2' }, /22 queue-0\/tx-ring-ref is missing/],
    ['a grant nobody made', { 'tx-ring-ref': '4294967295' }, /[1-9]\d* /],
    ['a port nobody opened', { 'event-channel': '4294967295' }, /[1-9]\d* /],
    ['one port of a pair', { 'event-channel-tx': 'abc' }, 'works'],
    ['a malformed pair', { 'event-channel-tx': 'abc', 'event-channel-rx': '-1' }, /22 event-channel-tx/],
    ['a control ring without a port', { 'ctrl-ring-ref': '8' }, /22 event-channel-ctrl is missing/],
    ['a malformed control ring', { 'ctrl-ring-ref': '8 ', 'event-channel-ctrl': '1' }, /22 ctrl-ring-ref/],
    ...optional(
      'feature-rx-notify',
      'feature-sg',
      'feature-gso-tcpv4',
      'feature-gso-tcpv6',
      'feature-ipv6-csum-offload',
      'feature-no-csum-offload',
      'request-multicast-control',
    ),
  ],
  vif2: [
    ...required('protocol-version', 'control-ring-ref', 'event-channel'),
    ...required('prod-ring-ref-0', 'prod-ring-ref-1', 'cons-ring-ref-0', 'cons-ring-ref-1'),
    ...each(['ring-page-order'], 'connects', /22 ring-page-order/),
    ...each(['ring-layout'], 'works', /71 ring-layout/),
    ['a version nobody offered', { 'protocol-version': '2' }, /95 protocol-version/],
    ['rings larger than offered', { 'ring-page-order': '5' }, /22 ring-page-order/],
    ['rings larger than published', { 'ring-page-order': '2' }, /22 prod-ring-ref-2 is missing/],
    ['a grant nobody made', { 'control-ring-ref': '4294967295' }, /[1-9]\d* /],
    ['a port nobody opened', { 'event-channel': '4294967295' }, /[1-9]\d* /],
    ...optional('gnttab-version', 'feature-bypass'),
  ],
};

/** Backend nodes, read by the frontend. */
export const BACKEND_CASES: Readonly<Record<DeviceClass, readonly NodeCase[]>> = {
  vif: [
    ...each(['feature-rx-copy'], /95 .*feature-rx-copy/, /95 .*feature-rx-copy/),
    ...optional(
      'feature-sg',
      'feature-gso-tcpv4',
      'feature-gso-tcpv6',
      'feature-ipv6-csum-offload',
      'feature-multicast-control',
      'feature-dynamic-multicast-control',
      'feature-split-event-channels',
      'feature-ctrl-ring',
      'multi-queue-max-queues',
    ),
  ],
  vif2: [
    ['a version too old', { 'protocol-version': '0' }, /95 .*version 0/],
    ['rings larger than there are', { 'max-ring-page-order': '9' }, 'works'],
    ...optional('protocol-version', 'max-ring-page-order', 'feature-receiver-copy', 'feature-bypass'),
  ],
};
