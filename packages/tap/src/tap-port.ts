import {
  completedChecksum,
  ETHERNET_HEADER_LENGTH,
  FrameCursor,
  FramePool,
  HotStream,
  PacketHeaders,
  PortCounters,
  PROTOCOL_UDP,
  parseHeaders,
  transportChecksumOffset,
} from '@netchannel2/frames';
import {
  type DomainMemory,
  type Frame,
  FrameChecksum,
  type FramePort,
  FrameSegmentation,
  type LeasedPage,
  PAGE_SIZE,
  type PageArea,
} from '@netchannel2/xen';
import { NEVER, type Observable } from 'rxjs';
import { MemoryAddresses } from './memory-addresses';
import { TapError } from './tap-error';
import { openTapFile, pieceList, setPiece, type TapFile, type TapOptions } from './tap-file';
import { readVnetHeader, VNET_HEADER_BYTES, writeVnetHeader } from './vnet-header';

/** Pages of the longest frame: 65536 bytes and an Ethernet header. */
const FRAME_PAGES = 17;
/** Frames read before the event loop serves others. */
const READS_PER_TURN = 64;
const DEFAULT_PAGES = 256;

const DROPS = [
  'noSubscriber',
  'noPages',
  'tooShort',
  'tooLong',
  'checksumUnknown',
  'segmentationMissing',
  'refusedByKernel',
] as const;
export type TapDrop = (typeof DROPS)[number];

export interface TapPortOptions extends TapOptions {
  /** Memory of the domain the frames are for. */
  readonly memory: DomainMemory;
  /** Pages frames are read into, 34 … 65536, default 256. Retained frames keep theirs. */
  readonly pages?: number;
  /** The opened device. Default: `/dev/net/tun`. */
  readonly file?: TapFile;
}

/**
 * A TAP of the kernel as a frame port: frames are read into pages of the domain, so they can go on to a guest from where they
 * lie. The kernel takes every frame or loses it, so `send` always answers `true`.
 */
export class TapPort implements FramePort {
  readonly name: string;
  readonly writable$: Observable<void> = NEVER;
  readonly counters = new PortCounters<TapDrop>(DROPS);
  private readonly stream = new HotStream<Frame>();
  private readonly cursor = new FrameCursor();
  private readonly headers = new PacketHeaders();
  private readonly addresses = new MemoryAddresses();
  private readonly file: TapFile;
  private readonly memory: DomainMemory;
  private readonly pool: FramePool;
  /** Bytes being sent that lie in no page, and a header before each frame of either direction. */
  private readonly scratch: PageArea;
  private readonly pages: LeasedPage[] = [];
  private readonly reading = pieceList(FRAME_PAGES + 1);
  private readonly writing = pieceList(64);
  private readonly headerPieces: number;
  private watch: { close(): void } | undefined;
  private closed = false;

  /** @throws TapError when the device or memory is missing. */
  constructor(options: TapPortOptions) {
    const { memory, pages = DEFAULT_PAGES } = options;
    if (!(Number.isInteger(pages) && pages >= 2 * FRAME_PAGES && pages <= 65536)) {
      throw new RangeError(
        `TAP option pages is ${pages}: give a whole number from ${2 * FRAME_PAGES} to 65536`,
      );
    }
    this.file = options.file ?? openTapFile(options);
    this.name = this.file.name;
    this.memory = memory;
    this.headerPieces = this.file.offloads ? 1 : 0;
    const pool = FramePool.create(memory, pages);
    const scratch = memory.allocate(FRAME_PAGES + 1);
    if (pool === undefined || scratch === undefined) {
      pool?.close();
      this.file.close();
      throw new TapError(`The domain has no ${pages + FRAME_PAGES + 1} pages left for ${this.name}.`);
    }
    this.pool = pool;
    this.scratch = scratch;
    for (let index = 0; index < FRAME_PAGES; index += 1) {
      const page = pool.take();
      if (page !== undefined) this.place(index, page);
    }
    if (this.file.offloads) setPiece(this.reading, 0, this.headerAddress(0), VNET_HEADER_BYTES);
    this.resume();
  }

  get frames$(): Observable<Frame> {
    return this.stream;
  }

  send(frame: Frame | Uint8Array): boolean {
    if (this.closed) return true;
    const length = frame.byteLength;
    if (length < ETHERNET_HEADER_LENGTH) return this.drop('tooShort');
    if (length > FRAME_PAGES * PAGE_SIZE) return this.drop('tooLong');
    if (frame instanceof Uint8Array) {
      this.memory.copyIn(this.scratch, PAGE_SIZE, frame);
      this.clearHeader();
      return this.writeScratch(length);
    }
    const lacking = frame.checksum === FrameChecksum.blank || frame.segmentation !== FrameSegmentation.none;
    if (lacking) parseHeaders(frame, this.headers);
    if (!this.file.offloads) return this.sendPlain(frame, length, lacking);
    const header = this.scratch.base + VNET_HEADER_BYTES;
    if (!writeVnetHeader(this.scratch.bytes, header, frame, this.headers))
      return this.drop('checksumUnknown');
    return this.writeFragments(frame, length);
  }

  flush(): void {}

  /** Leaves frames in the kernel's queue for this interface, which is bounded. */
  pause(): void {
    this.watch?.close();
    this.watch = undefined;
  }

  /** Reads frames again after {@link pause}. */
  resume(): void {
    if (!this.closed) this.watch ??= this.file.whenReadable(() => this.receive());
  }

  /** Shows the kernel's network whether there is anybody at the other end. */
  setCarrier(up: boolean): void {
    if (!this.closed) this.file.setCarrier(up);
  }

  /** Closes the device; the interface goes with it unless somebody made it to stay. `frames$` completes. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.pause();
    this.file.close();
    for (const page of this.pages) page.release();
    this.pages.length = 0;
    this.pool.close();
    this.memory.free(this.scratch);
    this.stream.complete();
  }

  /** A kernel that is told nothing of checksums gets them complete. */
  private sendPlain(frame: Frame, length: number, lacking: boolean): boolean {
    if (frame.segmentation !== FrameSegmentation.none) return this.drop('segmentationMissing');
    if (!lacking) return this.writeFragments(frame, length);
    const { headers, scratch } = this;
    const field = transportChecksumOffset(headers.protocol);
    if (headers.transportOffset === 0 || field < 0) return this.drop('checksumUnknown');
    const isUdp = headers.protocol === PROTOCOL_UDP;
    const checksum = completedChecksum(this.memory, frame, headers.transportOffset, isUdp);
    frame.copyTo(scratch.bytes, scratch.base + PAGE_SIZE);
    const at = scratch.base + PAGE_SIZE + headers.transportOffset + field;
    scratch.bytes[at] = checksum >> 8;
    scratch.bytes[at + 1] = checksum & 0xff;
    return this.writeScratch(length);
  }

  private writeScratch(length: number): boolean {
    const address = this.addresses.of(this.scratch.bytes) + this.scratch.base + PAGE_SIZE;
    setPiece(this.writing, this.headerPieces, address, length);
    return this.write(this.headerPieces + 1, length);
  }

  private writeFragments(frame: Frame, length: number): boolean {
    const count = frame.fragmentCount;
    for (let index = 0; index < count; index += 1) {
      const page = frame.fragmentPage(index);
      const address = this.addresses.of(page.bytes) + page.base + frame.fragmentOffset(index);
      setPiece(this.writing, this.headerPieces + index, address, frame.fragmentLength(index));
    }
    return this.write(this.headerPieces + count, length);
  }

  private write(pieces: number, length: number): boolean {
    if (this.headerPieces === 1) setPiece(this.writing, 0, this.headerAddress(1), VNET_HEADER_BYTES);
    if (this.file.write(this.writing, pieces) < 0) return this.drop('refusedByKernel');
    this.counters.framesSent += 1;
    this.counters.bytesSent += length;
    return true;
  }

  private receive(): void {
    for (let count = 0; count < READS_PER_TURN && this.watch !== undefined; count += 1) {
      const bytes = this.file.read(this.reading, FRAME_PAGES + this.headerPieces);
      if (bytes <= 0) return;
      this.arrived(bytes - this.headerPieces * VNET_HEADER_BYTES);
    }
  }

  private arrived(length: number): void {
    if (length < ETHERNET_HEADER_LENGTH) {
      this.counters.dropped.tooShort += 1;
      return;
    }
    if (!this.stream.observed) {
      this.counters.dropped.noSubscriber += 1;
      return;
    }
    const count = Math.ceil(length / PAGE_SIZE);
    // Pages to read into next come first: without them these must not leave.
    if (this.pool.available < count) {
      this.counters.dropped.noPages += 1;
      return;
    }
    const { cursor } = this;
    if (this.file.offloads) readVnetHeader(this.scratch.bytes, this.scratch.base, cursor);
    for (let index = 0, left = length; index < count; index += 1, left -= PAGE_SIZE) {
      const page = this.pages[index];
      if (page !== undefined) cursor.addFragment(page, 0, left < PAGE_SIZE ? left : PAGE_SIZE);
    }
    this.counters.framesReceived += 1;
    this.counters.bytesReceived += length;
    try {
      this.stream.emit(cursor);
    } finally {
      cursor.end();
      if (!this.closed) this.exchange(count);
    }
  }

  private exchange(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const next = this.pool.take();
      if (next === undefined) break;
      this.pages[index]?.release();
      this.place(index, next);
    }
  }

  private place(index: number, page: LeasedPage): void {
    this.pages[index] = page;
    const address = this.addresses.of(page.bytes) + page.base;
    setPiece(this.reading, this.headerPieces + index, address, PAGE_SIZE);
  }

  /** Header 0 is of the frame being read, 1 of the one being written. */
  private headerAddress(index: number): number {
    return this.addresses.of(this.scratch.bytes) + this.scratch.base + index * VNET_HEADER_BYTES;
  }

  private clearHeader(): void {
    const at = this.scratch.base + VNET_HEADER_BYTES;
    this.scratch.bytes.fill(0, at, at + VNET_HEADER_BYTES);
  }

  private drop(reason: TapDrop): true {
    this.counters.dropped[reason] += 1;
    return true;
  }
}
