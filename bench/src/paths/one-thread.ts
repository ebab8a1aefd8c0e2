import { FramePool } from '@netchannel2/frames';
import { Machine } from '@netchannel2/hypervisor';
import { WiredDevice } from '@netchannel2/testing';
import { measureRate, type Rate, type RateOptions } from '../rate';
import type { Wiring } from './drivers';
import { benchFrame, Receiver, Sender } from './lane';

export type Direction = 'to-dom0' | 'from-dom0';

/** Frames per second between a guest and dom0 in one thread, one device, an observable subscriber at the end. */
export async function oneThreadRate(
  wiring: Wiring,
  direction: Direction,
  frameBytes: number,
  options: RateOptions,
): Promise<Rate> {
  const machine = Machine.boot({ memoryBytes: 128 << 20 });
  const host = machine.createDomain({ name: 'dom0', memoryPages: 4096 });
  const guest = machine.createDomain({
    name: 'guest',
    memoryPages: 4096,
    grantTableVersion: wiring.guestTable ?? 2,
  });
  const device = new WiredDevice({
    guest,
    host,
    frontend: wiring.frontend(),
    backend: wiring.backend(),
  });
  await device.connect();
  await machine.idle();
  const outward = direction === 'to-dom0';
  const domain = outward ? guest : host;
  const pool = FramePool.create(domain.memory, 256);
  if (pool === undefined) throw new Error('no pages for the frames of the benchmark');
  const [from, to] = outward ? [device.frontend, device.backend] : [device.backend, device.frontend];
  const sender = new Sender(domain, from, pool, benchFrame(frameBytes, 1, 2));
  const receiver = new Receiver(to, frameBytes, wiring.look);
  let total = 0;
  const rate = await measureRate(async (count) => {
    total += count;
    const done = receiver.until(total);
    sender.allow(total);
    await done;
  }, options);
  receiver.stop();
  sender.stop();
  await device.remove();
  pool.close();
  machine.shutdown();
  if (device.failures[0] !== undefined) throw device.failures[0];
  return rate;
}
