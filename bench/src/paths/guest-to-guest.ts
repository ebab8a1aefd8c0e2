import { Bridge } from '@netchannel2/bridge';
import type { DeviceClass } from '@netchannel2/device-registry';
import { FramePool } from '@netchannel2/frames';
import { Machine } from '@netchannel2/hypervisor';
import { WiredDevice } from '@netchannel2/testing';
import { type Measured, measuredOf } from '../measured';
import { measureRate, type RateOptions } from '../rate';
import { BACKENDS, FRONTENDS } from './drivers';
import { benchFrame, Receiver, Sender } from './lane';

/** Frames under way at most: a bridge drops what its next port has no room for, and a benchmark counts no drops. */
const WINDOW = 128;

/** Frames per second from guest to guest through dom0's bridge in one thread, and what each costs dom0. */
export async function guestToGuestRate(
  deviceClass: DeviceClass,
  frameBytes: number,
  options: RateOptions,
): Promise<Measured> {
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
  const sender = new Sender(one.guest, one.device.frontend, pool, benchFrame(frameBytes, 1, 2));
  let total = 0;
  const receiver = new Receiver(two.device.frontend, frameBytes, (_frame, received) => {
    if ((received & (WINDOW / 2 - 1)) === 0) sender.allow(Math.min(total, received + WINDOW));
  });
  // The bridge has to know where guest 2 is.
  const learned = new Receiver(one.device.frontend, 60);
  two.device.frontend.send(benchFrame(60, 2, 1));
  two.device.frontend.flush();
  await learned.until(1);
  learned.stop();
  const rate = await measureRate(async (count) => {
    total += count;
    const done = receiver.until(total);
    sender.allow(Math.min(total, receiver.count + WINDOW));
    await done;
  }, options);
  const before = machine.accounting(host.id)?.cpuNanoseconds ?? 0;
  const measured = Math.ceil(rate.median / 4);
  total += measured;
  const done = receiver.until(total);
  sender.allow(receiver.count + WINDOW);
  await done;
  await machine.idle();
  const dom0Nanoseconds = ((machine.accounting(host.id)?.cpuNanoseconds ?? 0) - before) / measured;
  receiver.stop();
  sender.stop();
  for (const { device } of [one, two]) await device.remove();
  bridge.close();
  pool.close();
  machine.shutdown();
  for (const { device } of [one, two]) if (device.failures[0] !== undefined) throw device.failures[0];
  return { ...measuredOf(rate), dom0NsPerFrame: dom0Nanoseconds };
}
