import { type EventChannelPort, eventChannelPort, type XenStore } from '@netchannel2/xen';
import { RingClientEnd, XenStoreClient } from '@netchannel2/xenstore';
import { SimulatedArea } from '../guest/area';
import type { SimulatedEventChannels } from '../guest/simulated-event-channels';
import type { MachineMemory } from '../machine/machine-memory';
import type { StoreStart } from './store-page';

/** A domain's connection to xenstore and how it ends with the domain. */
export interface GuestStore {
  readonly store: XenStore;
  /** The domain has ended: its page may be somebody else's by now. */
  stop(): void;
}

/** The guest kernel's xenstore driver: requests and replies through the page, an event after every step. */
export function openGuestStore(
  memory: MachineMemory,
  events: SimulatedEventChannels,
  start: StoreStart,
): GuestStore {
  const page = SimulatedArea.of(memory, start.address, [start.guestFrame]);
  const port: EventChannelPort = eventChannelPort(start.port);
  const ring = new RingClientEnd(page, () => events.notify(port));
  const store = new XenStoreClient(ring);
  events.listen(port, () => ring.signal());
  return {
    store,
    stop() {
      page.detach(memory.deadArea);
      store.close();
    },
  };
}
