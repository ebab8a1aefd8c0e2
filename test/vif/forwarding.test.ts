/**
 * Guest to guest through a backend domain that looks at headers only: the payload is copied once, from the sender's grant
 * into the receiver's buffer.
 */

import { FramePool, LeasedFrame } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import type { Netback, NetbackOptions } from '@netchannel2/netback';
import { netbackDriver } from '@netchannel2/netback';
import type { NetfrontOptions } from '@netchannel2/netfront';
import type { Frame, FrameForwarder, GrantedFrame, GrantedFrameHold } from '@netchannel2/xen';
import { FrameChecksum, FrameSegmentation } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blankTcp, blankUdp, checksumHolds, tcpSegment } from './ip-packets';
import { patternBytes, sameFrames } from './pattern';
import { ScriptedFrontend } from './scripted-frontend';
import { type MapLink, offer, type VifPair, vifLinks, vifPair } from './vif-pair';

let machine: Machine;
let host: SimulatedDomain;
let guests: [SimulatedDomain, SimulatedDomain];

beforeEach(() => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain({ memoryPages: 4096 });
  guests = [machine.createDomain(), machine.createDomain()];
});

afterEach(() => {
  expect(machine.leaks().filter(({ kind }) => kind !== 'ports')).toEqual([]);
  machine.shutdown();
});

/** Hands every packet of one backend on to another; what that does not take arrives there as a frame. */
const join = (from: Netback, to: Netback) => {
  const seen = { granted: 0, copied: 0 };
  const forwarder: FrameForwarder = {
    forward(frame) {
      if (!to.acceptsGranted(frame)) return false;
      if (frame.deliverEarlier() && to.sendGranted(frame)) seen.granted += 1;
      return true;
    },
  };
  from.divert(forwarder);
  from.frames$.subscribe((frame) => {
    seen.copied += 1;
    to.send(frame);
  });
  return seen;
};

const twoPairs = async (
  options: { front?: NetfrontOptions; back?: NetbackOptions } = {},
): Promise<[VifPair, VifPair]> => {
  const pairs: [VifPair, VifPair] = [vifPair(guests[0], host, options), vifPair(guests[1], host, options)];
  for (const pair of pairs) await pair.connect();
  return pairs;
};

const collect = (port: VifPair['front']): Uint8Array[] => {
  const frames: Uint8Array[] = [];
  port.frames$.subscribe((frame) => frames.push(frame.toBytes()));
  return frames;
};

const same = (received: readonly Uint8Array[], sent: readonly Uint8Array[]) => {
  expect(received.map((bytes) => bytes.length)).toEqual(sent.map((bytes) => bytes.length));
  expect(sameFrames(received, sent)).toBe(true);
};

it.each([14, 60, 127, 128, 129, 1514, 4096, 4097, 9000, 65535])(
  '%i bytes cross with one copy of the payload',
  async (length) => {
    const [first, second] = await twoPairs();
    const seen = join(first.back, second.back);
    const received = collect(second.front);
    const before = machine.accounting(host.id)?.bytesCopiedBy ?? 0;
    const sent = patternBytes(length, 5);
    expect(first.front.send(sent)).toBe(true);
    await machine.idle();
    same(received, [sent]);
    expect(seen).toEqual({ granted: 1, copied: 0 });
    const copied = (machine.accounting(host.id)?.bytesCopiedBy ?? 0) - before;
    expect(copied).toBe(length + Math.min(128, length));
    expect(first.back.counters).toMatchObject({ framesReceived: 1, bytesReceived: length });
    expect(second.back.counters).toMatchObject({ framesSent: 1, bytesSent: length });
    for (const pair of [first, second]) await pair.disconnect();
  },
);

it.each([1, 2, 4])('a thousand frames over %i queues arrive once, each flow in order', async (queues) => {
  const pages = { transmitPages: 64, receiveBuffers: 128 };
  const [first, second] = await twoPairs({ front: { queues, ...pages } });
  const seen = join(first.back, second.back);
  const flows = new Map<number, number[]>();
  second.front.frames$.subscribe((frame) => {
    const flow = frame.uint16(34);
    flows.set(flow, [...(flows.get(flow) ?? []), frame.uint16(60)]);
  });
  for (let number = 0; number < 250; number += 1) {
    for (let flow = 0; flow < 4; flow += 1) {
      const bytes = blankUdp(4, 40 + number * 10);
      bytes.set([flow >> 8, flow & 0xff], 34);
      bytes.set([number >> 8, number & 0xff], 60);
      while (!first.front.send(bytes)) await machine.idle();
    }
    if (number % 8 === 7) await machine.idle();
  }
  await machine.idle();
  const numbers = Array.from({ length: 250 }, (_, number) => number);
  expect([...flows.keys()].sort()).toEqual([0, 1, 2, 3]);
  for (const order of flows.values()) expect(order).toEqual(numbers);
  expect(seen.granted).toBe(1000);
  for (const pair of [first, second]) await pair.disconnect();
});

it('a receiver without buffers: packets are copied in, wait in its queue, and stay in order', async () => {
  const [first, second] = await twoPairs({ front: { receiveBuffers: 32, retainedPages: 0 } });
  const seen = join(first.back, second.back);
  const kept: Frame[] = [];
  const bytes: Uint8Array[] = [];
  second.front.frames$.subscribe((frame) => {
    bytes.push(frame.toBytes());
    const retained = frame.retain();
    if (retained !== undefined) kept.push(retained);
  });
  const sent = Array.from({ length: 60 }, (_, index) => patternBytes(300 + index, index));
  for (const frame of sent) expect(first.front.send(frame)).toBe(true);
  await machine.idle();
  expect(seen).toEqual({ granted: 60, copied: 0 });
  // All are answered: nobody's slots wait for another guest.
  expect(first.front.counters.dropped.lostInFlight).toBe(0);
  expect(bytes.length).toBe(32);
  while (bytes.length < 60) {
    for (const frame of kept.splice(0)) frame.release();
    await new Promise((resolve) => second.front.frames$.subscribe(resolve));
    await machine.idle();
  }
  for (const frame of kept) frame.release();
  same(bytes, sent);
  for (const pair of [first, second]) await pair.disconnect();
});

it('blank checksums and packets to be cut are handed on to a guest that takes them, and finished for one that does not', async () => {
  const [first, second] = await twoPairs();
  const plain = vifPair(guests[1], host, {
    front: { features: { gsoTcpv4: false, noChecksumOffload: true } },
  });
  const pool = FramePool.create(guests[0].memory, 32);
  if (pool === undefined) throw new Error('no pages');
  const gso = Object.assign(pool.frameFrom(blankTcp(4, 8000)) ?? new LeasedFrame(), {
    checksum: FrameChecksum.blank,
    segmentation: FrameSegmentation.tcpv4,
    segmentSize: 1448,
  });
  let seen = join(first.back, second.back);
  const whole: unknown[] = [];
  second.front.frames$.subscribe((frame) =>
    whole.push([frame.toBytes(), frame.checksum, frame.segmentation, frame.segmentSize]),
  );
  expect(first.front.send(gso)).toBe(true);
  await machine.idle();
  expect(seen).toEqual({ granted: 1, copied: 0 });
  expect(whole).toEqual([[gso.toBytes(), FrameChecksum.blank, FrameSegmentation.tcpv4, 1448]]);
  await second.disconnect();

  await plain.connect();
  seen = join(first.back, plain.back);
  const cut = collect(plain.front);
  expect(first.front.send(gso)).toBe(true);
  await machine.idle();
  expect(seen).toEqual({ granted: 0, copied: 1 });
  expect(cut.length).toBe(6);
  for (const segment of cut)
    expect([checksumHolds(segment), tcpSegment(segment).ipChecksumHolds]).toEqual([true, true]);
  gso.release();
  for (const pair of [first, plain]) await pair.disconnect();
  expect(pool.outstanding).toBe(0);
});

describe('a hostile sender', () => {
  let back: Netback;
  let links: { front: MapLink; back: MapLink };
  let frontend: ScriptedFrontend;
  let receiver: VifPair;

  beforeEach(async () => {
    links = vifLinks(guests[0], host);
    back = netbackDriver().create(links.back);
    frontend = new ScriptedFrontend(guests[0], host);
    await offer(links.back, back);
    for (const [node, value] of Object.entries(frontend.nodes())) links.front.own.set(node, value);
    await back.connect();
    receiver = vifPair(guests[1], host);
    await receiver.connect();
  });

  afterEach(async () => {
    await back.disconnect();
    await receiver.disconnect();
    frontend.close();
  });

  it('answers come after the copy, one each, whatever becomes of it', async () => {
    const seen = join(back, receiver.back);
    const received = collect(receiver.front);
    const [ref = 0] = frontend.refs;
    frontend.put(
      { size: 1000, id: 1 },
      { size: 1000, id: 2, gref: 9999 },
      // A good head, and a payload that is not granted.
      { size: 1000, id: 3, flags: 4 },
      { size: 800, id: 4, gref: 9999 },
      { size: 5, id: 5 },
      { size: 200, id: 6, gref: ref, offset: 100 },
    );
    frontend.publish();
    await machine.idle();
    expect(Object.fromEntries(frontend.txResponses())).toEqual({ 1: 0, 2: -1, 3: -1, 4: -1, 5: -1, 6: 0 });
    expect(frontend.txResponses().length).toBe(6);
    same(received, [new Uint8Array(1000).fill(0x10), new Uint8Array(200).fill(0x10)]);
    expect(seen).toEqual({ granted: 3, copied: 0 });
    expect(back.counters.dropped).toMatchObject({ fetchFailed: 2, malformed: 1 });
    expect(receiver.front.counters.dropped.receiveError).toBe(1);
  });

  it('what was decided on is what arrives, though the sender changes its headers meanwhile', async () => {
    const page = frontend.page(0);
    const received = collect(receiver.front);
    back.divert({
      forward(frame) {
        page.bytes.fill(0xee, page.base, page.base + 4096);
        return receiver.back.sendGranted(frame);
      },
    });
    frontend.put({ size: 300 });
    frontend.publish();
    await machine.idle();
    const expected = new Uint8Array(300).fill(0xee);
    expected.fill(0x10, 0, 128);
    same(received, [expected]);
  });

  it('slots are answered when the last of several holders lets go, and never after the end', async () => {
    const holds: GrantedFrameHold[] = [];
    back.divert({
      forward(frame: GrantedFrame) {
        holds.push(frame.hold(), frame.hold());
        return true;
      },
    });
    frontend.put({ size: 60, id: 1 }, { size: 60, id: 2 });
    frontend.publish();
    await machine.idle();
    expect(frontend.txResponses()).toEqual([]);
    const [first, second, third, fourth] = holds;
    first?.release(true);
    await machine.idle();
    expect(frontend.txResponses()).toEqual([]);
    second?.release(false);
    await machine.idle();
    expect(frontend.txResponses()).toEqual([[1, -1]]);
    expect(third?.gone).toBe(false);
    await back.disconnect();
    expect(third?.gone).toBe(true);
    third?.release(true);
    fourth?.release(true);
    await machine.idle();
    expect(frontend.txResponses()).toEqual([[1, -1]]);
    expect(back.counters.dropped.lostInFlight).toBe(1);
  });

  it('packets placed and not copied yet when their sender goes are dropped, not read', async () => {
    join(back, receiver.back);
    const received = collect(receiver.front);
    back.divert({
      forward(frame) {
        const taken = receiver.back.sendGranted(frame);
        void back.disconnect();
        return taken;
      },
    });
    frontend.put({ size: 1000 });
    frontend.publish();
    await machine.idle();
    expect(received).toEqual([]);
    expect(receiver.back.counters.dropped.copyFailed).toBe(1);
    expect(receiver.front.counters.dropped.receiveError).toBe(1);
  });
});
