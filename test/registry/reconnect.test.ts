/** Connections that are built again under traffic, with the real drivers: no frame may be delivered twice. */
import {
  type BackendBinding,
  bindBackends,
  bindFrontends,
  DEVICE_CLASSES,
  type DeviceClass,
  type FrontendBinding,
  type FrontendDevice,
  Toolstack,
} from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import type { FramePort } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const HEADER = [0x00, 0x16, 0x3e, 0, 0, 2, 0x00, 0x16, 0x3e, 0, 0, 1, 0x88, 0xb5];
const asPort = (device: object): FramePort => device as unknown as FramePort;

/** One end of the traffic: what it sent, what arrived, whatever its device is at the moment. */
class End {
  readonly arrived: number[] = [];
  private next = 0;

  constructor(private readonly devices: () => readonly object[]) {}

  hear(device: object): void {
    asPort(device).frames$.subscribe((frame) => {
      const bytes = frame.toBytes();
      this.arrived.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(HEADER.length));
    });
  }

  send(): void {
    const device = this.devices()[0];
    if (device === undefined) return;
    const bytes = new Uint8Array(60 + ((this.next * 397) % 1400));
    bytes.set(HEADER);
    new DataView(bytes.buffer).setUint32(HEADER.length, this.next);
    if (asPort(device).send(bytes)) this.next += 1;
  }
}

describe.each(DEVICE_CLASSES)('%s under traffic', (type: DeviceClass) => {
  let machine: Machine;
  let dom0: SimulatedDomain;
  let guest: SimulatedDomain;
  let toolstack: Toolstack;
  let frontends: FrontendBinding<FrontendDevice>;
  let backends: BackendBinding<object>;
  let front: End;
  let back: End;
  let stopTraffic = () => {};

  const bindBack = (): BackendBinding<object> => {
    const binding: BackendBinding<object> =
      type === 'vif'
        ? bindBackends(dom0, netbackDriver())
        : bindBackends(dom0, netback2Driver({ poolPages: 128 }));
    binding.devices$.subscribe((device) => back.hear(device));
    return binding;
  };
  const states = () =>
    [...frontends.connections, ...backends.connections].map((connection) => connection.state);
  const flows = async () => {
    const [toBack, toFront] = [back.arrived.length, front.arrived.length];
    await expect
      .poll(() => [back.arrived.length > toBack + 50, front.arrived.length > toFront + 50], {
        timeout: 20_000,
      })
      .toEqual([true, true]);
  };
  const inOrderAndOnce = ({ arrived }: End) =>
    expect(arrived.every((number, index) => index === 0 || number > (arrived[index - 1] ?? -1))).toBe(true);

  beforeEach(async () => {
    machine = Machine.boot({ memoryBytes: 64 << 20 });
    dom0 = machine.createDomain({ name: 'dom0', memoryPages: 4096 });
    guest = machine.createDomain({ name: 'guest', memoryPages: 2048 });
    await guest.store.read('name');
    toolstack = new Toolstack(dom0.store);
    front = new End(() => frontends.devices);
    back = new End(() => backends.devices);
    backends = bindBack();
    frontends =
      type === 'vif'
        ? (bindFrontends(guest, netfrontDriver()) as FrontendBinding<FrontendDevice>)
        : bindFrontends(guest, netfront2Driver({ poolPages: 128 }));
    frontends.devices$.subscribe((device) => front.hear(device));
    await toolstack.attach(guest.id, { type, guestTrusted: true });
    let going = true;
    const round = (): void => {
      if (!going) return;
      for (let count = 0; count < 8; count++) {
        guest.run(() => front.send());
        dom0.run(() => back.send());
      }
      setImmediate(round);
    };
    round();
    stopTraffic = () => {
      going = false;
    };
  });

  afterEach(async () => {
    stopTraffic();
    await machine.idle();
    inOrderAndOnce(front);
    inOrderAndOnce(back);
    await toolstack.detach(guest.id, type, 0);
    await frontends.close();
    await backends.close();
    await machine.idle();
    const leaks = machine.leaks().map((leak) => leak.message);
    machine.shutdown();
    expect(leaks).toEqual([]);
  });

  it('a guest that was suspended and resumed builds its rings again', async () => {
    for (let round = 0; round < 3; round++) {
      await flows();
      const [old] = frontends.devices;
      frontends.resume();
      await expect
        .poll(() => frontends.devices[0] !== old && states().join(), { timeout: 20_000 })
        .toBe('4,4');
    }
    await flows();
  });

  it('a suspend that is cancelled leaves the rings as they are', async () => {
    await flows();
    const before = [...frontends.devices, ...backends.devices];
    await dom0.store.write(`/local/domain/${guest.id}/control/shutdown`, 'suspend');
    await dom0.store.write(`/local/domain/${guest.id}/control/shutdown`, '');
    await flows();
    expect([...frontends.devices, ...backends.devices]).toEqual(before);
  });

  it('a backend that leaves and comes back is connected again, by the same frontend', async () => {
    await flows();
    const [same] = frontends.devices;
    await backends.close();
    backends = bindBack();
    await expect.poll(() => states().join(), { timeout: 20_000 }).toBe('4,4');
    expect(frontends.devices[0]).toBe(same);
    await flows();
  });

  it('a frontend that writes 1 under the backend’s feet starts over', async () => {
    await flows();
    await dom0.store.write(`/local/domain/${guest.id}/device/${type}/0/state`, '1');
    await expect
      .poll(
        async () => {
          const path = `/local/domain/0/backend/${type}/${guest.id}/0/state`;
          return [states().join(), await dom0.store.read(path)];
        },
        { timeout: 20_000 },
      )
      .toEqual(['4,4', '4']);
    await flows();
  });
});
