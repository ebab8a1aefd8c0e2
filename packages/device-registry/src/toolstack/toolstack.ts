/**
 * The toolstack's side: attaching, detaching and listing devices as libxl does (spec `xenbus.md` §6, §9).
 *
 * @packageDocumentation
 */
import { type DomainId, domainId, type XenStore } from '@netchannel2/xen';
import createDebug from 'debug';
import { asyncScheduler, type Observable, type SchedulerLike } from 'rxjs';
import { domainPath, libxlPath, MAX_DEVICE_NUMBER } from '../device-paths';
import type { DeviceClass } from '../driver';
import { type AttachOptions, DeviceArrival } from './device-arrival';
import {
  type DeviceConfiguration,
  type SettledConfiguration,
  settleConfiguration,
} from './device-configuration';
import { describeDevice } from './device-ends';
import { type DeviceEntry, deviceNumbers, listDevices, readDevice, watchDevices } from './device-list';
import {
  createDirectories,
  type DeviceIdentity,
  type DeviceNodes,
  REQUESTED_CLASS_NODE,
  vif2Nodes,
  vifNodes,
} from './device-nodes';
import { DeviceRemoval } from './device-removal';
import { HostSide } from './host-side';
import type { HotplugScript } from './hotplug';
import { ToolstackError } from './toolstack-error';

const debug = createDebug('netchannel2:toolstack');

export interface ToolstackOptions {
  /** The domain `store` speaks for; default 0. */
  readonly domid?: DomainId;
  /** Default: real time. */
  readonly scheduler?: SchedulerLike;
  /** For MACs nobody chose; default `Math.random`. */
  readonly random?: () => number;
  /**
   * Plugs the host side in, for backends in the toolstack's own domain. Without it somebody else writes
   * `hotplug-status`: the backend itself, or a driver domain's own daemon.
   */
  readonly hotplug?: HotplugScript;
}

export interface DetachOptions {
  /** Remove at once, without asking the guest. Without it that happens after 10 s of silence. */
  readonly force?: boolean;
}

export class Toolstack {
  /** All devices with class, ends and states: now and after every change. Cold; holds two watches while subscribed. */
  readonly devices$: Observable<readonly DeviceEntry[]>;
  private readonly domid: DomainId;
  private readonly random: () => number;
  private readonly arrival: DeviceArrival;
  private readonly removal: DeviceRemoval;

  constructor(
    private readonly store: XenStore,
    options: ToolstackOptions = {},
  ) {
    this.domid = options.domid ?? domainId(0);
    this.random = options.random ?? Math.random;
    const scheduler = options.scheduler ?? asyncScheduler;
    const host = new HostSide(store, this.domid, options.hotplug);
    this.arrival = new DeviceArrival(store, scheduler, host);
    this.removal = new DeviceRemoval(store, scheduler, this.domid, host);
    this.devices$ = watchDevices(store);
  }

  list(): Promise<DeviceEntry[]> {
    return listDevices(this.store);
  }

  /** One device, `undefined` where there is none. */
  find(domid: DomainId, type: DeviceClass, number: number): Promise<DeviceEntry | undefined> {
    return readDevice(this.store, domid, type, number);
  }

  /**
   * Makes a device and waits for its ends to connect. An attach that fails leaves no node.
   *
   * @returns the device; of class `vif` where a vif2 was asked for with `fallback` and an end could not serve it.
   * @throws {ConfigurationError} on a configuration that cannot be used.
   * @throws {ToolstackError} when the guest or backend domain is not there, the number is taken, an end does not answer
   * in time or gives up (its error node is in the message), or the hotplug script fails.
   */
  async attach(
    domid: DomainId,
    configuration: DeviceConfiguration,
    options: AttachOptions = {},
  ): Promise<DeviceEntry> {
    const settled = settleConfiguration(configuration, this.domid, this.random);
    const name = await this.nameOf(domid);
    await this.requireDomain(settled.backend);
    const device = await this.create(domid, settled, name, undefined);
    try {
      await this.arrival.settle(device, settled, options);
    } catch (error) {
      await this.removal.force(device);
      const unserved = error instanceof ToolstackError && error.code !== 'hotplug';
      if (!settled.fallback || !unserved) throw error;
      debug('%s: falls back to vif: %s', device.number, error.message);
      return this.fallBack(device, settled, name, options);
    }
    return this.entryOf(device);
  }

  /**
   * Takes a device away: asks, waits for the backend to close, removes every node. Without an answer it is removed by
   * force.
   *
   * A driver domain has 10 s to remove its own directory, then it goes too.
   *
   * @throws {ToolstackError} `no-device`.
   */
  async detach(
    domid: DomainId,
    type: DeviceClass,
    number: number,
    options: DetachOptions = {},
  ): Promise<void> {
    const device = await readDevice(this.store, domid, type, number);
    if (device === undefined) {
      throw new ToolstackError('no-device', `domain ${domid} has no ${type} number ${number}`);
    }
    const script = await this.store.tryRead(`${libxlPath(domid, type, number)}/script`);
    if (options.force === true) await this.removal.force(device, script);
    else await this.removal.remove(device, script);
  }

  /** Takes all devices of a guest away, at once. */
  async detachAll(domid: DomainId, options: DetachOptions = {}): Promise<void> {
    const devices = (await this.list()).filter((device) => device.domid === domid);
    await Promise.all(devices.map((device) => this.detach(domid, device.type, device.number, options)));
  }

  private async fallBack(
    device: DeviceIdentity,
    settled: SettledConfiguration,
    name: string,
    options: AttachOptions,
  ): Promise<DeviceEntry> {
    const plain: SettledConfiguration = { ...settled, type: 'vif', number: device.number };
    const second = await this.create(device.domid, plain, name, 'vif2');
    try {
      await this.arrival.settle(second, plain, options);
    } catch (error) {
      await this.removal.force(second);
      throw error;
    }
    return this.entryOf(second);
  }

  private async create(
    domid: DomainId,
    settled: SettledConfiguration,
    name: string,
    requested: DeviceClass | undefined,
  ): Promise<DeviceIdentity> {
    const { type, backend } = settled;
    return this.store.transaction(async (transaction) => {
      const taken = await deviceNumbers(transaction, domid, type);
      // A fallback keeps the number, so it must be free in both classes.
      if (settled.fallback && type === 'vif2')
        taken.push(...(await deviceNumbers(transaction, domid, 'vif')));
      const number = settled.number ?? nextNumber(taken, settled.fallback);
      if (taken.includes(number)) {
        throw new ToolstackError('exists', `domain ${domid} already has a ${type} number ${number}`);
      }
      if (number > MAX_DEVICE_NUMBER) {
        throw new ToolstackError('exists', `domain ${domid} has no free ${type} number`);
      }
      const device: DeviceIdentity = { type, domid, number, backend };
      const nodes = this.nodesOf(device, settled, name);
      const record =
        requested === undefined
          ? nodes.record
          : [...nodes.record, [REQUESTED_CLASS_NODE, requested] as const];
      await createDirectories(transaction, device, { ...nodes, record }, this.domid);
      return device;
    });
  }

  private nodesOf(device: DeviceIdentity, settled: SettledConfiguration, name: string): DeviceNodes {
    return device.type === 'vif' ? vifNodes(device, settled) : vif2Nodes(device, settled, name, this.random);
  }

  private async entryOf(device: DeviceIdentity): Promise<DeviceEntry> {
    const entry = await readDevice(this.store, device.domid, device.type, device.number);
    if (entry !== undefined) return entry;
    throw new ToolstackError('no-device', `${describeDevice(device)} was removed while it was attached`);
  }

  private async nameOf(domid: DomainId): Promise<string> {
    await this.requireDomain(domid);
    return (await this.store.tryRead(`${domainPath(domid)}/name`)) ?? `Domain-${domid}`;
  }

  private async requireDomain(domid: DomainId): Promise<void> {
    if ((await this.store.tryRead(domainPath(domid))) !== undefined) return;
    throw new ToolstackError('no-domain', `there is no domain ${domid}: ${domainPath(domid)} does not exist`);
  }
}

function nextNumber(taken: readonly number[], highest: boolean): number {
  const last = highest ? Math.max(-1, ...taken) : (taken.at(-1) ?? -1);
  let number = last + 1;
  while (taken.includes(number)) number += 1;
  return number;
}
