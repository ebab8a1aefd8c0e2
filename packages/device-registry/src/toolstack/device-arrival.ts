/**
 * An attach after its nodes are there: the ends come up one after the other, or the reason why they do not.
 *
 * @packageDocumentation
 */
import type { XenStore } from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { XenbusState, xenbusStateName } from '../xenbus-state';
import type { SettledConfiguration } from './device-configuration';
import { atLeast, describeDevice, type EndStates, endPaths, readEndStates } from './device-ends';
import { readDevice } from './device-list';
import type { DeviceIdentity } from './device-nodes';
import { type HostSide, messageOf } from './host-side';
import { ToolstackError } from './toolstack-error';
import { waitForNodes } from './wait-for-nodes';

/** Milliseconds, as libxl has them. */
export const BACKEND_TIMEOUT = 10_000;
export const FRONTEND_TIMEOUT = 60_000;

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

export class DeviceArrival {
  constructor(
    private readonly store: XenStore,
    private readonly scheduler: SchedulerLike,
    private readonly host: HostSide,
  ) {}

  /** Waits as far as wanted; throws when an end fails. */
  async settle(device: DeviceIdentity, settled: SettledConfiguration, options: AttachOptions): Promise<void> {
    const until = options.until ?? 'connected';
    if (until === 'created') return;
    const timeout = options.backendTimeout ?? BACKEND_TIMEOUT;
    const offered = await this.waitForEnds(device, timeout, ({ backend }) =>
      atLeast(backend, XenbusState.InitWait),
    );
    if (!offered) {
      throw new ToolstackError(
        'no-backend',
        `domain ${device.backend} did not answer for ${describeDevice(device)} within ${timeout} ms: is a ${device.type} backend bound there?`,
      );
    }
    try {
      await this.host.plug('online', device, settled.script);
    } catch (error) {
      throw new ToolstackError('hotplug', `hotplug of ${describeDevice(device)} failed: ${messageOf(error)}`);
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
    const states = await readEndStates(this.store, device);
    throw new ToolstackError(
      'timeout',
      `${describeDevice(device)} did not connect within ${wait} ms: frontend ${xenbusStateName(states.frontend)}, backend ${xenbusStateName(states.backend)}`,
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
      const states = await readEndStates(this.store, device);
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
        `hotplug of ${describeDevice(device)} failed: ${text ?? 'no reason given'}`,
      );
    }
    const over = [states.frontend, states.backend].some(
      (state) => state === 'gone' || state === 5 || state === 6,
    );
    if (!over) return;
    const reason = entry?.errors.join('; ') || 'no reason given';
    throw new ToolstackError(
      'refused',
      `${describeDevice(device)} was given up (frontend ${xenbusStateName(states.frontend)}, backend ${xenbusStateName(states.backend)}): ${reason}`,
    );
  }
}
