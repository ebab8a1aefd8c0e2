/**
 * Packets in up to three pieces are written with their grants by a kernel, a run at a time, or one by one by TypeScript. What a backend
 * sees of a frontend that sends frames of any shape is the same, and each grant covers its bytes and nothing else.
 */
import { createHash } from 'node:crypto';
import { FramePool, LeasedFrame } from '@netchannel2/frames';
import type { SimulatedDomain } from '@netchannel2/hypervisor';
import { netfront2Driver } from '@netchannel2/netfront2';
import { rawVif2BackendDriver, SeededRandom, WiredDevice } from '@netchannel2/testing';
import { type DeferredWork, GrantStatus, grantRef, PAGE_SIZE } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { RawWriter } from './raw-writer';
import { vif2Pair } from './vif2-pair';

const ROUNDS = 50;
const FINISH = 0x00080003;
const CREDIT = 11;
const BURST = [0x00080001, CREDIT, 0x00080005, 18, 0x00080004, 0];
const SMALL = 4;

/** Copies out of a grant of `owner`'s, as its peer does. */
function copier(domain: SimulatedDomain, owner: SimulatedDomain) {
  const batch = domain.foreign.createCopyBatch(1);
  const area = domain.memory.allocate(1);
  const [page] = area?.pages ?? [];
  if (area === undefined || page === undefined) throw new Error('no page to copy to');
  const copy = (ref: number, offset: number, length: number): Uint8Array | undefined => {
    batch.clear();
    batch.addFromGrant(owner.id, grantRef(ref), offset, page, 0, length);
    batch.submit();
    if (batch.status(0) !== GrantStatus.okay) return undefined;
    return page.bytes.slice(page.base, page.base + length);
  };
  return { copy, end: () => domain.memory.free(area) };
}

async function scene(kernels: boolean, prefix: number) {
  const { machine, clock, guest, host } = vif2Pair();
  if (!kernels) Object.defineProperty(guest.memory, 'kernels', { value: undefined });
  const device = new WiredDevice({
    guest,
    host,
    frontend: netfront2Driver({ prefix }),
    backend: rawVif2BackendDriver(),
    clock,
    backendNodes: { 'feature-bypass': '1' },
  });
  await device.connect();
  const writer = new RawWriter(device.backend);
  writer.show(BURST);
  await clock.settle();
  writer.hear();
  const pool = FramePool.create(guest.memory, 128);
  if (pool === undefined) throw new Error('no pages');
  const { copy, end } = copier(host, guest);
  const close = async () => {
    await device.remove();
    await clock.advance(3000);
    expect(pool.outstanding).toBe(0);
    pool.close();
    end();
    expect(machine.leaks()).toEqual([]);
    expect(clock.timers).toBe(0);
    machine.shutdown();
  };
  return { clock, guest, device, writer, pool, copy, close };
}

/** A frame of random bytes somewhere in a page, or in pieces, each somewhere in a page of its own. */
function randomFrame(random: SeededRandom, pool: FramePool): LeasedFrame | undefined {
  const frame = new LeasedFrame();
  const whole = () => [random.pick([60, 256, 257, 258, 272, 300, 1514, 4096])];
  const pages = () => [
    ...new Array<number>(random.integer(1, 3)).fill(PAGE_SIZE),
    random.integer(1, PAGE_SIZE),
  ];
  const some = () => [
    random.pick([14, 64, 257]),
    ...Array.from({ length: random.integer(1, 3) }, () => random.pick([1, 13, 64, 81, 257, 1400, 4096])),
  ];
  for (const size of random.pick([whole, whole, pages, some])()) {
    const page = pool.take();
    if (page === undefined) return undefined;
    const offset = random.integer(0, PAGE_SIZE - size);
    const first = random.integer(0, 255);
    for (let at = 0; at < size; at += 1) page.bytes[page.base + offset + at] = first + at * 7 + (at >> 8);
    frame.addFragment(page, offset, size);
  }
  return frame;
}

async function conversation(kernels: boolean, prefix: number, seed: number) {
  const { clock, guest, device, writer, pool, copy, close } = await scene(kernels, prefix);
  const random = new SeededRandom(seed);
  const { frontend: front } = device;
  const { ring } = device.backend;
  const trace: string[] = [];
  const open = new Set<number>();
  const sent: Uint8Array[] = [];
  const granted = new Map<number, number>();
  let hurried = 0;
  let marked = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    guest.run(() => {
      for (let count = random.integer(1, 14); count > 0; count -= 1) {
        const frame = randomFrame(random, pool);
        if (frame === undefined) throw new Error('the pool has more pages than the peer credit');
        const bytes = frame.toBytes();
        if (front.send(random.integer(0, 5) === 0 ? bytes : frame)) sent.push(bytes);
        frame.release();
        if (random.integer(0, 9) === 0) front.flush();
      }
    });
    await clock.settle();
    for (const message of wholeMessages(ring.incoming, writer)) {
      const word = (index: number) => message[index] ?? 0;
      const inline = word(3) & 0xffff;
      const fragments = (word(2) & 0xff) === SMALL ? 0 : ((word(0) >>> 16) - 20 - inline) >> 3;
      const start = 20 + 8 * fragments;
      const bytes = [new Uint8Array(message.buffer).subarray(start, start + inline)];
      for (let index = 0; index < fragments; index += 1) {
        const [size, from] = [word(5 + 2 * index) & 0xffff, word(5 + 2 * index) >>> 16];
        const ref = word(6 + 2 * index);
        // Which one it is depends on when it was allocated.
        message[6 + 2 * index] = 0;
        bytes.push(copy(ref, from, size) ?? new Uint8Array(0));
        if (from > 0) expect(copy(ref, from - 1, 1)).toBeUndefined();
        if (from + size < PAGE_SIZE) expect(copy(ref, from + size, 1)).toBeUndefined();
      }
      const whole = Buffer.concat(bytes);
      expect(whole.equals(sent.shift() ?? new Uint8Array(0))).toBe(true);
      trace.push(createHash('sha1').update(new Uint8Array(message.buffer)).digest('hex'));
      // Unicast ones could take a bypass.
      expect((word(2) >>> 10) & 1).toBe(1 - ((whole[0] ?? 0) & 1));
      marked += (word(2) >>> 10) & 1;
      if (fragments === 0) continue;
      granted.set(fragments, (granted.get(fragments) ?? 0) + 1);
      open.add(word(1));
      // The last credit asks for an event.
      expect((word(2) >>> 11) & 1).toBe(open.size === CREDIT ? 1 : 0);
      hurried += (word(2) >>> 11) & 1;
    }
    expect(sent).toEqual([]);
    expect(front.unfinished).toBe(open.size);
    const finished = [...open].filter(() => random.integer(0, 3) > 0);
    if (random.integer(0, 1) === 0) finished.reverse();
    for (const id of finished) open.delete(id);
    writer.show(finished.flatMap((id) => [FINISH | (random.integer(0, 1) << 8), id]));
    await clock.settle();
    trace.push(`${front.unfinished} ${JSON.stringify(front.counters)}`);
  }
  for (const count of [1, 2, 3]) expect(granted.get(count) ?? 0, `${count} grants`).toBeGreaterThan(20);
  expect(granted.get(4) ?? 0).toBeGreaterThan(5);
  expect(marked).toBeGreaterThan(100);
  expect(hurried).toBeGreaterThan(5);
  await close();
  return trace;
}

/** What the frontend wrote since, as words of their own. */
function wholeMessages(
  incoming: { words: Int32Array; base: number; byteLength: number },
  writer: RawWriter,
): Int32Array[] {
  const messages: Int32Array[] = [];
  writer.hear((at, size) => {
    const first = (incoming.base + (at % incoming.byteLength)) >> 2;
    const message = incoming.words.slice(first, first + size / 4);
    if (((message[0] ?? 0) & 0xff) === 2) messages.push(message);
  });
  return messages;
}

describe.each([14, 15, 16, 17, 64, 80, 128, 256])('with %i bytes inline', (prefix) => {
  it('packets look alike, whoever writes them', async () => {
    const seen = await conversation(true, prefix, prefix);
    expect(seen).toEqual(await conversation(false, prefix, prefix));
  });
});

describe.each([true, false])('by kernels: %s', (kernels) => {
  it('a packet that is finished before it was shown is granted to nobody afterwards', async () => {
    const { clock, guest, device, writer, pool, copy, close } = await scene(kernels, 128);
    const { frontend: front } = device;
    const frame = pool.frameFrom(Uint8Array.from({ length: 1514 }, (_, index) => index & 0xfe));
    const other = pool.frameFrom(Uint8Array.from({ length: 1514 }, (_, index) => ~index & 0xfe));
    if (frame === undefined || other === undefined) throw new Error('no pages');
    // Before the turn's flush, the peer finishes the id it expects.
    const work: DeferredWork = {
      deferred: false,
      run: () => {
        expect(front.send(frame)).toBe(true);
        writer.show([FINISH, 0]);
      },
    };
    guest.defer(work);
    await clock.settle();
    expect(front.unfinished).toBe(0);
    expect(device.failures).toEqual([]);
    const [message] = wholeMessages(device.backend.ring.incoming, writer);
    const ref = message?.[6] ?? -1;
    expect(message?.[1]).toBe(0);
    expect(copy(ref, 128, 1386)).toBeUndefined();
    // The id and its reference serve the next one.
    expect(front.send(other)).toBe(true);
    await clock.settle();
    const [next] = wholeMessages(device.backend.ring.incoming, writer);
    expect([next?.[1], next?.[6]]).toEqual([0, ref]);
    expect(copy(ref, 128, 1386)).toEqual(other.toBytes().subarray(128));
    writer.show([FINISH, 0]);
    await clock.settle();
    expect(copy(ref, 128, 1386)).toBeUndefined();
    frame.release();
    other.release();
    await close();
  });
});
