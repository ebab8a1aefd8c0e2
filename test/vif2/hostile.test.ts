/**
 * Peers that write anything into the rings. Whatever they do, a driver neither throws nor hangs nor leaks nor emits what is no
 * frame; a device that gives up is connected anew, and a neighbour does not notice.
 *
 * `VIF2_FUZZ_MUTATIONS` sets how many a test writes (default 2 000, 20 000 together), `VIF2_FUZZ_SEED` the seed.
 */
import { Bridge } from '@netchannel2/bridge';
import type { BackendDevice, FrontendDevice } from '@netchannel2/device-registry';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { netback2Driver } from '@netchannel2/netback2';
import { netfront2Driver } from '@netchannel2/netfront2';
import {
  rawVif2BackendDriver,
  rawVif2FrontendDriver,
  SeededRandom,
  VirtualClock,
  WiredDevice,
} from '@netchannel2/testing';
import type { FramePort } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { HostilePeer } from './hostile-peer';
import { BURST, RawWriter } from './raw-writer';
import { numberedFrame } from './vif2-pair';

const MUTATIONS = Number(process.env.VIF2_FUZZ_MUTATIONS ?? 2_000);
const SEED = Number(process.env.VIF2_FUZZ_SEED ?? 20_261_124);
/** Mutations one machine sees: what a domain keeps for later does not add up for ever. */
const A_MACHINE = 100_000;
const TIMEOUT = 60_000 + MUTATIONS * 10;

class Site {
  readonly clock = new VirtualClock();
  readonly machine = Machine.boot({
    memoryBytes: 64 << 20,
    scheduler: this.clock,
    now: () => this.clock.now(),
  });
  readonly host = this.machine.createDomain({ name: 'dom0', memoryPages: 2048 });
  readonly guest = this.machine.createDomain({ name: 'guest', memoryPages: 2048 });
  readonly neighbour = this.machine.createDomain({ name: 'neighbour', memoryPages: 1024 });
  readonly random: SeededRandom;
  /** Frames the driver under attack emitted. */
  emitted = 0;
  connections = 0;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  watch(port: FramePort): void {
    port.frames$.subscribe((frame) => {
      this.emitted += 1;
      if (frame.byteLength < 14 || frame.byteLength > 65536) throw new Error('no frame at all');
      if (frame.byteLength < 3000) expect(frame.toBytes()).toHaveLength(frame.byteLength);
      if (this.random.integer(0, 3) === 0) port.send(frame);
    });
  }

  /** Rounds against one driver; a connection that failed, or has lasted long enough, is followed by another. */
  async attack<Front extends FrontendDevice, Back extends BackendDevice>(
    device: WiredDevice<Front, Back>,
    victim: FramePort,
    raw: { disconnect(): Promise<void> },
    attacker: SimulatedDomain,
    mutations: number,
    meet: () => HostilePeer,
  ): Promise<void> {
    const { random, clock } = this;
    let peer: HostilePeer | undefined;
    let left = 0;
    let done = 0;
    for (let round = 0; done + (peer?.mutations ?? 0) < mutations; round += 1) {
      if (peer === undefined || device.failures.length > 0 || left === 0) {
        // What the attacker does last: it takes its rings away, with or without a word.
        if (random.integer(0, 1) === 0) await clock.during(raw.disconnect());
        await clock.settle();
        await device.disconnect();
        peer?.end();
        done += peer?.mutations ?? 0;
        device.failures.length = 0;
        await device.connect();
        this.connections += 1;
        peer = meet();
        if (random.integer(0, 20) > 0) peer.greet();
        await clock.settle();
        left = random.pick([3, 50, 400]);
      }
      left -= 1;
      const { act } = { act: () => peer?.act() };
      attacker.run(act);
      if (random.integer(0, 2) === 0) victim.send(numberedFrame(random.pick([60, 300, 1514, 6000]), round));
      await clock.settle();
      if (random.integer(0, 100) === 0) await clock.advance(random.pick([1, 300, 2500, 12_000]));
    }
    await device.disconnect();
    peer?.end();
    // An attacker that let go of its rings too early gets its pages back only now.
    await clock.advance(1000);
  }
}

describe.each([1, 2] as const)('table version %i of the attacker', (version) => {
  it.each(['alone', 'mapping what it is sent', 'on a bridge'])(
    'netback2 survives any frontend, %s',
    async (place) => {
      for (let done = 0; done < MUTATIONS; done += A_MACHINE) {
        const site = new Site(SEED + version + done);
        const guest = site.machine.createDomain({ grantTableVersion: version, memoryPages: 1024 });
        const back = netback2Driver({ poolPages: 64, ...(place.startsWith('mapping') && { mapFrom: 0 }) });
        const device = new WiredDevice({
          guest,
          host: site.host,
          frontend: rawVif2FrontendDriver(),
          backend: back,
          clock: site.clock,
        });
        const neighbour = new WiredDevice({
          guest: site.neighbour,
          host: site.host,
          frontend: netfront2Driver({ poolPages: 64 }),
          backend: netback2Driver({ poolPages: 64 }),
          clock: site.clock,
        });
        await neighbour.connect();
        let heard = 0;
        neighbour.backend.frames$.subscribe(() => (heard += 1));
        const bridge = new Bridge({ scheduler: site.clock });
        if (place === 'on a bridge') {
          // What the attacker sends is forwarded in its grants to a neighbour, who has done nothing to deserve it.
          site.watch(neighbour.frontend);
          bridge.add(device.backend);
          bridge.add(neighbour.backend);
        } else site.watch(device.backend);
        await site.attack(
          device,
          device.backend,
          device.frontend,
          guest,
          Math.min(MUTATIONS - done, A_MACHINE),
          () => {
            const { ring } = device.frontend;
            return new HostilePeer(site.random, device.frontend, guest, site.host.id, ring.incoming);
          },
        );
        expect(neighbour.frontend.send(numberedFrame(1514, 1))).toBe(true);
        await site.clock.settle();
        expect([heard > 0, neighbour.failures]).toEqual([true, []]);
        bridge.close();
        await neighbour.remove();
        expect(site.emitted).toBeGreaterThan(0);
        expect(site.connections).toBeGreaterThan(1);
        expect(site.machine.accounting(site.host.id)).toMatchObject({ mappings: 0, activeGrants: 0 });
        expect(site.machine.leaks()).toEqual([]);
        expect(site.clock.timers).toBe(0);
        site.machine.shutdown();
      }
    },
    TIMEOUT,
  );

  it.each([
    ['copying', undefined],
    ['mapping', 0],
  ])(
    'netfront2 survives any backend, %s what it is sent',
    async (_, mapFrom) => {
      for (let done = 0; done < MUTATIONS; done += A_MACHINE) {
        const site = new Site(SEED - version - done);
        const host = site.machine.createDomain({ grantTableVersion: version, memoryPages: 1024 });
        const device = new WiredDevice({
          guest: site.guest,
          host,
          frontend: netfront2Driver({ poolPages: 64, mapFrom }),
          backend: rawVif2BackendDriver(),
          clock: site.clock,
        });
        site.watch(device.frontend);
        await site.attack(
          device,
          device.frontend,
          device.backend,
          host,
          Math.min(MUTATIONS - done, A_MACHINE),
          () => {
            const { ring } = device.backend;
            return new HostilePeer(site.random, device.backend, host, site.guest.id, ring.incoming);
          },
        );
        expect(site.emitted).toBeGreaterThan(0);
        expect(site.connections).toBeGreaterThan(1);
        expect(site.machine.leaks()).toEqual([]);
        expect(site.clock.timers).toBe(0);
        site.machine.shutdown();
      }
    },
    TIMEOUT,
  );
});

it('a frontend that finishes what its neighbour was sent ends its own connection, and the neighbour’s packet stays', async () => {
  const site = new Site(SEED);
  const [own, other] = [site.guest, site.neighbour].map((guest) => {
    const backend = netback2Driver({ poolPages: 64 });
    return new WiredDevice({
      guest,
      host: site.host,
      frontend: rawVif2FrontendDriver(),
      backend,
      clock: site.clock,
    });
  });
  if (own === undefined || other === undefined) throw new Error('two were made');
  const writers: RawWriter[] = [];
  for (const device of [own, other]) {
    await device.connect();
    const writer = new RawWriter(device.frontend);
    writer.show(BURST);
    writers.push(writer);
    await site.clock.settle();
    writer.hear();
  }
  expect(other.backend.send(numberedFrame(1514, 1))).toBe(true);
  await site.clock.settle();
  const id = writers[1]?.hear()[0]?.word ?? -1;
  const finish = [3 | (8 << 16), id];
  writers[0]?.show(finish);
  await site.clock.settle();
  expect([own.failures.length, other.failures.length, other.backend.unfinished]).toEqual([1, 0, 1]);
  writers[1]?.show(finish);
  await site.clock.settle();
  expect([other.failures.length, other.backend.unfinished]).toEqual([0, 0]);
  for (const device of [own, other]) await device.remove();
  await site.clock.advance(1000);
  expect(site.machine.leaks()).toEqual([]);
  site.machine.shutdown();
});
