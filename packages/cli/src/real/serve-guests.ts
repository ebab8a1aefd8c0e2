import {
  type BackendBinding,
  type BackendOptions,
  bindBackends,
  type DeviceConnection,
  XenbusState,
  xenbusStateName,
} from '@netchannel2/device-registry';
import { type Netback, netbackDriver } from '@netchannel2/netback';
import { TapPort } from '@netchannel2/tap';
import type { Domain, DomainId, DomainMemory } from '@netchannel2/xen';
import type { Subscription } from 'rxjs';
import { cable } from './cable';
import type { HostNetwork } from './host-network';
import { writePlugStatus } from './plug-status';
import { portTally } from './port-tally';

const DEFAULT_MTU = 1500;

export interface GuestServerOptions {
  /** Whose vifs to serve, `all` or one domain's. */
  readonly guests: DomainId | 'all';
  /** Linux bridge each TAP is put on; none: the TAPs stand alone. */
  readonly bridge: string | undefined;
  /** Checksum and segmentation offloads between guest and host. */
  readonly offloads: boolean;
  /**
   * Who plugs in the host side: the toolstack's own script, which writes `hotplug-status`; this process, by running the script
   * the toolstack named (in a driver domain); or this process alone, without a script.
   */
  readonly hotplug: 'toolstack' | 'script' | 'none';
  readonly network: HostNetwork;
  /** One line a change. */
  readonly log: (line: string) => void;
  readonly openTap?: (name: string, memory: DomainMemory, offloads: boolean) => TapPort;
}

/** Serves guests of a real host: a vif backend and a TAP named as Xen's scripts expect for each device. */
export class GuestServer {
  private readonly binding: BackendBinding<Netback>;
  private readonly subscription: Subscription;
  private readonly served = new Set<Promise<void>>();

  constructor(
    private readonly domain: Domain,
    private readonly options: GuestServerOptions,
  ) {
    const { guests, offloads } = options;
    const settings: Partial<BackendOptions> = {
      // Whoever plugs in says when it is done: a guest that is told of its device before that loses its first frames.
      hotplug: 'script',
      ...(guests === 'all' ? {} : { serves: (frontend: DomainId) => frontend === guests }),
    };
    const features = offloads ? {} : { gsoTcpv4: false, gsoTcpv6: false };
    this.binding = bindBackends(domain, netbackDriver({ features }), settings);
    this.subscription = this.binding.connections$.subscribe((connection) => this.serve(connection));
  }

  /** Devices there are now. */
  get devices(): readonly Netback[] {
    return this.binding.devices;
  }

  /** Closes all devices and takes their TAPs away. */
  async close(): Promise<void> {
    await this.binding.close();
    this.subscription.unsubscribe();
    await Promise.all(this.served);
  }

  /** The TAP is there before the device reaches InitWait, so a script that is run then finds it. */
  private serve(connection: DeviceConnection<Netback>): void {
    const { device, link } = connection;
    const { options } = this;
    let tap: TapPort;
    try {
      tap = this.openTap(device.name);
    } catch (error) {
      options.log(`${device.name}: ${messageOf(error)}`);
      void connection.close();
      return;
    }
    tap.setCarrier(false);
    const joined = cable(device, tap);
    const plugged = this.plugIn(connection, tap)
      .catch((error: unknown) => {
        options.log(`${device.name}: ${messageOf(error)}`);
        return messageOf(error);
      })
      .then((failure) => this.tellPlugged(link.ownPath, failure))
      .catch((error: unknown) => options.log(`${device.name}: ${messageOf(error)}`));
    options.log(`${device.name}: domain ${link.peer}, device ${link.number}`);
    joined.add(
      connection.state$.subscribe((state) => {
        tap.setCarrier(state === XenbusState.Connected);
        options.log(`${device.name}: ${xenbusStateName(state)}`);
      }),
    );
    const gone = new Promise<void>((resolve) => {
      // At once: the name must be free when the device is made anew, as after a guest's reboot.
      const complete = (): void => {
        joined.unsubscribe();
        tap.close();
        resolve();
      };
      device.frames$.subscribe({ complete });
    }).then(async () => {
      await plugged;
      await this.plugOut(connection);
      options.log(`${device.name}: gone; ${portTally(device.counters)}; its TAP ${portTally(tap.counters)}`);
    });
    this.served.add(gone);
    void gone.finally(() => this.served.delete(gone));
  }

  private openTap(name: string): TapPort {
    const { openTap, offloads } = this.options;
    const { memory } = this.domain;
    return openTap?.(name, memory, offloads) ?? new TapPort({ name, memory, offloads });
  }

  /** The toolstack's script has the last word where it is the one that plugs in. */
  private async tellPlugged(device: string, failure: string | undefined): Promise<void> {
    if (this.options.hotplug !== 'toolstack') await writePlugStatus(this.domain.store, device, failure);
  }

  private async plugIn({ link, device }: DeviceConnection<Netback>, tap: TapPort): Promise<undefined> {
    const { network, bridge, hotplug } = this.options;
    const mtu = Number((await link.readOwn('mtu')) ?? DEFAULT_MTU);
    await network.plug(tap.name, Number.isInteger(mtu) && mtu >= 68 ? mtu : DEFAULT_MTU, bridge);
    const script = await link.readOwn('script');
    if (hotplug === 'script' && script !== undefined) {
      await network.script(script, 'online', scriptEnvironment(script, link.ownPath, device.name));
    }
  }

  private async plugOut({ link, device }: DeviceConnection<Netback>): Promise<void> {
    if (this.options.hotplug !== 'script') return;
    const script = await link.readOwn('script').catch(() => undefined);
    if (script === undefined) return;
    await this.options.network
      .script(script, 'offline', scriptEnvironment(script, link.ownPath, device.name))
      .catch((error: unknown) => this.options.log(`${device.name}: ${messageOf(error)}`));
  }
}

function scriptEnvironment(script: string, ownPath: string, vif: string): Record<string, string> {
  return {
    script,
    XENBUS_TYPE: 'vif',
    XENBUS_PATH: ownPath.slice(ownPath.indexOf('backend/')),
    XENBUS_BASE_PATH: 'backend',
    vif,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
