import {
  bindFrontends,
  type FrontendBinding,
  XenbusState,
  xenbusStateName,
} from '@netchannel2/device-registry';
import { type Netfront, netfrontDriver } from '@netchannel2/netfront';
import { TapPort } from '@netchannel2/tap';
import type { Domain } from '@netchannel2/xen';
import { Subscription } from 'rxjs';
import { cable } from './cable';
import type { HostNetwork } from './host-network';

export interface FrontendServerOptions {
  readonly number: number;
  /** The TAP that shows the device to this domain's network. */
  readonly tap: string;
  readonly mtu: number;
  readonly network: HostNetwork;
  readonly log: (line: string) => void;
}

/** One vif of this domain with a frontend in user space, joined to a TAP. */
export class FrontendServer {
  private readonly binding: FrontendBinding<Netfront>;
  private readonly joined = new Subscription();

  /** @throws TapError when the TAP cannot be made. */
  constructor(domain: Domain, options: FrontendServerOptions) {
    const { number, log } = options;
    // The kernel can only give a whole packet to a TAP it told of offloads, so both are asked for or neither.
    const tap = new TapPort({ name: options.tap, memory: domain.memory });
    this.joined.add(() => tap.close());
    tap.setCarrier(false);
    void options.network.plug(tap.name, options.mtu, undefined).catch((error: unknown) => log(String(error)));
    this.binding = bindFrontends(domain, netfrontDriver(), { serves: (other) => other === number });
    this.joined.add(
      this.binding.connections$.subscribe(({ device, state$ }) => {
        this.joined.add(cable(device, tap));
        this.joined.add(
          state$.subscribe((state) => {
            tap.setCarrier(state === XenbusState.Connected);
            log(
              `${device.name}: ${xenbusStateName(state)}${device.mac === undefined ? '' : `, ${device.mac}`}`,
            );
          }),
        );
      }),
    );
  }

  async close(): Promise<void> {
    await this.binding.close();
    this.joined.unsubscribe();
  }
}
