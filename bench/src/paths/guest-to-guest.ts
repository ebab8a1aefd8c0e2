import { Bridge } from '@netchannel2/bridge';
import type { BackendDevice, DeviceClass, FrontendDevice } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { Machine } from '@netchannel2/hypervisor';
import { WiredDevice } from '@netchannel2/testing';
import type { Domain, FramePort } from '@netchannel2/xen';
import { type Measured, measuredOf } from '../measured';
import { measureRate, type RateOptions } from '../rate';
import { BACKENDS, FRONTENDS } from './drivers';
import { benchFrame, Receiver, Sender } from './lane';

/**
 * Frames under way at most: a bridge drops what its next port has no room for, and a benchmark counts no drops. As many as in
 * `nc2 compare`: with more than the half of a receiver's credit that one sender's grants may take, dom0 copies some long frames.
 */
const WINDOW = 64;

type Device = WiredDevice<FrontendDevice & FramePort, BackendDevice & FramePort>;

/** Two guests on a machine of their own, wired through dom0's bridge in one thread. */
export class GuestToGuest {
  private readonly sender: Sender;
  private readonly receiver: Receiver;
  private total = 0;

  private constructor(
    private readonly machine: Machine,
    private readonly host: Domain,
    private readonly bridge: Bridge,
    private readonly devices: readonly Device[],
    private readonly pool: FramePool,
    ends: { readonly guest: Domain; readonly from: Device; readonly to: Device },
    frameBytes: number,
  ) {
    this.sender = new Sender(ends.guest, ends.from.frontend, pool, benchFrame(frameBytes, 1, 2));
    this.receiver = new Receiver(ends.to.frontend, frameBytes, (_frame, received) => {
      if ((received & (WINDOW / 2 - 1)) === 0) this.sender.allow(Math.min(this.total, received + WINDOW));
    });
  }

  static async wire(deviceClass: DeviceClass, frameBytes: number): Promise<GuestToGuest> {
    const machine = Machine.boot({ memoryBytes: 128 << 20 });
    const host = machine.createDomain({ name: 'dom0', memoryPages: 8192 });
    const bridge = new Bridge();
    const connect = async (name: string) => {
      const guest = machine.createDomain({ name, memoryPages: 4096 });
      const device = new WiredDevice({
        guest,
        host,
        frontend: FRONTENDS[deviceClass](),
        backend: BACKENDS[deviceClass](),
      });
      await device.connect();
      bridge.add(device.backend);
      return { guest, device };
    };
    const one = await connect('guest1');
    const two = await connect('guest2');
    await machine.idle();
    const pool = FramePool.create(one.guest.memory, 256);
    if (pool === undefined) throw new Error('no pages for the frames of the benchmark');
    const ends = { guest: one.guest, from: one.device, to: two.device };
    const path = new GuestToGuest(machine, host, bridge, [one.device, two.device], pool, ends, frameBytes);
    // The bridge has to know where guest 2 is.
    const learned = new Receiver(one.device.frontend, 60);
    two.device.frontend.send(benchFrame(60, 2, 1));
    two.device.frontend.flush();
    await learned.until(1);
    learned.stop();
    return path;
  }

  /** Lets so many frames cross. */
  async run(count: number): Promise<void> {
    this.total += count;
    const done = this.receiver.until(this.total);
    this.sender.allow(Math.min(this.total, this.receiver.count + WINDOW));
    await done;
  }

  /** Lets so many frames cross, and answers what each cost dom0, in nanoseconds. */
  async dom0NsPerFrame(count: number): Promise<number> {
    const spent = () => this.machine.accounting(this.host.id)?.cpuNanoseconds ?? 0;
    const before = spent();
    await this.run(count);
    await this.machine.idle();
    return (spent() - before) / count;
  }

  async close(): Promise<void> {
    this.receiver.stop();
    this.sender.stop();
    for (const device of this.devices) await device.remove();
    this.bridge.close();
    this.pool.close();
    this.machine.shutdown();
    for (const { failures } of this.devices) if (failures[0] !== undefined) throw failures[0];
  }
}

/** Frames per second from guest to guest, and what each costs dom0. */
export async function guestToGuestRate(
  deviceClass: DeviceClass,
  frameBytes: number,
  options: RateOptions,
): Promise<Measured> {
  const path = await GuestToGuest.wire(deviceClass, frameBytes);
  const rate = await measureRate((count) => path.run(count), options);
  const dom0NsPerFrame = await path.dom0NsPerFrame(Math.ceil(rate.median / 4));
  await path.close();
  return { ...measuredOf(rate), dom0NsPerFrame };
}
