/** A guest that posts no buffers: a queue of bounded size, then refusals, then drops, then no carrier; and back. */
import { FramePool } from '@netchannel2/frames';
import type { Machine, SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, type NetbackOptions, netbackDriver } from '@netchannel2/netback';
import type { VirtualClock } from '@netchannel2/testing';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { bootQuietMachine } from '../conformance/simulated-machine';
import { patternBytes } from './pattern';
import { ScriptedFrontend } from './scripted-frontend';
import { type MapLink, offer, vifLinks } from './vif-pair';

const SECOND = 1000;

let machine: Machine;
let clock: VirtualClock;
let leaks: () => string[];
let host: SimulatedDomain;
let guest: SimulatedDomain;
let frontend: ScriptedFrontend;
let links: { front: MapLink; back: MapLink };
let back: Netback;
let carrier: boolean[];
let writable: number;

beforeEach(() => {
  ({ machine, clock, leaks } = bootQuietMachine(64));
  host = machine.createDomain({ memoryPages: 4096 });
  guest = machine.createDomain();
  frontend = new ScriptedFrontend(guest, host, 4);
});

const connect = async (options: NetbackOptions = {}, nodes: Record<string, string> = {}) => {
  links = vifLinks(guest, host);
  back = netbackDriver(options).create(links.back);
  await offer(links.back, back);
  for (const [node, value] of Object.entries({ ...frontend.nodes(), ...nodes }))
    links.front.own.set(node, value);
  await back.connect();
  await clock.settle();
  carrier = [];
  writable = 0;
  back.carrier$.subscribe((on) => carrier.push(on));
  back.writable$.subscribe(() => {
    writable += 1;
  });
};

afterEach(async () => {
  await back.disconnect();
  frontend.close();
  await clock.settle();
  expect(leaks()).toEqual([]);
  machine.shutdown();
});

const sendUntilRefused = (length: number): number => {
  for (let sent = 0; sent < 1000; sent += 1) if (!back.send(patternBytes(length, sent))) return sent;
  return 1000;
};

/** Sends count frames that the queue has no room for and none refuses: those dropped for want of a carrier. */
const post = (count: number) =>
  frontend.post(...Array.from({ length: count }, (_, index) => frontend.refs[index % 4] ?? 0));

it.each([
  ['packets', 60, 400, 256],
  ['bytes', 65535, 400, 8],
  ['pages of its own', 60, 64, 64],
])('the queue is bounded by %s', async (_, length, transmitPages, expected) => {
  await connect({ transmitPages });
  expect(sendUntilRefused(length)).toBe(expected);
  expect(back.counters.sendRefused).toBe(1);
  await clock.settle();
  expect(frontend.rxResponses()).toEqual([]);
  expect([writable, carrier]).toEqual([0, [true]]);
});

it('what waits is placed in order as buffers come, a few at a time, and the carrier stays', async () => {
  await connect();
  const sent = sendUntilRefused(200);
  for (let posted = 0; posted < sent; posted += 16) {
    await clock.advance(100);
    post(16);
    await clock.settle();
    expect(frontend.rxResponses().length).toBe(posted + 16);
  }
  expect(frontend.rxResponses().every(([, , , status]) => status === 200)).toBe(true);
  expect(writable).toBe(1);
  expect(carrier).toEqual([true]);
  expect(back.counters).toMatchObject({ framesSent: sent, dropped: { expired: 0, stalled: 0 } });
  await clock.advance(30);
  expect(clock.timers).toBe(0);
});

it('packets expire after 10 s, one by one, and make room', async () => {
  await connect({ transmitPages: 17 });
  expect(back.send(patternBytes(60, 0))).toBe(true);
  await clock.advance(4 * SECOND);
  expect(sendUntilRefused(60)).toBe(16);
  await clock.advance(6 * SECOND - 1);
  expect(back.counters.dropped.expired).toBe(0);
  await clock.advance(1);
  expect(back.counters.dropped.expired).toBe(1);
  await clock.advance(4 * SECOND);
  expect(back.counters.dropped.expired).toBe(17);
  expect(writable).toBe(1);
  post(4);
  await clock.settle();
  expect(frontend.rxResponses()).toEqual([]);
  expect(back.send(patternBytes(60, 1))).toBe(true);
  await clock.settle();
  expect(frontend.rxResponses().length).toBe(1);
});

it('after a minute the carrier goes, frames are dropped; with buffers it is back, and frames flow', async () => {
  await connect();
  expect(back.send(patternBytes(5000, 0))).toBe(true);
  await clock.advance(60 * SECOND - 1);
  expect(back.carrier).toBe(true);
  expect(back.send(patternBytes(5000, 1))).toBe(true);
  await clock.advance(1);
  expect(carrier).toEqual([true, false]);
  expect(back.counters.dropped).toMatchObject({ expired: 1, stalled: 1 });
  for (let index = 0; index < 10; index += 1) expect(back.send(patternBytes(60, index))).toBe(true);
  expect(back.counters.dropped.stalled).toBe(11);
  // Nothing waits and nothing is timed: only the guest can end this.
  await clock.advance(30);
  expect(clock.timers).toBe(0);
  post(1);
  await clock.settle();
  expect(back.carrier).toBe(false);
  post(1);
  await clock.settle();
  expect(carrier).toEqual([true, false, true]);
  expect(back.send(patternBytes(5000, 2))).toBe(true);
  await clock.settle();
  expect(frontend.rxResponses().map(([, , , status]) => status)).toEqual([4096, 904]);
  await clock.advance(30);
  expect(clock.timers).toBe(0);
});

it('a guest that posts now and then never stalls', async () => {
  await connect();
  for (let minute = 0; minute < 5; minute += 1) {
    back.send(patternBytes(60, 0));
    back.send(patternBytes(60, 1));
    await clock.advance(9 * SECOND);
    post(1);
    await clock.advance(45 * SECOND);
  }
  expect(carrier).toEqual([true]);
});

it('a guest that does not say when it posts is asked every 30 ms, its packets wait no longer, and it never stalls', async () => {
  await connect({}, { 'feature-rx-notify': '0' });
  expect(back.send(patternBytes(60, 0))).toBe(true);
  frontend.rx.write(0, [2, 0], [2, 0], [4, frontend.refs[0] ?? 0]);
  frontend.rx.set32(0, 1);
  frontend.rxProduced = 1;
  await clock.advance(30);
  expect(frontend.rxResponses().length).toBe(1);
  expect(back.send(patternBytes(60, 1))).toBe(true);
  await clock.advance(31);
  expect(back.counters.dropped.expired).toBe(1);
  await clock.advance(120 * SECOND);
  expect(carrier).toEqual([true]);
  await clock.advance(30);
  expect(clock.timers).toBe(0);
});

it('disconnected while packets wait: they are counted, the carrier goes, and the next connection has one', async () => {
  await connect();
  for (let index = 0; index < 5; index += 1) back.send(patternBytes(60, index));
  await back.disconnect();
  expect(back.counters.dropped.lostInFlight).toBe(5);
  await back.connect();
  expect(carrier).toEqual([true, false, true]);
});

/** Sends frames from a page of somebody's pool, which is let go of at once, until they have to wait. */
const sendFromPool = (count: number): FramePool => {
  const pool = FramePool.create(host.memory, count);
  if (pool === undefined) throw new Error('no pages');
  for (let index = 0; index < count; index += 1) {
    const frame = pool.frameFrom(patternBytes(200, index));
    if (frame === undefined) throw new Error('no page');
    expect(back.send(frame)).toBe(true);
    frame.release();
  }
  return pool;
};

const copiedByHost = (): number => machine.accounting(host.id)?.bytesCopiedBy ?? 0;

it("a guest that is slow keeps nobody else's pages: what waits for it is copied, and arrives as it was", async () => {
  await connect();
  const pool = sendFromPool(4);
  expect(pool.outstanding).toBe(4);
  await clock.settle();
  expect(pool.outstanding).toBe(0);
  const page = pool.take();
  page?.bytes.fill(0xee, page.base, page.base + page.byteLength);
  page?.release();
  pool.close();
  await clock.advance(2 * SECOND);
  for (let index = 0; index < 4; index += 1) frontend.post(frontend.refs[index] ?? 0);
  await clock.settle();
  expect(frontend.rxResponses().map(([, , , status]) => status)).toEqual([200, 200, 200, 200]);
  for (let index = 0; index < 4; index += 1) {
    const { bytes, base } = frontend.page(index);
    expect(bytes.slice(base, base + 200)).toEqual(patternBytes(200, index));
  }
});

it('a guest that is quick costs one copy a frame, also what waited for its buffers', async () => {
  await connect();
  const pool = sendFromPool(4);
  const before = copiedByHost();
  guest.run(() => {
    for (let index = 0; index < 4; index += 1) frontend.post(frontend.refs[index] ?? 0);
  });
  await clock.settle();
  expect(frontend.rxResponses().map(([, , , status]) => status)).toEqual([200, 200, 200, 200]);
  expect(copiedByHost() - before).toBe(4 * 200);
  expect(pool.outstanding).toBe(0);
  pool.close();
});

it("pages set aside for what waits are nobody else's: bytes are refused, as if they had been used", async () => {
  await connect({ transmitPages: 17 });
  const pool = sendFromPool(16);
  expect(back.send(patternBytes(200, 16))).toBe(true);
  expect(back.send(patternBytes(200, 17))).toBe(false);
  await clock.settle();
  expect(pool.outstanding).toBe(0);
  pool.close();
  expect(back.counters).toMatchObject({ sendRefused: 1, dropped: { lostInFlight: 0 } });
});
