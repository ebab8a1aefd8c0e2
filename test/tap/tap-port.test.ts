/** A TAP's frames both ways, over a file that is played: the kernel's side of readv, writev and the virtio header. */
import { completedChecksum, FramePool, PacketHeaders, parseHeaders } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { TapError, type TapFile, TapPort } from '@netchannel2/tap';
import { FrameChecksum, FrameSegmentation } from '@netchannel2/xen';
import koffi from 'koffi';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { udpPacket } from './udp-packet';

const EAGAIN = -11;
const HEADER = 10;

const memcpyOut = koffi
  .load(null)
  .func('void *memcpy(_Out_ uint8_t *target, uintptr_t source, size_t length)');
const memcpyIn = koffi
  .load(null)
  .func('void *memcpy(uintptr_t target, const uint8_t *source, size_t length)');

/** What the kernel would do with the pieces of a TAP's reads and writes. */
class PlayedFile implements TapFile {
  readonly name = 'tap0';
  readonly written: Uint8Array[] = [];
  private readonly queue: Uint8Array[] = [];
  private callback: (() => void) | undefined;
  closed = false;
  carrier: boolean | undefined;
  refuse = 0;

  constructor(readonly offloads: boolean) {}

  /** A packet from the kernel, header included where there are offloads. */
  arrive(...packets: readonly Uint8Array[]): void {
    this.queue.push(...packets);
    this.callback?.();
  }

  get waiting(): number {
    return this.queue.length;
  }

  setCarrier(up: boolean): void {
    this.carrier = up;
  }

  read(pieces: Uint32Array, count: number): number {
    const packet = this.queue.shift();
    if (packet === undefined) return EAGAIN;
    let at = 0;
    for (let index = 0; index < count && at < packet.byteLength; index += 1) {
      const piece = packet.subarray(at, at + this.lengthOf(pieces, index));
      memcpyIn(this.addressOf(pieces, index), piece, piece.byteLength);
      at += piece.byteLength;
    }
    return at;
  }

  write(pieces: Uint32Array, count: number): number {
    if (this.refuse < 0) return this.refuse;
    const parts: Uint8Array[] = [];
    for (let index = 0; index < count; index += 1) {
      const part = new Uint8Array(this.lengthOf(pieces, index));
      memcpyOut(part, this.addressOf(pieces, index), part.byteLength);
      parts.push(part);
    }
    const whole = new Uint8Array(Buffer.concat(parts));
    this.written.push(whole);
    return whole.byteLength;
  }

  whenReadable(callback: () => void): { close(): void } {
    this.callback = callback;
    return {
      close: () => {
        this.callback = undefined;
      },
    };
  }

  close(): void {
    this.closed = true;
  }

  private addressOf(pieces: Uint32Array, index: number): number {
    return (pieces[index * 4] ?? 0) + (pieces[index * 4 + 1] ?? 0) * 2 ** 32;
  }

  private lengthOf(pieces: Uint32Array, index: number): number {
    return pieces[index * 4 + 2] ?? 0;
  }
}

const header = (...bytes: readonly number[]): Uint8Array => {
  const whole = new Uint8Array(HEADER);
  whole.set(bytes);
  return whole;
};
const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

let machine: Machine;
let domain: SimulatedDomain;

beforeEach(() => {
  machine = Machine.boot({ memoryBytes: 16 << 20 });
  domain = machine.createDomain({ memoryPages: 1024 });
});

afterEach(() => machine.shutdown());

function open(offloads: boolean, pages = 64) {
  const file = new PlayedFile(offloads);
  const port = new TapPort({ name: 'tap0', memory: domain.memory, pages, file });
  return { file, port };
}

describe('a TAP with offloads', () => {
  it('emits frames of all lengths in pages of the domain, with what their header says', () => {
    const { file, port } = open(true);
    const seen: unknown[] = [];
    port.frames$.subscribe((frame) =>
      seen.push([
        frame.toBytes(),
        frame.checksum,
        frame.checksumStart,
        frame.segmentation,
        frame.segmentSize,
      ]),
    );
    const small = udpPacket(100);
    const large = udpPacket(60_000);
    file.arrive(joined(header(), small));
    file.arrive(joined(header(1, 1, 54, 0, 0xa8, 5, 34, 0, 6, 0), large));
    file.arrive(joined(header(2), small));
    expect(seen).toEqual([
      [small, FrameChecksum.unknown, 0, FrameSegmentation.none, 0],
      [large, FrameChecksum.blank, 34, FrameSegmentation.tcpv4, 0x5a8],
      [small, FrameChecksum.validated, 0, FrameSegmentation.none, 0],
    ]);
    port.close();
  });

  it('tells the kernel what a frame lacks', () => {
    const { file, port } = open(true);
    const pool = FramePool.create(domain.memory, 32);
    const frame = pool?.frameFrom(udpPacket(3000));
    if (frame === undefined) throw new Error('no pages');
    frame.checksum = FrameChecksum.blank;
    port.send(frame);
    expect(file.written[0]?.slice(0, HEADER)).toEqual(header(1, 0, 0, 0, 0, 0, 34, 0, 6, 0));
    expect(file.written[0]?.slice(HEADER)).toEqual(udpPacket(3000));
    port.send(udpPacket(60));
    expect(file.written[1]).toEqual(joined(header(), udpPacket(60)));
    frame.release();
    port.close();
  });
});

describe('a TAP without offloads', () => {
  it('completes checksums, and refuses segments by name', () => {
    const { file, port } = open(false);
    const pool = FramePool.create(domain.memory, 32);
    const frame = pool?.frameFrom(udpPacket(3000));
    if (frame === undefined) throw new Error('no pages');
    frame.checksum = FrameChecksum.blank;
    const headers = new PacketHeaders();
    parseHeaders(frame, headers);
    const checksum = completedChecksum(domain.memory, frame, headers.transportOffset, true);
    port.send(frame);
    const field = headers.transportOffset + 6;
    expect([...(file.written[0]?.slice(field, field + 2) ?? [])]).toEqual([checksum >> 8, checksum & 0xff]);
    frame.segmentation = FrameSegmentation.tcpv4;
    port.send(frame);
    expect(port.counters.dropped.segmentationMissing).toBe(1);
    frame.release();
    port.close();
  });
});

describe('a TAP', () => {
  it('drops and counts what it cannot carry', () => {
    const { file, port } = open(true);
    file.arrive(joined(header(), udpPacket(60)));
    port.frames$.subscribe();
    file.arrive(joined(header(), new Uint8Array(5)));
    port.send(new Uint8Array(5));
    port.send(new Uint8Array(70_000));
    file.refuse = -5;
    port.send(new Uint8Array(60));
    expect(port.counters.dropped).toMatchObject({
      noSubscriber: 1,
      tooShort: 2,
      tooLong: 1,
      refusedByKernel: 1,
    });
    port.close();
  });

  it('keeps retained frames intact, and drops when they hold all pages', () => {
    const { file, port } = open(false, 34);
    const kept: { toBytes(): Uint8Array; release(): void }[] = [];
    port.frames$.subscribe((frame) => {
      const lease = frame.retain();
      if (lease !== undefined) kept.push(lease);
    });
    for (let count = 0; count < 20; count += 1) file.arrive(udpPacket(60 + count));
    expect(kept).toHaveLength(17);
    expect(port.counters.dropped.noPages).toBe(3);
    expect(kept.map((frame) => frame.toBytes().byteLength)).toEqual(kept.map((_, index) => 60 + index));
    for (const lease of kept) lease.release();
    file.arrive(udpPacket(99));
    expect(kept).toHaveLength(18);
    kept.at(-1)?.release();
    port.close();
  });

  it('leaves frames with the kernel while it is paused', () => {
    const { file, port } = open(false);
    let frames = 0;
    port.frames$.subscribe(() => {
      frames += 1;
      port.pause();
    });
    file.arrive(udpPacket(60), udpPacket(61));
    expect([frames, file.waiting]).toEqual([1, 1]);
    port.resume();
    file.arrive();
    expect([frames, file.waiting]).toEqual([2, 0]);
    port.setCarrier(true);
    expect(file.carrier).toBe(true);
    port.close();
  });

  it('gives its memory back and completes', () => {
    const before = domain.memory.freePages;
    const { file, port } = open(true);
    let completed = false;
    port.frames$.subscribe({ complete: () => (completed = true) });
    port.close();
    port.close();
    expect([domain.memory.freePages, file.closed, completed, port.send(new Uint8Array(60))]).toEqual([
      before,
      true,
      true,
      true,
    ]);
  });

  it('says what is wrong with a name, or with too little memory', () => {
    expect(() => new TapPort({ name: 'no such name at all', memory: domain.memory })).toThrow(TapError);
    const file = new PlayedFile(false);
    expect(() => new TapPort({ name: 'tap0', memory: domain.memory, pages: 60_000, file })).toThrow(
      /pages left/,
    );
    expect(() => new TapPort({ name: 'tap0', memory: domain.memory, pages: 2, file })).toThrow(RangeError);
  });
});
