/**
 * The two ends of a device: where their directories are, and how far they have come.
 *
 * @packageDocumentation
 */
import type { XenStore } from '@netchannel2/xen';
import { backendPath, frontendPath } from '../device-paths';
import { type PeerState, parseXenbusState, XenbusState } from '../xenbus-state';
import type { DeviceIdentity } from './device-nodes';

export interface EndStates {
  readonly frontend: PeerState;
  readonly backend: PeerState;
}

/** Directories of the ends, absolute. */
export function endPaths(device: DeviceIdentity): { readonly frontend: string; readonly backend: string } {
  const { type, domid, number, backend } = device;
  return {
    frontend: frontendPath(domid, type, number),
    backend: backendPath(backend, type, domid, number),
  };
}

export async function readEndStates(store: XenStore, device: DeviceIdentity): Promise<EndStates> {
  const { frontend, backend } = endPaths(device);
  return {
    frontend: parseXenbusState(await store.tryRead(`${frontend}/state`)),
    backend: parseXenbusState(await store.tryRead(`${backend}/state`)),
  };
}

/** States between `state` and Closing count as reached: nodes are read after the fact. */
export function atLeast(actual: PeerState, state: XenbusState): boolean {
  if (actual === XenbusState.Reconfiguring || actual === XenbusState.Reconfigured) return true;
  return actual !== 'gone' && actual >= state && actual <= XenbusState.Connected;
}

export function describeDevice(device: DeviceIdentity): string {
  return `${device.type} ${device.number} of domain ${device.domid}`;
}
