/**
 * The toolstack's side: attaching, detaching and listing devices as libxl does (spec `xenbus.md` §6, §9).
 *
 * @packageDocumentation
 */
import { type DomainId, domainId, type XenStore } from '@netchannel2/xen';
import createDebug from 'debug';
import { asyncScheduler, type Observable, type SchedulerLike } from 'rxjs';
import {
  backendPath,
  domainPath,
  errorPath,
  frontendPath,
  libxlPath,
  MAX_DEVICE_NUMBER,
  parentPath,
} from '../device-paths';
import type { DeviceClass } from '../driver';
import { removeIfThere, removeWithEmptyParents } from '../state-node';
import { type PeerState, parseXenbusState, XenbusState, xenbusStateName } from '../xenbus-state';
import {
  type DeviceConfiguration,
  type SettledConfiguration,
  settleConfiguration,
} from './device-configuration';
import { type DeviceEntry, deviceNumbers, listDevices, readDevice, watchDevices } from './device-list';
import {
  createDirectories,
  type DeviceIdentity,
  type DeviceNodes,
  REQUESTED_CLASS_NODE,
  vif2Nodes,
  vifNodes,
} from './device-nodes';
import { type HotplugScript, hotplugCall } from './hotplug';
import { waitForNodes } from './wait-for-nodes';

const debug = createDebug('netchannel2:toolstack');

/** Milliseconds, as libxl has them. */
export const BACKEND_TIMEOUT = 10_000;
export const FRONTEND_TIMEOUT = 60_000;
export const REMOVE_TIMEOUT = 10_000;

/** An attach or detach that did not come about. `code` tells the reasons apart. */
export class ToolstackError extends Error {
  override readonly name = 'ToolstackError';
  constructor(
    readonly code:
      | 'no-domain'
      | 'no-device'
      | 'exists'
      | 'no-backend'
      | 'refused'
      | 'timeout'
      | 'hotplug'
      | 'stuck',
    message: string,
  ) {
    super(message);
  }
}

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

export interface AttachOptions {
  /**
   * How far to wait: until the nodes are `created`, the `backend` offers InitWait, or (default) both ends are
   * `connected`. A fallback is decided only by waiting, so `created` never falls back.
   */
  readonly until?: 'created' | 'backend' | 'connected';
  /** Milliseconds for the backend to reach InitWait; default 10 000. */
  readonly backendTimeout?: number;
  /** Milliseconds more for both ends to connect; default 60 000. */
  readonly frontendTimeout?: number;
}

export interface DetachOptions {
  /** Remove at once, without asking the guest. Without it that happens after 10 s of silence. */
  readonly force?: boolean;
}

interface EndStates {
  readonly frontend: PeerState;
  readonly backend: PeerState;
}

export class Toolstack {
  /** All devices with class, ends and states: now and after every change. Cold; holds two watches while subscribed. */
  readonly devices$: Observable<readonly DeviceEntry[]>;
  private readonly domid: DomainId;
  private readonly scheduler: SchedulerLike;
  private readonly random: () => number;
  private readonly hotplug: HotplugScript | undefined;

  constructor(
    private readonly store: XenStore,
    options: ToolstackOptions = {},
  ) {
    this.domid = options.domid ?? domainId(0);
    this.scheduler = options.scheduler ?? asyncScheduler;
    this.random = options.random ?? Math.random;
    this.hotplug = options.hotplug;
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
      await this.settle(device, settled, options);
    } catch (error) {
      await this.removeForced(device);
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
   * @throws {ToolstackError} `no-device`; `stuck` when a driver domain keeps its directory.
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
    if (options.force === true || !(await this.askToClose(device))) {
      await this.removeForced(device, script);
      return;
    }
    await this.plug('offline', device, script ?? '').catch(() => {});
    await this.remove(device);
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
      await this.settle(second, plain, options);
    } catch (error) {
      await this.removeForced(second);
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

  /** Waits as far as wanted; throws when an end fails. */
  private async settle(
    device: DeviceIdentity,
    settled: SettledConfiguration,
    options: AttachOptions,
  ): Promise<void> {
    const until = options.until ?? 'connected';
    if (until === 'created') return;
    const timeout = options.backendTimeout ?? BACKEND_TIMEOUT;
    const offered = await this.waitForEnds(device, timeout, ({ backend }) =>
      atLeast(backend, XenbusState.InitWait),
    );
    if (!offered) {
      throw new ToolstackError(
        'no-backend',
        `domain ${device.backend} did not answer for ${describe(device)} within ${timeout} ms: is a ${device.type} backend bound there?`,
      );
    }
    try {
      await this.plug('online', device, settled.script);
    } catch (error) {
      throw new ToolstackError('hotplug', `hotplug of ${describe(device)} failed: ${messageOf(error)}`);
    }
    if (until === 'backend') return;
    const wait = options.frontendTimeout ?? FRONTEND_TIMEOUT;
    const connected = await this.waitForEnds(
      device,
      wait,
      ({ frontend, backend }) =>
        atLeast(frontend, XenbusState.Connected) && atLeast(backend, XenbusState.Connected),
    );
    if (connected) return;
    const states = await this.statesOf(device);
    throw new ToolstackError(
      'timeout',
      `${describe(device)} did not connect within ${wait} ms: frontend ${xenbusStateName(states.frontend)}, backend ${xenbusStateName(states.backend)}`,
    );
  }

  private async waitForEnds(
    device: DeviceIdentity,
    timeout: number,
    reached: (states: EndStates) => boolean,
  ): Promise<boolean> {
    const { frontend, backend } = endPaths(device);
    const watched = [`${frontend}/state`, `${backend}/state`, `${backend}/hotplug-status`];
    const answer = await waitForNodes(this.store, this.scheduler, watched, timeout, async () => {
      const states = await this.statesOf(device);
      if (reached(states)) return true;
      await this.checkAlive(device, states);
      return undefined;
    });
    return answer === true;
  }

  /** Throws when an end has given up. */
  private async checkAlive(device: DeviceIdentity, states: EndStates): Promise<void> {
    const entry = await readDevice(this.store, device.domid, device.type, device.number);
    if (entry?.hotplugStatus === 'error') {
      const text = await this.store.tryRead(`${entry.backendPath}/hotplug-error`);
      throw new ToolstackError(
        'hotplug',
        `hotplug of ${describe(device)} failed: ${text ?? 'no reason given'}`,
      );
    }
    const over = [states.frontend, states.backend].some(
      (state) => state === 'gone' || state === 5 || state === 6,
    );
    if (!over) return;
    const reason = entry?.errors.join('; ') || 'no reason given';
    throw new ToolstackError(
      'refused',
      `${describe(device)} was given up (frontend ${xenbusStateName(states.frontend)}, backend ${xenbusStateName(states.backend)}): ${reason}`,
    );
  }

  private async statesOf(device: DeviceIdentity): Promise<EndStates> {
    const { frontend, backend } = endPaths(device);
    return {
      frontend: parseXenbusState(await this.store.tryRead(`${frontend}/state`)),
      backend: parseXenbusState(await this.store.tryRead(`${backend}/state`)),
    };
  }

  private async plug(action: 'online' | 'offline', device: DeviceIdentity, script: string): Promise<void> {
    if (this.hotplug === undefined || device.backend !== this.domid) return;
    const { backend } = endPaths(device);
    try {
      await this.hotplug(hotplugCall(action, device, backend, script));
    } catch (error) {
      if (action === 'online') {
        await this.writeBelow(backend, { 'hotplug-error': messageOf(error), 'hotplug-status': 'error' });
      }
      throw error;
    }
    if (action === 'online') await this.writeBelow(backend, { 'hotplug-status': 'connected' });
  }

  private writeBelow(directory: string, nodes: Readonly<Record<string, string>>): Promise<void> {
    return this.store.transaction(async (transaction) => {
      if ((await transaction.tryRead(directory)) === undefined) return;
      for (const [name, value] of Object.entries(nodes))
        await transaction.write(`${directory}/${name}`, value);
    });
  }

  /** Asks the ends to close; answers whether the backend did. */
  private async askToClose(device: DeviceIdentity): Promise<boolean> {
    const { backend } = endPaths(device);
    const there = await this.store.transaction(async (transaction) => {
      const state = await transaction.tryRead(`${backend}/state`);
      if (state === undefined) return false;
      await transaction.write(`${backend}/online`, '0');
      if (state === '6') return true;
      if (device.type === 'vif2') await transaction.write(`${backend}/shutdown-request`, 'normal');
      else if (state !== '5') await transaction.write(`${backend}/state`, '5');
      return true;
    });
    if (!there) return true;
    return this.waitForBackendClosed(device, REMOVE_TIMEOUT);
  }

  private async waitForBackendClosed(device: DeviceIdentity, timeout: number): Promise<boolean> {
    const node = `${endPaths(device).backend}/state`;
    const answer = await waitForNodes(this.store, this.scheduler, [node], timeout, async () => {
      const state = parseXenbusState(await this.store.tryRead(node));
      return state === XenbusState.Closed || state === 'gone' ? true : undefined;
    });
    return answer === true;
  }

  /** The frontend goes first, so that the backend sees it gone and lets go. */
  private async removeForced(device: DeviceIdentity, script = ''): Promise<void> {
    const { frontend, backend } = endPaths(device);
    const waits = await this.store.transaction(async (transaction) => {
      await removeIfThere(transaction, frontend);
      const state = await transaction.tryRead(`${backend}/state`);
      if (state === undefined) return false;
      await transaction.write(`${backend}/online`, '0');
      if (device.type === 'vif2') await transaction.write(`${backend}/shutdown-request`, 'force');
      else if (state !== '5' && state !== '6') await transaction.write(`${backend}/state`, '5');
      // Nobody has touched it yet: there may be no driver to answer.
      return state !== '1';
    });
    if (waits) await this.waitForBackendClosed(device, REMOVE_TIMEOUT);
    await this.plug('offline', device, script).catch(() => {});
    await this.remove(device, true);
  }

  private async remove(device: DeviceIdentity, force = false): Promise<void> {
    const { frontend, backend } = endPaths(device);
    if (device.backend !== this.domid && !force) await this.waitForDriverDomain(device);
    const guest = domainPath(device.domid);
    const host = domainPath(device.backend);
    await this.store.transaction(async (transaction) => {
      await removeWithEmptyParents(transaction, frontend, `${guest}/device`);
      await removeWithEmptyParents(
        transaction,
        libxlPath(device.domid, device.type, device.number),
        '/libxl',
      );
      await removeWithEmptyParents(transaction, backend, host);
      for (const [home, path] of [[guest, frontend] as const, [host, backend] as const]) {
        const error = errorPath(home, path);
        if ((await transaction.tryRead(error)) === undefined) continue;
        await removeWithEmptyParents(transaction, parentPath(error), `${home}/error`);
      }
    });
  }

  /** A driver domain removes its own directory. */
  private async waitForDriverDomain(device: DeviceIdentity): Promise<void> {
    const { backend } = endPaths(device);
    const gone = await waitForNodes(this.store, this.scheduler, [backend], REMOVE_TIMEOUT, async () =>
      (await this.store.tryRead(backend)) === undefined ? true : undefined,
    );
    if (gone !== true) debug('%s was left behind by its driver domain', backend);
  }

  private async entryOf(device: DeviceIdentity): Promise<DeviceEntry> {
    const entry = await readDevice(this.store, device.domid, device.type, device.number);
    if (entry !== undefined) return entry;
    throw new ToolstackError('no-device', `${describe(device)} was removed while it was attached`);
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

function endPaths(device: DeviceIdentity): { readonly frontend: string; readonly backend: string } {
  const { type, domid, number, backend } = device;
  return {
    frontend: frontendPath(domid, type, number),
    backend: backendPath(backend, type, domid, number),
  };
}

function nextNumber(taken: readonly number[], highest: boolean): number {
  const last = highest ? Math.max(-1, ...taken) : (taken.at(-1) ?? -1);
  let number = last + 1;
  while (taken.includes(number)) number += 1;
  return number;
}

/** States between `state` and Closing count as reached: nodes are read after the fact. */
function atLeast(actual: PeerState, state: XenbusState): boolean {
  if (actual === XenbusState.Reconfiguring || actual === XenbusState.Reconfigured) return true;
  return actual !== 'gone' && actual >= state && actual <= XenbusState.Connected;
}

function describe(device: DeviceIdentity): string {
  return `${device.type} ${device.number} of domain ${device.domid}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
