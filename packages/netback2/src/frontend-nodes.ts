import { DeviceError, type DeviceLink, requireDecimal } from '@netchannel2/device-registry';
import { type EventChannelPort, eventChannelPort, type GrantRef, grantRef } from '@netchannel2/xen';

/** What a frontend published about its rings (spec vif2.md §8.1). */
export interface FrontendNodes {
  readonly controlRef: GrantRef;
  /** Ring A: the frontend produces. */
  readonly frontendRefs: readonly GrantRef[];
  /** Ring B: the backend produces. */
  readonly backendRefs: readonly GrantRef[];
  readonly port: EventChannelPort;
  /** Of the frontend's grant table, as it says; 2 where it does not. */
  readonly tableVersion: 1 | 2;
  /** It agrees to bypasses. */
  readonly bypass: boolean;
}

const SINGLE = [
  'protocol-version',
  'ring-layout',
  'ring-page-order',
  'control-ring-ref',
  'event-channel',
  'gnttab-version',
  'feature-bypass',
];

/**
 * Reads and checks the frontend's nodes, all at once and once only: it may change them at any time.
 *
 * @param maxOrder largest ring order offered.
 * @throws {DeviceError} `EINVAL`, `EPROTO` or `EOPNOTSUPP`, naming the node.
 */
export async function readFrontendNodes(link: DeviceLink, maxOrder: number): Promise<FrontendNodes> {
  const pagesAtMost = 1 << maxOrder;
  const names = [...SINGLE];
  for (let page = 0; page < pagesAtMost; page += 1) {
    names.push(`prod-ring-ref-${page}`, `cons-ring-ref-${page}`);
  }
  const nodes = await link.readPeerAll(names);
  const decimal = (node: string, max?: number) => requireDecimal(node, nodes.get(node), max);
  if (decimal('protocol-version') !== 1) {
    throw new DeviceError('EOPNOTSUPP', `protocol-version ${nodes.get('protocol-version')} was not offered`);
  }
  const layout = nodes.get('ring-layout') ?? 'prod-cons';
  if (layout !== 'prod-cons') throw new DeviceError('EPROTO', 'ring-layout is not prod-cons');
  const order = nodes.has('ring-page-order') ? decimal('ring-page-order', maxOrder) : 0;
  const refs = (ring: string) =>
    Array.from({ length: 1 << order }, (_, page) => grantRef(decimal(`${ring}-ring-ref-${page}`)));
  return {
    controlRef: grantRef(decimal('control-ring-ref')),
    frontendRefs: refs('prod'),
    backendRefs: refs('cons'),
    port: eventChannelPort(decimal('event-channel')),
    tableVersion: nodes.get('gnttab-version') === '1' ? 1 : 2,
    bypass: nodes.get('feature-bypass') === '1',
  };
}
