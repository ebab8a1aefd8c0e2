/**
 * Packets in up to three pieces are written with their grants by a kernel, a run at a time, or one by one by TypeScript. What a backend
 * sees of a frontend that sends frames of any shape is the same, and each grant covers its bytes and nothing else.
 */
import { createHash } from 'node:crypto';
import { FramePool, LeasedFrame, sendBurst } from '@netchannel2/frames';
import type { SimulatedDomain } from '@netchannel2/hypervisor';
import { netfront2Driver } from '@netchannel2/netfront2';
import { rawVif2BackendDriver, SeededRandom, WiredDevice } from '@netchannel2/testing';
import { type DeferredWork, type FramePort, GrantStatus, grantRef, PAGE_SIZE } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { RawWriter } from './raw-writer';
import { pinGrant } from './status-bits';
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

async function scene(kernels: boolean, prefix: number, burst: readonly number[] = BURST) {
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
  writer.show(burst);
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

/** A frame in pieces of these sizes. */
function frameOf(pool: FramePool, sizes: readonly number[], number: number): LeasedFrame {
  const frame = new LeasedFrame();
  sizes.forEach((size, part) => {
    const page = pool.take();
    if (page === undefined) throw new Error('no pages');
    const offset = 7 * part + number;
    for (let at = 0; at < size; at += 1) page.bytes[page.base + offset + at] = 2 * (number + 3 * part + at);
    frame.addFragment(page, offset, size);
  });
  return frame;
}

/** Sends frames, all or one by one; one that is refused is left out. @returns of each, whether it was taken. */
function sendEach(port: FramePort, frames: readonly (LeasedFrame | Uint8Array)[], burst: boolean) {
  if (!burst) return frames.map((frame) => port.send(frame));
  const taken = frames.map(() => true);
  for (let next = sendBurst(port, frames); next < frames.length; next = sendBurst(port, frames, next + 1))
    taken[next] = false;
  return taken;
}

async function conversation(kernels: boolean, prefix: number, seed: number, burst = false) {
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
      for (let count = random.integer(1, 14); count > 0; ) {
        const frames: LeasedFrame[] = [];
        let last = false;
        for (; count > 0 && !last; count -= 1) {
          const frame = randomFrame(random, pool);
          if (frame === undefined) throw new Error('the pool has more pages than the peer credit');
          frames.push(frame);
          last = random.integer(0, 9) === 0;
        }
        const bytes = frames.map((frame) => frame.toBytes());
        const given = frames.map((frame, index) =>
          random.integer(0, 5) === 0 ? (bytes[index] ?? frame) : frame,
        );
        const taken = sendEach(front, given, burst);
        sent.push(...bytes.filter((_, index) => taken[index]));
        for (const frame of frames) frame.release();
        if (last) front.flush();
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

  it('packets look alike, sent one by one or in bursts', async () => {
    const seen = await conversation(true, prefix, prefix, true);
    expect(seen).toEqual(await conversation(true, prefix, prefix));
    expect(seen).toEqual(await conversation(false, prefix, prefix, true));
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

  it.each([1, 2, 3])(
    'pages of frames in %i pieces stay leased while their grants are in use at FINISH',
    async (count) => {
      for (let pinned = 0; pinned < 1 << count; pinned += 1) {
        const { clock, guest, device, writer, pool, copy, close } = await scene(kernels, 64);
        const { frontend: front } = device;
        const send = async (number: number) => {
          const frame = frameOf(pool, new Array<number>(count).fill(1000), number);
          expect(front.send(frame)).toBe(true);
          frame.release();
        };
        for (let number = 0; number < 5; number += 1) await send(number);
        await clock.settle();
        const refsOf = (message: Int32Array) =>
          Array.from({ length: count }, (_, part) => message[6 + 2 * part] ?? -1);
        const messages = wholeMessages(device.backend.ring.incoming, writer);
        const used = messages
          .filter((_, index) => index === 1 || index === 4)
          .flatMap((message) => refsOf(message).filter((_, part) => ((pinned >> part) & 1) === 1));
        const ends = used.map((ref) => pinGrant(guest, ref));
        const { outstanding } = pool;
        expect(outstanding).toBe(5 * count);
        writer.show(messages.flatMap((message) => [FINISH, message[1] ?? -1]));
        await clock.settle();
        expect([front.unfinished, pool.outstanding]).toEqual([0, used.length]);
        for (const ref of messages.flatMap(refsOf)) expect(copy(ref, 100, 1)).toBeUndefined();
        // The ids go on, with other references.
        for (let number = 0; number < 5; number += 1) await send(number);
        await clock.settle();
        const next = wholeMessages(device.backend.ring.incoming, writer);
        const others = next.flatMap(refsOf);
        expect(new Set(others).size).toBe(5 * count);
        expect(others.filter((ref) => used.includes(ref))).toEqual([]);
        writer.show(next.flatMap((message) => [FINISH, message[1] ?? -1]));
        await clock.settle();
        for (const end of ends) end();
        await clock.advance(1000);
        expect([front.unfinished, pool.outstanding, device.failures]).toEqual([0, 0, []]);
        await close();
      }
    },
  );

  it('a frame that sends others when it is asked for its pieces comes behind them, whole', async () => {
    const { clock, guest, device, writer, pool, copy, close } = await scene(kernels, 64);
    const { frontend: front } = device;
    const inner = frameOf(pool, [500, 600], 1);
    const outer = frameOf(pool, [700, 800, 900], 2);
    const asking = Object.create(outer) as LeasedFrame;
    asking.fragmentPage = (index: number) => {
      // Amid a frame that goes the general way nothing can be sent.
      if (index === 1) expect(front.send(inner)).toBe(kernels);
      return outer.fragmentPage(index);
    };
    guest.run(() => {
      // One that stands in the ring already has the next ones pass.
      expect(front.send(inner)).toBe(true);
      expect(front.send(asking)).toBe(true);
    });
    await clock.settle();
    const lengths: number[][] = [];
    for (const message of wholeMessages(device.backend.ring.incoming, writer)) {
      const count = (((message[0] ?? 0) >>> 16) - 20 - 64) >> 3;
      const sizes = Array.from({ length: count }, (_, part) => (message[5 + 2 * part] ?? 0) & 0xffff);
      lengths.push(sizes);
      const from = (message[5 + 2] ?? 0) >>> 16;
      const [, second = 0] = sizes;
      const page = (count === 3 ? outer : inner).toBytes();
      const first = (sizes[0] ?? 0) + 64;
      expect(copy(message[8] ?? -1, from, second)).toEqual(page.subarray(first, first + second));
      writer.show([FINISH, message[1] ?? -1]);
    }
    expect(lengths.at(-1)).toEqual([636, 800, 900]);
    expect(lengths.slice(0, -1)).toEqual(new Array(lengths.length - 1).fill([436, 600]));
    await clock.settle();
    inner.release();
    outer.release();
    await close();
  });

  it.each(['send', 'flush', 'throw', 'remove'] as const)(
    'a frame of a burst that does something when it is asked for its page: %s',
    async (what) => {
      const { clock, guest, device, writer, pool, close } = await scene(
        kernels,
        64,
        [0x00080001, 64, 0x00080005, 18, 0x00080004, 0],
      );
      const { frontend: front } = device;
      const frames = Array.from({ length: 20 }, (_, number) => frameOf(pool, [1000 + number], number));
      const inner = frameOf(pool, [500], 1);
      let removed: Promise<void> | undefined;
      let asked = false;
      const step = () => {
        if (asked) return;
        asked = true;
        // Amid a burst nothing else can be sent.
        if (what === 'send') expect(front.send(inner)).toBe(!kernels);
        else if (what === 'flush') front.flush();
        else if (what === 'throw') throw new Error('out of order');
        else removed ??= device.remove();
      };
      const page = frames[10]?.fragmentPage(0);
      const restless = Object.create(frames[10] ?? {}) as LeasedFrame;
      restless.fragmentPage = () => {
        step();
        if (page === undefined) throw new Error('no page');
        return page;
      };
      const given = frames.with(10, restless);
      guest.run(() => {
        // The first of a turn goes alone; then the gate is open.
        expect(front.send(inner)).toBe(true);
        if (what === 'throw') expect(() => sendBurst(front, given)).toThrow('out of order');
        else if (what === 'remove') expect(sendBurst(front, given)).toBeLessThan(20);
        else expect(sendBurst(front, given)).toBe(20);
      });
      await removed;
      await clock.settle();
      if (removed === undefined) {
        const messages = wholeMessages(device.backend.ring.incoming, writer);
        const lengths = messages.map((message) => ((message[5] ?? 0) & 0xffff) + 64);
        const all = frames.map((_, number) => 1000 + number);
        const amid = what === 'send' && !kernels ? [500] : [];
        const expected =
          what === 'throw' ? all.slice(0, 10) : [...all.slice(0, 10), ...amid, ...all.slice(10)];
        expect(lengths).toEqual([500, ...expected]);
        expect(new Set(messages.map((message) => message[1])).size).toBe(messages.length);
        writer.show(messages.flatMap((message) => [FINISH, message[1] ?? -1]));
        await clock.settle();
        expect(front.unfinished).toBe(0);
      }
      expect(device.failures).toEqual([]);
      for (const frame of [...frames, inner]) frame.release();
      if (removed === undefined) await close();
      else {
        await clock.advance(3000);
        expect(pool.outstanding).toBe(0);
      }
    },
  );

  it('a ring that is full takes the next when there is room, and says so', async () => {
    const { clock, device, writer, pool, close } = await scene(
      kernels,
      64,
      [0x00080001, 64, 0x00080005, 18, 0x00080004, 0],
    );
    const { frontend: front } = device;
    let writable = 0;
    front.writable$.subscribe(() => (writable += 1));
    let sent = 0;
    let shown = 0;
    for (let round = 0; round < 20; round += 1) {
      for (; ; sent += 1) {
        const frame = frameOf(pool, [300, 200, 100].slice(0, 1 + (sent % 3)), sent);
        const taken = front.send(frame);
        frame.release();
        if (!taken) break;
      }
      await clock.settle();
      const messages = wholeMessages(device.backend.ring.incoming, writer);
      for (const message of messages) {
        expect([(message[5] ?? 0) & 0xffff, (message[0] ?? 0) >>> 16]).toEqual([236, 96 + 8 * (shown % 3)]);
        shown += 1;
      }
      expect(messages.length).toBeGreaterThan(10);
      const before = writable;
      writer.show(messages.flatMap((message) => [FINISH, message[1] ?? -1]));
      await clock.settle();
      expect(writable).toBe(before + 1);
    }
    expect([shown, front.unfinished, device.failures]).toEqual([sent, 0, []]);
    await close();
  });
});
