/** A lab with two honest guests that talk to each other, beside whom a third misbehaves. */
import type { DeviceClass } from '@netchannel2/device-registry';
import {
  type BackendDrivers,
  Lab,
  type LabDriverOptions,
  type LabGuest,
  type LabGuestOptions,
  VirtualClock,
} from '@netchannel2/testing';
import type { FramePort } from '@netchannel2/xen';
import { expect } from 'vitest';

const MACS = ['02:00:00:00:00:01', '02:00:00:00:00:02'] as const;
/** Longer than any one time-out of the handshake. */
const LONG = 15_000;

const bytesOf = (mac: string): number[] => mac.split(':').map((part) => Number.parseInt(part, 16));

/** An Ethernet header and two bytes more. */
export const headerTo = (target: string, source: string): Uint8Array =>
  Uint8Array.of(...bytesOf(target), ...bytesOf(source), 0x88, 0xb5, 0, 0);

export const frameTo = (target: string, source: string, length: number): Uint8Array => {
  const frame = Uint8Array.from({ length }, (_, index) => index & 0xff);
  frame.set(headerTo(target, source).subarray(0, Math.min(16, length)));
  return frame;
};

export class FaultSite {
  /** Lengths of frames that arrived at each honest guest since the last check. */
  private readonly received: number[][] = [[], []];

  private constructor(
    readonly deviceClass: DeviceClass,
    readonly clock: VirtualClock,
    readonly lab: Lab,
    readonly guests: readonly [LabGuest, LabGuest],
    readonly ports: readonly [FramePort, FramePort],
  ) {
    for (const [index, port] of ports.entries())
      port.frames$.subscribe((frame) => this.received[index]?.push(frame.byteLength));
  }

  static async build(
    deviceClass: DeviceClass,
    drivers: LabDriverOptions = {},
    backends: Partial<BackendDrivers> = {},
  ): Promise<FaultSite> {
    const clock = new VirtualClock();
    const lab = await Lab.start({ clock, machine: { memoryBytes: 128 << 20 }, drivers, backends });
    const first = await lab.addGuest({ name: 'first' });
    const second = await lab.addGuest({ name: 'second' });
    const site = new FaultSite(
      deviceClass,
      clock,
      lab,
      [first, second],
      [await first.attach(deviceClass, { mac: MACS[0] }), await second.attach(deviceClass, { mac: MACS[1] })],
    );
    await site.expectHonestTraffic();
    return site;
  }

  /** The address of an honest guest. */
  macOf(index: 0 | 1): string {
    return MACS[index];
  }

  /** A third guest, its device attached. */
  async intruder(options: LabGuestOptions): Promise<LabGuest> {
    const guest = await this.lab.addGuest({ name: 'intruder', ...options });
    await guest.attachDevice({ type: this.deviceClass, mac: '02:00:00:00:00:66', guestTrusted: true });
    return guest;
  }

  /** Lets handshakes and time-outs pass. */
  settle(): Promise<void> {
    return this.clock.advance(LONG);
  }

  /** Whatever happened: the honest guests' frames flow both ways, small and large. */
  async expectHonestTraffic(): Promise<void> {
    for (const lengths of this.received) lengths.length = 0;
    for (const length of [60, 1514]) {
      expect(this.ports[0].send(frameTo(MACS[1], MACS[0], length))).toBe(true);
      expect(this.ports[1].send(frameTo(MACS[0], MACS[1], length))).toBe(true);
    }
    await this.clock.advance(20);
    expect(this.received).toEqual([
      [60, 1514],
      [60, 1514],
    ]);
  }

  /** A guest's device as the registry lists it. */
  async entryOf(guest: LabGuest) {
    const devices = await this.lab.during(this.lab.toolstack.list());
    return devices.find((device) => device.domid === guest.id);
  }

  /** The device was closed, and its error node says why. */
  async expectClosed(guest: LabGuest, reason: RegExp): Promise<void> {
    await this.settle();
    const entry = await this.entryOf(guest);
    expect(entry?.errors.join('; ')).toMatch(reason);
    expect(entry?.backendState).not.toBe(4);
  }

  async expectConnected(guest: LabGuest): Promise<void> {
    const entry = await this.entryOf(guest);
    expect([entry?.backendState, entry?.frontendState, entry?.errors]).toEqual([4, 4, []]);
  }

  /** Every test's end: honest traffic, then a teardown that leaves nothing. */
  async end(): Promise<void> {
    await this.expectHonestTraffic();
    await this.lab.stop();
  }
}
