/**
 * What kernels do is what TypeScript does without them: the same peers, of a seed, against both, and everything that can be
 * seen of the drivers and the bridge is the same.
 */
import { createHash } from 'node:crypto';
import { Bridge } from '@netchannel2/bridge';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { netback2Driver } from '@netchannel2/netback2';
import { netfront2Driver } from '@netchannel2/netfront2';
import { rawVif2FrontendDriver, SeededRandom, VirtualClock, WiredDevice } from '@netchannel2/testing';
import type { FramePort } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { BridgedGuests, frameTo } from './bridged-guests';
import { HostilePeer } from './hostile-peer';

const ROUNDS = 300;
/** 02:00:00:00:00:02 from 02:00:00:00:00:01, as the first words of a frame. */
const TO_NEIGHBOUR = [0x00000002, 0x00020200, 0x01000000];
const NEIGHBOUR = Uint8Array.of(2, 0, 0, 0, 0, 2);
const ATTACKER = Uint8Array.of(2, 0, 0, 0, 0, 1);

function withoutKernels(domain: SimulatedDomain): void {
  Object.defineProperty(domain.memory, 'kernels', { value: undefined });
}

/** Takes down what a port emits, in order. */
function watch(port: FramePort, trace: string[]): void {
  port.frames$.subscribe((frame) => {
    const digest = createHash('sha1').update(frame.toBytes()).digest('hex');
    trace.push(`${port.name} ${frame.byteLength} ${frame.checksum} ${digest.slice(0, 12)}`);
  });
}

const countersOf = ({ counters }: FramePort) => JSON.stringify(counters);

/** A frontend that writes anything against a backend, alone or on a bridge with a neighbour. */
async function attacked(kernels: boolean, seed: number, bridged: boolean): Promise<unknown> {
  const clock = new VirtualClock();
  const machine = Machine.boot({ memoryBytes: 64 << 20, scheduler: clock, now: () => clock.now() });
  const [host, guest, other] = [2048, 1024, 1024].map((memoryPages) => machine.createDomain({ memoryPages }));
  if (host === undefined || guest === undefined || other === undefined) throw new Error('three were made');
  if (!kernels) for (const domain of [host, other]) withoutKernels(domain);
  const back = () => netback2Driver({ poolPages: 64 });
  const device = new WiredDevice({ guest, host, frontend: rawVif2FrontendDriver(), backend: back() });
  const frontend = netfront2Driver({ poolPages: 64 });
  const neighbour = new WiredDevice({ guest: other, host, frontend, backend: back() });
  await neighbour.connect();
  const random = new SeededRandom(seed);
  const bridge = new Bridge({ scheduler: clock });
  const trace: string[] = [];
  if (bridged) {
    bridge.add(device.backend);
    bridge.add(neighbour.backend);
  }
  watch(bridged ? neighbour.frontend : device.backend, trace);
  let peer: HostilePeer | undefined;
  let left = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    if (peer === undefined || device.failures.length > 0 || left === 0) {
      trace.push(...device.failures.map(String));
      await clock.during(device.disconnect());
      peer?.end();
      device.failures.length = 0;
      await device.connect();
      const { incoming } = device.frontend.ring;
      peer = new HostilePeer(random, device.frontend, guest, host.id, incoming, TO_NEIGHBOUR);
      if (random.integer(0, 20) > 0) peer.greet();
      await clock.settle();
      left = random.pick([20, 200]);
    }
    left -= 1;
    // The bridge learns where the neighbour is, and forgets it now and then.
    if (random.integer(0, 40) === 0) bridge.forget();
    if (random.integer(0, 20) === 0) neighbour.frontend.send(frameTo(ATTACKER, NEIGHBOUR, 60, round));
    const acts = random.integer(1, 6);
    const attacker = peer;
    guest.run(() => {
      for (let act = 0; act < acts; act += 1) attacker.act();
    });
    await clock.settle();
    if (random.integer(0, 100) === 0) await clock.advance(random.pick([1, 300, 2500]));
  }
  const ports = bridge.ports.map(({ counters }) => [
    [counters.framesIn, counters.bytesIn, counters.framesOut, counters.bytesOut, counters.forwarded],
    [counters.flooded, counters.filtered, counters.refused, counters.invalid, counters.notLearned],
  ]);
  const seen = {
    trace,
    ports,
    counters: [device.backend, neighbour.backend, neighbour.frontend].map(countersOf),
  };
  await clock.during(device.disconnect());
  peer?.end();
  bridge.close();
  await clock.advance(1000);
  await clock.during(neighbour.remove());
  expect(machine.leaks()).toEqual([]);
  expect(clock.timers).toBe(0);
  machine.shutdown();
  return seen;
}

describe('kernels do what TypeScript does', () => {
  it.each([1, 2, 3, 4])('with a frontend that writes anything, seed %i', async (seed) => {
    for (const bridged of [false, true]) {
      const seen = await attacked(true, seed, bridged);
      expect(seen).toEqual(await attacked(false, seed, bridged));
      expect((seen as { trace: string[] }).trace.length).toBeGreaterThan(20);
    }
  });

  it.each([1, 2, 3])('with guests that talk through a bridge, seed %i', async (seed) => {
    const outcome = async (kernels: boolean) => {
      const site = new BridgedGuests({ guests: [2, 2, 1] });
      if (!kernels) for (const { domain } of [...site.guests, { domain: site.host }]) withoutKernels(domain);
      await site.start();
      const random = new SeededRandom(seed);
      const sent: Uint8Array[][] = site.guests.map(() => []);
      for (let round = 0; round < 60; round += 1) {
        const from = random.integer(0, 2);
        const to = (from + random.integer(1, 2)) % 3;
        if (random.integer(0, 8) === 0) site.bridge.forget(site.guest(to).back);
        const lengths = Array.from({ length: random.integer(1, 14) }, () =>
          random.pick([14, 15, 16, 60, 255, 256, 257, 300, 1514, 4096, 4097, 9000]),
        );
        sent[to]?.push(...(await site.send(from, to, lengths)));
      }
      const digests = site.guests.map(({ received, mac }) =>
        received
          .filter((frame) => mac.every((byte, index) => frame[index] === byte))
          .map((frame) => createHash('sha1').update(frame).digest('hex')),
      );
      const counters = site.guests.flatMap(({ front, back }) => [countersOf(front), countersOf(back)]);
      const forwarded = site.guests.map((_, index) => site.forwarded(index));
      await site.stop();
      expect(site.machine.leaks()).toEqual([]);
      site.machine.shutdown();
      return { sent: sent.map((frames) => frames.length), digests, counters, forwarded };
    };
    const seen = await outcome(true);
    expect(seen.digests.map((frames) => frames.length)).toEqual(seen.sent);
    expect(seen.forwarded[0]).toBeGreaterThan(50);
    expect(seen).toEqual(await outcome(false));
  });
});
