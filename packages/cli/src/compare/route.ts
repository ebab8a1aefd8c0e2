import type { DeviceClass } from '@netchannel2/device-registry';

/** How a frame gets to its receiver. */
export type Way =
  /** Bytes are moved by dom0, or once by whoever is at the other end of the device. */
  | 'copy'
  /** Dom0 hands on a grant; the receiver copies out of the sender's page. */
  | 'transitive'
  /** A ring between the two guests; dom0 is not in the data path. */
  | 'bypass';

export type Place = 'guest' | 'dom0';

/** One row of the comparison. */
export interface Route {
  readonly class: DeviceClass;
  readonly from: Place;
  readonly to: Place;
  readonly way: Way;
}

/** All rows, those to be compared with each other next to each other. */
export const ROUTES: readonly Route[] = [
  { class: 'vif', from: 'guest', to: 'dom0', way: 'copy' },
  { class: 'vif2', from: 'guest', to: 'dom0', way: 'copy' },
  { class: 'vif', from: 'dom0', to: 'guest', way: 'copy' },
  { class: 'vif2', from: 'dom0', to: 'guest', way: 'copy' },
  { class: 'vif', from: 'guest', to: 'guest', way: 'copy' },
  { class: 'vif2', from: 'guest', to: 'guest', way: 'copy' },
  { class: 'vif2', from: 'guest', to: 'guest', way: 'transitive' },
  { class: 'vif2', from: 'guest', to: 'guest', way: 'bypass' },
];

/** What one domain spent on each frame. */
export interface DomainCost {
  readonly role: 'sender' | 'dom0' | 'receiver';
  readonly nsPerFrame: number;
  /** By this domain's CPU. */
  readonly bytesCopiedPerFrame: number;
  readonly grantOperationsPerFrame: number;
  readonly notificationsPerFrame: number;
}

export interface RouteResult extends Route {
  readonly frames: number;
  readonly framesPerSecond: number;
  /** Sender, dom0, receiver; dom0 once where it is one of the ends. */
  readonly domains: readonly DomainCost[];
}

/** `guest → dom0` */
export const journeyOf = ({ from, to }: Route): string => `${from} → ${to}`;

/** What the domain in the middle, or at one end, spent. */
export function dom0Cost(result: RouteResult): DomainCost {
  const cost = result.domains.find((domain) => domain.role === 'dom0');
  if (cost === undefined) throw new Error(`${journeyOf(result)} has no dom0`);
  return cost;
}
