/**
 * The devices there are, from the toolstack's own records.
 *
 * @packageDocumentation
 */
import type { DomainId, XenStore, XenStoreOperations } from '@netchannel2/xen';
import { Observable } from 'rxjs';
import {
  DEVICE_CLASSES,
  domainPath,
  errorPath,
  libxlPath,
  parseDeviceNumber,
  parseDomainId,
} from '../device-paths';
import type { DeviceClass } from '../driver';
import { PassLoop } from '../pass-loop';
import { childrenOf } from '../state-node';
import { type PeerState, parseXenbusState } from '../xenbus-state';
import { type DeviceIdentity, REQUESTED_CLASS_NODE } from './device-nodes';

/** One device as the toolstack sees it. */
export interface DeviceEntry extends DeviceIdentity {
  readonly frontendPath: string;
  readonly backendPath: string;
  readonly frontendState: PeerState;
  readonly backendState: PeerState;
  /** The guest's MAC. */
  readonly mac: string | undefined;
  readonly bridge: string | undefined;
  /** `connected`, `error`, or empty while nobody said. */
  readonly hotplugStatus: string | undefined;
  /** The class asked for, where this one is the fallback. */
  readonly requestedType: DeviceClass | undefined;
  /** The ends' error nodes, `<errno> <message>`, frontend first. */
  readonly errors: readonly string[];
}

/** All devices, ordered by guest as the store has them, vif before vif2, in the order they were attached. */
export async function listDevices(store: XenStoreOperations): Promise<DeviceEntry[]> {
  const entries: DeviceEntry[] = [];
  for (const guest of await childrenOf(store, '/libxl')) {
    const domid = parseDomainId(guest);
    if (domid !== undefined) entries.push(...(await listDomainDevices(store, domid)));
  }
  return entries;
}

export async function listDomainDevices(store: XenStoreOperations, domid: DomainId): Promise<DeviceEntry[]> {
  const entries: DeviceEntry[] = [];
  for (const type of DEVICE_CLASSES) {
    for (const number of await deviceNumbers(store, domid, type)) {
      const entry = await readDevice(store, domid, type, number);
      if (entry !== undefined) entries.push(entry);
    }
  }
  return entries;
}

/** Numbers in use, in creation order. */
export async function deviceNumbers(
  store: XenStoreOperations,
  domid: DomainId,
  type: DeviceClass,
): Promise<number[]> {
  const names = await childrenOf(store, `/libxl/${domid}/device/${type}`);
  return names.map(parseDeviceNumber).filter((number) => number !== undefined);
}

/** One device, `undefined` when the toolstack has no record of it. */
export async function readDevice(
  store: XenStoreOperations,
  domid: DomainId,
  type: DeviceClass,
  number: number,
): Promise<DeviceEntry | undefined> {
  const record = libxlPath(domid, type, number);
  const frontend = await store.tryRead(`${record}/frontend`);
  const backend = await store.tryRead(`${record}/backend`);
  const owner = parseDomainId(backend?.split('/')[3]);
  if (frontend === undefined || backend === undefined || owner === undefined) return undefined;
  const errors = [
    await store.tryRead(errorPath(domainPath(domid), frontend)),
    await store.tryRead(errorPath(domainPath(owner), backend)),
  ];
  const requested = await store.tryRead(`${record}/${REQUESTED_CLASS_NODE}`);
  return {
    type,
    domid,
    number,
    backend: owner,
    frontendPath: frontend,
    backendPath: backend,
    frontendState: parseXenbusState(await store.tryRead(`${frontend}/state`)),
    backendState: parseXenbusState(await store.tryRead(`${backend}/state`)),
    mac: await store.tryRead(`${record}/${type === 'vif' ? 'mac' : 'remote-mac'}`),
    bridge: await store.tryRead(`${record}/bridge`),
    hotplugStatus: await store.tryRead(`${backend}/hotplug-status`),
    requestedType: DEVICE_CLASSES.find((name) => name === requested),
    errors: errors.filter((error) => error !== undefined),
  };
}

const RELEVANT =
  /^\/local\/domain\/[0-9]+\/(?:error\/)?(?:backend\/vif2?\/[0-9]+|device\/vif2?)(?:\/[0-9]+(?:\/(?:state|hotplug-status|error))?)?$/;

/** The list now and after every change; two watches whatever the number of devices, while subscribed. */
export function watchDevices(store: XenStore): Observable<readonly DeviceEntry[]> {
  return new Observable((subscriber) => {
    let last = '';
    const loop = new PassLoop(async () => {
      try {
        const entries = await listDevices(store);
        const text = JSON.stringify(entries);
        if (text === last) return;
        last = text;
        subscriber.next(entries);
      } catch (error) {
        subscriber.error(error);
      }
    });
    const error = (reason: unknown) => subscriber.error(reason);
    subscriber.add(() => loop.stop());
    subscriber.add(store.watch('/libxl').subscribe({ next: () => loop.request(), error }));
    subscriber.add(
      store.watch('/local/domain').subscribe({
        next: (event) => {
          if (RELEVANT.test(event.path)) loop.request();
        },
        error,
      }),
    );
  });
}
