import { FrameChecksum, FrameSegmentation, type FrameView, type LeasedPage } from '@netchannel2/xen';

/**
 * The most fragments a frame can have: 65536 bytes in 4096-byte pages are 17 when they start inside a page, and a sender
 * may put its headers into a page of their own.
 */
export const MAX_FRAGMENTS = 32;

/** The pieces of a frame behind its first. */
class FurtherPieces {
  readonly pages: (LeasedPage | undefined)[] = [];
  readonly offsets: number[] = [];
  readonly lengths: number[] = [];
}

/**
 * Bytes spread over pieces of pages: what received, retained and self-made frames share. `generation` changes whenever
 * the bytes stop being this frame's, which is how views notice.
 *
 * Most frames have one piece. It is kept in the frame itself, beside what a device asks for: memory that is looked into costs more
 * than the look.
 */
export abstract class FragmentedFrame implements FrameView {
  byteLength = 0;
  fragmentCount = 0;
  checksum: FrameChecksum = FrameChecksum.unknown;
  segmentation: FrameSegmentation = FrameSegmentation.none;
  protected firstPage: LeasedPage | undefined = undefined;
  protected firstOffset = 0;
  protected firstLength = 0;
  private further: FurtherPieces | undefined = undefined;
  /** @internal */
  generation = 0;
  checksumStart = 0;
  checksumOffset = 0;
  segmentSize = 0;

  /** Adds a piece at the end. The page's lease is the caller's matter. */
  addFragment(page: LeasedPage, offset: number, length: number): void {
    const index = this.fragmentCount;
    if (index === 0) {
      this.firstPage = page;
      this.firstOffset = offset;
      this.firstLength = length;
    } else {
      this.further ??= new FurtherPieces();
      this.further.pages[index - 1] = page;
      this.further.offsets[index - 1] = offset;
      this.further.lengths[index - 1] = length;
    }
    this.fragmentCount = index + 1;
    this.byteLength += length;
  }

  fragmentPage(index: number): LeasedPage {
    const page = index < this.fragmentCount ? this.pageOf(index) : undefined;
    if (page === undefined) throw new RangeError(`frame has no fragment ${index}`);
    return page;
  }

  fragmentOffset(index: number): number {
    return index < this.fragmentCount ? this.offsetOf(index) : 0;
  }

  fragmentLength(index: number): number {
    return index < this.fragmentCount ? this.lengthOf(index) : 0;
  }

  uint8(offset: number): number {
    if (offset < 0 || offset >= this.byteLength) return 0;
    if (offset < this.firstLength) {
      const page = this.firstPage as LeasedPage;
      return page.bytes[page.base + this.firstOffset + offset] as number;
    }
    let rest = offset;
    for (let index = 0; index < this.fragmentCount; index += 1) {
      const length = this.lengthOf(index);
      if (rest < length) {
        const page = this.pageOf(index);
        return page === undefined ? 0 : (page.bytes[page.base + this.offsetOf(index) + rest] ?? 0);
      }
      rest -= length;
    }
    return 0;
  }

  uint16(offset: number): number {
    const end = offset + 2;
    if (offset < 0 || end > this.byteLength || end > this.firstLength)
      return (this.uint8(offset) << 8) | this.uint8(offset + 1);
    const { bytes, base } = this.firstPage as LeasedPage;
    const at = base + this.firstOffset + offset;
    return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  }

  uint32(offset: number): number {
    return ((this.uint16(offset) << 16) | this.uint16(offset + 2)) >>> 0;
  }

  copyTo(target: Uint8Array, targetOffset = 0, start = 0, length = this.byteLength - start): number {
    let skip = Math.max(0, start);
    let left = Math.min(length, this.byteLength - skip, target.byteLength - targetOffset);
    let done = 0;
    for (let index = 0; index < this.fragmentCount && left > 0; index += 1) {
      const whole = this.lengthOf(index);
      if (skip >= whole) {
        skip -= whole;
        continue;
      }
      const page = this.pageOf(index);
      if (page === undefined) break;
      const piece = Math.min(whole - skip, left);
      const from = page.base + this.offsetOf(index) + skip;
      target.set(page.bytes.subarray(from, from + piece), targetOffset + done);
      done += piece;
      left -= piece;
      skip = 0;
    }
    return done;
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    this.copyTo(bytes);
    return bytes;
  }

  view(start = 0, end = this.byteLength): FrameView {
    const from = Math.min(Math.max(0, start), this.byteLength);
    return new FrameWindow(this, from, Math.max(from, Math.min(end, this.byteLength)));
  }

  /** Copies pieces and packet properties of another frame, without touching leases. */
  protected copyShape(source: FragmentedFrame): void {
    for (let index = 0; index < source.fragmentCount; index += 1) {
      this.addFragment(
        source.fragmentPage(index),
        source.fragmentOffset(index),
        source.fragmentLength(index),
      );
    }
    this.checksum = source.checksum;
    this.checksumStart = source.checksumStart;
    this.checksumOffset = source.checksumOffset;
    this.segmentation = source.segmentation;
    this.segmentSize = source.segmentSize;
  }

  private pageOf(index: number): LeasedPage | undefined {
    return index === 0 ? this.firstPage : this.further?.pages[index - 1];
  }

  private offsetOf(index: number): number {
    return index === 0 ? this.firstOffset : (this.further?.offsets[index - 1] ?? 0);
  }

  private lengthOf(index: number): number {
    return index === 0 ? this.firstLength : (this.further?.lengths[index - 1] ?? 0);
  }

  /** {@link detach}, and a lease of each page ends. */
  protected releasePages(): void {
    const { fragmentCount, firstPage, further } = this;
    this.detach();
    this.firstPage = undefined;
    if (fragmentCount > 0) firstPage?.release();
    if (further === undefined) return;
    const { pages } = further;
    for (let index = 0; index < fragmentCount - 1; index += 1) {
      pages[index]?.release();
      pages[index] = undefined;
    }
  }

  /** The bytes are no longer this frame's: it and all views of it read as empty. */
  protected detach(): void {
    this.generation += 1;
    this.byteLength = 0;
    this.fragmentCount = 0;
    this.checksum = FrameChecksum.unknown;
    this.checksumStart = 0;
    this.checksumOffset = 0;
    this.segmentation = FrameSegmentation.none;
    this.segmentSize = 0;
  }
}

/** A range of a frame, empty as soon as the frame's bytes have changed hands. */
class FrameWindow implements FrameView {
  private readonly generation: number;

  constructor(
    private readonly frame: FragmentedFrame,
    private readonly start: number,
    private readonly end: number,
  ) {
    this.generation = frame.generation;
  }

  get byteLength(): number {
    return this.frame.generation === this.generation ? this.end - this.start : 0;
  }

  uint8(offset: number): number {
    return offset >= 0 && offset < this.byteLength ? this.frame.uint8(this.start + offset) : 0;
  }

  uint16(offset: number): number {
    return (this.uint8(offset) << 8) | this.uint8(offset + 1);
  }

  uint32(offset: number): number {
    return ((this.uint16(offset) << 16) | this.uint16(offset + 2)) >>> 0;
  }

  copyTo(target: Uint8Array, targetOffset = 0, start = 0, length = this.byteLength - start): number {
    const from = Math.max(0, start);
    const most = Math.min(length, this.byteLength - from);
    return most > 0 ? this.frame.copyTo(target, targetOffset, this.start + from, most) : 0;
  }

  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.byteLength);
    this.copyTo(bytes);
    return bytes;
  }
}
