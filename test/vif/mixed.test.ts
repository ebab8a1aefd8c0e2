/** A guest with a vif and one with a vif2 on a bridge: every packet crosses, in order, and dom0 copies it once. */
import { Bridge } from '@netchannel2/bridge';
import { netbackDriver } from '@netchannel2/netback';
import { netback2Driver } from '@netchannel2/netback2';
import { netfrontDriver } from '@netchannel2/netfront';
import { netfront2Driver } from '@netchannel2/netfront2';
import { WiredDevice } from '@netchannel2/testing';
import type { FramePort } from '@netchannel2/xen';
import { expect, it } from 'vitest';
import { bootQuietMachine } from '../conformance/simulated-machine';
import { patternBytes, sameFrames } from './pattern';

const MACS = [Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2)] as const;

const between = (from: 0 | 1, length: number, number: number): Uint8Array => {
  const bytes = patternBytes(length, number);
  bytes.set(MACS[from === 0 ? 1 : 0], 0);
  bytes.set(MACS[from], 6);
  bytes.set([0x88, 0xb5], 12);
  return bytes;
};

const collect = (port: FramePort): Uint8Array[] => {
  const frames: Uint8Array[] = [];
  port.frames$.subscribe((frame) => frames.push(frame.toBytes()));
  return frames;
};

it.each([1, 2] as const)('dom0 and guests on grant tables of version %i', async (grantTableVersion) => {
  const { machine, clock, leaks } = bootQuietMachine(128);
  const domain = (memoryPages: number) => machine.createDomain({ memoryPages, grantTableVersion });
  const host = domain(4096);
  const vif = new WiredDevice({
    guest: domain(4096),
    host,
    frontend: netfrontDriver(),
    backend: netbackDriver(),
  });
  const vif2 = new WiredDevice({
    guest: domain(4096),
    host,
    frontend: netfront2Driver(),
    backend: netback2Driver(),
  });
  const bridge = new Bridge({ scheduler: clock });
  for (const device of [vif, vif2]) {
    await device.connect();
    bridge.add(device.backend);
  }
  await clock.settle();
  const ends = [vif.frontend, vif2.frontend] as const;
  for (const from of [0, 1] as const) ends[from].send(between(from, 60, 0));
  await clock.settle();
  const lengths = [14, 60, 128, 129, 256, 257, 1514, 4096, 9014, 65535];
  for (const from of [0, 1] as const) {
    const received = collect(ends[from === 0 ? 1 : 0]);
    const sent = lengths.map((length, index) => between(from, length, index));
    const copied = () => machine.accounting(host.id)?.bytesCopiedBy ?? 0;
    const before = copied();
    for (const frame of sent) {
      expect(ends[from].send(frame)).toBe(true);
      await clock.settle();
    }
    expect(sameFrames(received, sent)).toBe(true);
    // The payload once, or twice where a vif2 of dom0 has only pages shared for good to show; and of each packet's head the
    // peek, its way into the buffer, and what of it is inline.
    const payload = lengths.reduce((sum, length) => sum + length, 0) * (grantTableVersion === 1 ? 2 : 1);
    expect(copied() - before).toBeLessThan(payload + lengths.length * 1024);
  }
  for (const device of [vif, vif2]) {
    await device.remove();
    expect(device.failures).toEqual([]);
  }
  bridge.close();
  await clock.advance(20_000);
  expect(leaks()).toEqual([]);
  machine.shutdown();
});
