import {
  bindFrontends,
  type FrontendBinding,
  XenbusState,
  xenbusStateName,
} from '@netchannel2/device-registry';
import { type Netfront, netfrontDriver } from '@netchannel2/netfront';
import type { Domain } from '@netchannel2/xen';
import { Subscription } from 'rxjs';
import type { FrontendEnd } from './frontend-end';

export interface FrontendServerOptions {
  readonly number: number;
  /** What the device is joined to; closed with the server. */
  readonly end: FrontendEnd;
  readonly log: (line: string) => void;
}

/** One vif of this domain with a frontend in user space. */
export class FrontendServer {
  private readonly binding: FrontendBinding<Netfront>;
  private readonly joined = new Subscription();

  constructor(domain: Domain, options: FrontendServerOptions) {
    const { number, end, log } = options;
    this.joined.add(() => end.close());
    this.binding = bindFrontends(domain, netfrontDriver(), { serves: (other) => other === number });
    this.joined.add(
      this.binding.connections$.subscribe(({ device, state$ }) => {
        this.joined.add(end.join(device));
        this.joined.add(
          state$.subscribe((state) => {
            log(
              `${device.name}: ${xenbusStateName(state)}${device.mac === undefined ? '' : `, ${device.mac}`}`,
            );
            end.setCarrier(state === XenbusState.Connected);
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
