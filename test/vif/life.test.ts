/**
 * Lives of a device through the registry with frames in flight all the time: whatever ends a connection, every page, grant
 * and port comes back, and each frame is delivered once or counted as dropped.
 */
import {
  type BackendBinding,
  bindBackends,
  bindFrontends,
  type FrontendBinding,
} from '@netchannel2/device-registry';
import type { Machine, SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, netbackDriver } from '@netchannel2/netback';
import { type Netfront, netfrontDriver } from '@netchannel2/netfront';
import type { VirtualClock } from '@netchannel2/testing';
import { firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootQuietMachine, RETRY_TIME } from '../conformance/simulated-machine';
import { patternBytes } from './pattern';
import { HandToolstack } from './toolstack';

const CONNECTED = 4;
const BURST = 200;

let machine: Machine;
let clock: VirtualClock;
let leaks: () => string[];
let host: SimulatedDomain;
let guest: SimulatedDomain;
let backends: BackendBinding<Netback>;
let frontends: FrontendBinding<Netfront>;
let toolstack: HandToolstack;

beforeEach(() => {
  ({ machine, clock, leaks } = bootQuietMachine(64));
  host = machine.createDomain({ memoryPages: 4096 });
  guest = machine.createDomain({ memoryPages: 4096 });
  backends = bindBackends(host, netbackDriver());
  frontends = bindFrontends(guest, netfrontDriver({ queues: 2, receiveBuffers: 64, transmitPages: 64 }));
  toolstack = new HandToolstack(host, guest);
  accepted = 0;
});

afterEach(async () => {
  const closed = Promise.all([frontends.close(), backends.close()]);
  await clock.advance(20_000);
  await closed;
  await clock.advance(RETRY_TIME);
  // What the registry itself watches xenstore with goes with the domains.
  expect(leaks().filter((leak) => !leak.includes('ports'))).toEqual([]);
  machine.shutdown();
});

const attach = async () => {
  const attached = toolstack.attach();
  await clock.settle();
  await attached;
  await clock.settle();
  const front = await firstValueFrom(frontends.connections$);
  const back = await firstValueFrom(backends.connections$);
  expect([front.state, back.state]).toEqual([CONNECTED, CONNECTED]);
  return { front: front.device, back: back.device };
};

/** Every frame by number: how often it arrived. */
const watch = (front: Netfront, back: Netback) => {
  const arrived = { toHost: new Map<number, number>(), toGuest: new Map<number, number>() };
  const note = (counts: Map<number, number>, number: number) =>
    counts.set(number, (counts.get(number) ?? 0) + 1);
  back.frames$.subscribe((frame) => note(arrived.toHost, frame.uint32(20)));
  front.frames$.subscribe((frame) => note(arrived.toGuest, frame.uint32(20)));
  return arrived;
};

let next = 0;
const numbered = (length: number): Uint8Array => {
  const bytes = patternBytes(length, next);
  new DataView(bytes.buffer).setUint32(20, next);
  next += 1;
  return bytes;
};

let accepted = 0;

/** Frames of one slot and of several, both ways, and nobody has had a turn since. */
const burst = (front: Netfront, back: Netback): void => {
  for (let index = 0; index < BURST; index += 1) {
    for (const port of [front, back]) if (port.send(numbered(index % 7 === 0 ? 6000 : 100))) accepted += 1;
  }
};

const checkBalance = (front: Netfront, back: Netback, arrived: ReturnType<typeof watch>): void => {
  for (const counts of [arrived.toHost, arrived.toGuest])
    expect([...counts.values()].every((count) => count === 1)).toBe(true);
  const dropped = [front, back].flatMap(({ counters }) => Object.values(counters.dropped));
  const lost = dropped.reduce((sum, count) => sum + count, 0);
  expect(arrived.toHost.size + arrived.toGuest.size + lost).toBe(accepted);
};

it('suspend and resume: new rings in the same domain, and frames go on', async () => {
  const { front, back } = await attach();
  const arrived = watch(front, back);
  burst(front, back);
  frontends.resume();
  await clock.settle();
  checkBalance(front, back, arrived);
  const [frontAgain, backAgain] = [frontends.devices[0], backends.devices[0]];
  if (frontAgain === undefined || backAgain === undefined) throw new Error('not connected again');
  expect(backends.connections.map(({ state }) => state)).toEqual([CONNECTED]);
  expect(frontAgain.mac).toBe(front.mac);
  const again = watch(frontAgain, backAgain);
  expect([frontAgain.send(numbered(100)), backAgain.send(numbered(100))]).toEqual([true, true]);
  await clock.settle();
  expect([again.toHost.size, again.toGuest.size]).toEqual([1, 1]);
});

it('suspended over and over: nothing grows', async () => {
  const { front, back } = await attach();
  const held = () => [host.memory.freePages, guest.memory.freePages, guest.grants.freeRefs];
  let first: number[] | undefined;
  for (let round = 0; round < 10; round += 1) {
    burst(front, back);
    frontends.resume();
    await clock.advance(RETRY_TIME);
    first ??= held();
    expect(held()).toEqual(first);
  }
});

it('unplugged with frames in flight', async () => {
  const { front, back } = await attach();
  const arrived = watch(front, back);
  burst(front, back);
  const unplugged = toolstack.unplug();
  burst(front, back);
  await clock.settle();
  await unplugged;
  await clock.settle();
  expect(machine.accounting(host.id)?.mappings).toBe(0);
  expect([front.send(numbered(60)), back.send(numbered(60))]).toEqual([false, false]);
  checkBalance(front, back, arrived);
  const cleaned = toolstack.clean();
  await clock.settle();
  await cleaned;
});

it('the backend driver goes and another takes its place', async () => {
  const { front, back } = await attach();
  const arrived = watch(front, back);
  burst(front, back);
  const closed = backends.close();
  await clock.advance(RETRY_TIME);
  await closed;
  checkBalance(front, back, arrived);
  backends = bindBackends(host, netbackDriver());
  await clock.advance(RETRY_TIME);
  const [connection] = backends.connections;
  expect(connection?.state).toBe(CONNECTED);
  let again = 0;
  connection?.device.frames$.subscribe(() => {
    again += 1;
  });
  expect(frontends.devices[0]?.send(numbered(60))).toBe(true);
  await clock.settle();
  expect(again).toBe(1);
});
