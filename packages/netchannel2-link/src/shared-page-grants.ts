import { LARGEST_FRAGMENT_COUNT, writePacketFragment } from '@netchannel2/netchannel2';
import {
  type Domain,
  type DomainId,
  type Frame,
  type GrantRef,
  PAGE_SIZE,
  type Page,
  type SharedPages,
} from '@netchannel2/xen';
import { FinishOutcome, MAP_DEADLINE, type PacketGrants } from './packet-grants';
import { IdState, PacketIds } from './packet-ids';

/** Pages shared at a time, when the ones there are do not suffice. */
const CHUNK_PAGES = 32;
const MOST_PAGES = 256;
const STRIDE = LARGEST_FRAGMENT_COUNT;

/**
 * For tables of version 1 and platforms that only share whole pages: bytes are copied into pages that are granted to this
 * peer for the whole connection and never carry anybody else's packets (spec §4.5), so nothing is granted or revoked per
 * packet and a peer that maps them learns nothing it was not sent.
 */
export class SharedPageGrants implements PacketGrants {
  private readonly ids: PacketIds;
  private readonly counts: Int32Array;
  /** Indices into `pages`. */
  private readonly used: Int32Array;
  private readonly chunks: SharedPages[] = [];
  private readonly pages: Page[] = [];
  private readonly refs: GrantRef[] = [];
  private readonly idle: number[] = [];

  constructor(
    private readonly domain: Domain,
    private readonly peer: DomainId,
    capacity: number,
  ) {
    this.ids = new PacketIds(capacity);
    this.counts = new Int32Array(capacity);
    this.used = new Int32Array(capacity * STRIDE);
  }

  readonly exact = undefined;

  /** Pages are shared all the time. */
  publish(): void {}

  settle(): FinishOutcome {
    return FinishOutcome.done;
  }

  get free(): number {
    return this.ids.free;
  }

  get capacity(): number {
    return this.ids.capacity;
  }

  get unfinished(): number {
    return this.ids.open;
  }

  fragmentsOf(frame: Frame, skip: number): number {
    return (frame.byteLength - skip + PAGE_SIZE - 1) >> 12;
  }

  grant(frame: Frame, skip: number, words: Int32Array, at: number): number {
    const count = this.fragmentsOf(frame, skip);
    if (this.ids.free === 0) return -1;
    while (this.idle.length < count) if (!this.shareMore()) return -1;
    const id = this.ids.take();
    const first = id * STRIDE;
    for (let fragment = 0; fragment < count; fragment += 1)
      this.used[first + fragment] = this.idle.pop() ?? 0;
    this.copyIn(frame, skip, first);
    let left = frame.byteLength - skip;
    for (let fragment = 0; fragment < count; fragment += 1) {
      const ref = this.refs[this.used[first + fragment] ?? 0] as number;
      writePacketFragment(words, at, fragment, Math.min(left, PAGE_SIZE), 0, ref);
      left -= PAGE_SIZE;
    }
    this.counts[id] = count;
    return id;
  }

  /** Whole pages are never granted on: a packet's receiver could read what lies beside it. */
  acceptsGranted(): boolean {
    return false;
  }

  grantOn(): number {
    return -1;
  }

  finish(id: number): FinishOutcome {
    if (this.ids.state(id) === IdState.free) return FinishOutcome.unknown;
    const first = id * STRIDE;
    const end = first + (this.counts[id] as number);
    for (let slot = first; slot < end; slot += 1) this.idle.push(this.used[slot] as number);
    this.ids.put(id);
    return FinishOutcome.done;
  }

  /** The peer may have the pages mapped, so none can be taken back. */
  sweep(): boolean {
    this.ids.age();
    let stuck = false;
    for (let id = 0; id < this.ids.capacity; id += 1) stuck ||= this.ids.overdue(id, MAP_DEADLINE);
    return stuck;
  }

  end(): void {
    for (const chunk of this.chunks) chunk.end();
    this.chunks.length = 0;
    this.pages.length = 0;
    this.refs.length = 0;
    this.idle.length = 0;
  }

  private copyIn(frame: Frame, skip: number, first: number): void {
    const memory = this.domain.memory;
    let left = skip;
    let done = 0;
    for (let index = 0; index < frame.fragmentCount; index += 1) {
      const length = frame.fragmentLength(index);
      if (left >= length) {
        left -= length;
        continue;
      }
      const source = frame.fragmentPage(index);
      let from = frame.fragmentOffset(index) + left;
      let rest = length - left;
      left = 0;
      while (rest > 0) {
        const target = this.pages[this.used[first + (done >> 12)] as number];
        if (target === undefined) return;
        const piece = Math.min(rest, PAGE_SIZE - (done & (PAGE_SIZE - 1)));
        memory.copy(target, done & (PAGE_SIZE - 1), source, from, piece);
        from += piece;
        rest -= piece;
        done += piece;
      }
    }
  }

  private shareMore(): boolean {
    if (this.pages.length >= MOST_PAGES) return false;
    const chunk = this.domain.grants.share(this.peer, CHUNK_PAGES, 'readonly');
    if (chunk === undefined) return false;
    this.chunks.push(chunk);
    chunk.area.pages.forEach((page, index) => {
      const ref = chunk.refs[index];
      if (ref === undefined) return;
      this.idle.push(this.pages.length);
      this.pages.push(page);
      this.refs.push(ref);
    });
    return true;
  }
}
