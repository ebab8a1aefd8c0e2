import type { PooledPage } from '@netchannel2/frames';
import type { PacketHead } from '@netchannel2/netchannel2';
import {
  type Domain,
  type DomainId,
  type GrantCopyBatch,
  type GrantRef,
  GrantStatus,
  type MappedPages,
  PAGE_SIZE,
} from '@netchannel2/xen';

const COPY_ATTEMPTS = 3;

/** Told what becomes of a packet. */
export interface MappedPacketHome {
  /** The peer's pages are not needed any more. @param obtained `false`: its grants did not work. */
  finished(packet: MappedPacket, obtained: boolean): void;
  /** Nobody holds it: it may be used for another packet. */
  ended(packet: MappedPacket): void;
  /** Mapping worked, or did not. */
  tried(mapped: boolean): void;
}

/**
 * A packet whose bytes behind the prefix are still the peer's. They are mapped when somebody looks at them, and copied into
 * pages that were set aside when somebody needs pages or keeps the packet for long. One object serves for many packets.
 */
export class MappedPacket {
  id = 0;
  /** Bytes at the front that are ours. */
  prefix = 0;
  /** Frames that show it. */
  holders = 0;
  /** Looks of the sweep that found it held. */
  age = 0;
  /** The peer was told, or nobody is to be told. */
  finishedAlready = true;
  /** Pages set aside for it, the first of {@link pages}: what is behind them is left from others. */
  pageCount = 0;
  readonly pages: PooledPage[] = [];

  private here = true;
  /** One for each fragment. */
  private readonly refs: GrantRef[] = [];
  private readonly offsets: number[] = [];
  private readonly sizes: number[] = [];
  /** One for all fragments, or one for each. */
  private readonly mappings: MappedPages[] = [];

  /** @param copies empty whenever nobody is using it. */
  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    private readonly copies: GrantCopyBatch,
    private readonly home: MappedPacketHome,
  ) {}

  /** @param head a checked packet with fragments, for whose length {@link pages} are enough. */
  load(head: PacketHead): void {
    const { refs, offsets, sizes } = this;
    this.id = head.id;
    this.prefix = head.prefixSize;
    this.holders = 0;
    this.age = 0;
    this.here = false;
    this.finishedAlready = false;
    // To set a length throws the memory of an array away, even where it has that length already.
    if (refs.length > head.fragments) refs.length = head.fragments;
    for (let index = 0; index < head.fragments; index += 1) {
      refs[index] = head.fragmentRef(index) as GrantRef;
      offsets[index] = head.fragmentOffset(index);
      sizes[index] = head.fragmentSize(index);
    }
  }

  /** @param index below {@link pageCount}. */
  page(index: number): PooledPage {
    return this.pages[index] as PooledPage;
  }

  /** All bytes are in {@link pages}. */
  get copied(): boolean {
    return this.here;
  }

  get mapped(): boolean {
    return this.mappings.length > 0;
  }

  /** Makes the bytes behind the prefix readable by {@link copyOut}, or copies them. */
  reach(): void {
    if (this.here || this.mapped) return;
    const { foreign } = this.domain;
    const together = foreign.map(this.peer, this.refs, 'readonly');
    if (typeof together !== 'number') this.mappings.push(together);
    // Fragments that are not adjacent cannot be one area.
    else if (together === GrantStatus.generalError && this.refs.length > 1) this.mapEach();
    this.home.tried(this.mapped);
    if (!this.mapped) this.obtain();
  }

  /** The byte at `offset`, which is behind the prefix, of a packet that is mapped. */
  byte(offset: number): number {
    let rest = offset - this.prefix;
    for (let index = 0; index < this.refs.length; index += 1) {
      const size = this.sizes[index] as number;
      if (rest < size) return this.bytesOf(index)[this.startOf(index) + rest] ?? 0;
      rest -= size;
    }
    return 0;
  }

  /** Copies bytes `[start, start + length)`, all behind the prefix, of a packet that is mapped. */
  copyOut(target: Uint8Array, targetOffset: number, start: number, length: number): void {
    let skip = start - this.prefix;
    let done = 0;
    for (let index = 0; index < this.refs.length && done < length; index += 1) {
      const size = this.sizes[index] as number;
      if (skip < size) {
        const piece = Math.min(size - skip, length - done);
        const from = this.startOf(index) + skip;
        target.set(this.bytesOf(index).subarray(from, from + piece), targetOffset + done);
        done += piece;
        skip = 0;
      } else skip -= size;
    }
  }

  /** Takes all bytes into {@link pages}; the peer can have its own back. Where its grants do not work the bytes are zero. */
  obtain(): void {
    if (this.here) return;
    this.here = true;
    const obtained = this.mapped ? this.copyMapped() : this.copyGranted();
    this.unmap();
    if (!obtained) this.clearRest();
    this.finish(obtained);
  }

  /** A frame does not show it any more. */
  letGo(): void {
    this.holders -= 1;
    if (this.holders > 0) return;
    this.unmap();
    this.finish(true);
    this.home.ended(this);
  }

  private finish(obtained: boolean): void {
    if (this.finishedAlready) return;
    this.finishedAlready = true;
    this.home.finished(this, obtained);
  }

  private mapEach(): void {
    for (const ref of this.refs) {
      const one = this.domain.foreign.map(this.peer, [ref], 'readonly');
      if (typeof one === 'number') {
        this.unmap();
        return;
      }
      this.mappings.push(one);
    }
  }

  private unmap(): void {
    if (this.mappings.length === 0) return;
    for (const mapping of this.mappings) mapping.unmap();
    this.mappings.length = 0;
  }

  private bytesOf(index: number): Uint8Array {
    return this.mappingOf(index).area.bytes;
  }

  private startOf(index: number): number {
    const page = this.mappings.length === 1 ? index * PAGE_SIZE : 0;
    return this.mappingOf(index).area.base + page + (this.offsets[index] as number);
  }

  private mappingOf(index: number): MappedPages {
    return (this.mappings.length === 1 ? this.mappings[0] : this.mappings[index]) as MappedPages;
  }

  private copyMapped(): boolean {
    const { memory } = this.domain;
    this.eachPiece((index, from, page, to, length) => {
      const start = this.mappings.length === 1 ? index * PAGE_SIZE + from : from;
      memory.copy(page, to, this.mappingOf(index).area, start, length);
    });
    return true;
  }

  private copyGranted(): boolean {
    const { copies, peer, refs } = this;
    this.eachPiece((index, from, page, to, length) => {
      copies.addFromGrant(peer, refs[index] as GrantRef, from, page, to, length);
    });
    copies.submit();
    for (let attempt = 0; attempt < COPY_ATTEMPTS && this.holds(GrantStatus.again); attempt += 1)
      copies.submit();
    let obtained = true;
    for (let index = 0; index < copies.length; index += 1) {
      if (copies.status(index) !== GrantStatus.okay) obtained = false;
    }
    copies.clear();
    return obtained;
  }

  private holds(status: GrantStatus): boolean {
    for (let index = 0; index < this.copies.length; index += 1) {
      if (this.copies.status(index) === status) return true;
    }
    return false;
  }

  /** What these pages held before must not be seen. */
  private clearRest(): void {
    this.eachPiece((_index, _from, page, to, length) => {
      page.bytes.fill(0, page.base + to, page.base + to + length);
    });
  }

  /** Every piece of a fragment that ends at a border of our own pages. */
  private eachPiece(
    visit: (index: number, from: number, page: PooledPage, to: number, length: number) => void,
  ): void {
    let filled = this.prefix;
    for (let index = 0; index < this.refs.length; index += 1) {
      let from = this.offsets[index] as number;
      let left = this.sizes[index] as number;
      while (left > 0) {
        const to = filled & (PAGE_SIZE - 1);
        const piece = Math.min(left, PAGE_SIZE - to);
        visit(index, from, this.page(filled >> 12), to, piece);
        from += piece;
        left -= piece;
        filled += piece;
      }
    }
  }
}
