/**
 * A guest kernel's grant table: the port that drivers use, over entries in memory shared with Xen.
 *
 * @packageDocumentation
 */
import {
  type DomainId,
  type DomainMemory,
  type GrantAccess,
  type GrantEntries,
  type GrantPublications,
  type GrantRef,
  type GrantRevocations,
  type GrantStatistics,
  type GrantTable,
  type GrantTableVersion,
  type GuestFrame,
  grantRef,
  NO_GRANT_REF,
  type SharedPages,
} from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import {
  STATUS_WORDS_PER_FRAME,
  STATUS_WORDS_SHIFT,
  V1_ENTRIES_PER_FRAME,
  V1_ENTRIES_SHIFT,
  V2_ENTRIES_PER_FRAME,
  V2_ENTRIES_SHIFT,
} from '../layout/entries';
import {
  GNTTAB_NR_RESERVED_ENTRIES,
  GTF_in_use,
  GTF_permit_access,
  GTF_readonly,
  GTF_sub_page,
  GTF_transitive,
} from '../layout/entry-flags';
import { DeferredEnds } from './deferred-ends';
import { endShare } from './end-share';
import { atomicEntryAccess, type EntryAccess, PUBLICATION_WORDS, REVOCATION_WORDS } from './entry-access';
import { needsVersion2, PublicationRun, RevocationRun, type RunTable, runArea } from './entry-runs';
import { ReferenceAllocator } from './reference-allocator';
import { type GuestPlatform, TableFrames } from './table-frames';

/** What a guest grant table is made of, beside the hypercalls. */
export interface GuestGrantTableParts extends GuestPlatform {
  readonly halfwords: Uint16Array;
  readonly memory: DomainMemory;
  readonly scheduler: SchedulerLike;
  /** Kernels for the hot operations. Default: `Atomics`. */
  readonly access?: EntryAccess | undefined;
  /** Where publications and revocations are counted: doubles, single writer. */
  readonly counters: Float64Array;
  readonly publishedCounter: number;
  readonly revokedCounter: number;
}

export class GuestGrantTable implements GrantTable, GrantEntries, RunTable {
  readonly version: GrantTableVersion;
  readonly version2: boolean;
  readonly #words: Int32Array;
  readonly #halfwords: Uint16Array;
  /** @internal */
  readonly access: EntryAccess;
  readonly #counters: Float64Array;
  readonly #published: number;
  readonly #revoked: number;
  readonly #memory: DomainMemory;
  readonly #frames: TableFrames;
  readonly #shared: number[];
  readonly #status: number[];
  readonly #references = new ReferenceAllocator();
  readonly #deferred: DeferredEnds;
  #inUseAnswers = 0;
  #deferredEnded = 0;
  #exhausted = 0;
  /** The domain has ended. @internal */
  stopped = false;

  /** @param wanted the version the kernel asks for; Xen may allow 1 only. */
  constructor(parts: GuestGrantTableParts, wanted: GrantTableVersion) {
    this.#words = parts.argument.words;
    this.#halfwords = parts.halfwords;
    this.access = parts.access ?? atomicEntryAccess(parts.argument.words, parts.halfwords);
    this.#counters = parts.counters;
    this.#published = parts.publishedCounter;
    this.#revoked = parts.revokedCounter;
    this.#memory = parts.memory;
    this.#frames = new TableFrames(parts, wanted);
    this.#shared = this.#frames.shared;
    this.#status = this.#frames.status;
    this.version = this.#frames.version;
    this.version2 = this.version === 2;
    this.#references.extend(this.#frames.entries);
    this.#deferred = new DeferredEnds(parts.scheduler, (ref) => this.#endDeferred(ref));
  }

  get entries(): GrantEntries {
    return this;
  }

  get freeRefs(): number {
    return this.#references.free + this.#frames.maxEntries - this.#references.known;
  }

  get statistics(): GrantStatistics {
    const total = this.#references.known - GNTTAB_NR_RESERVED_ENTRIES;
    return {
      published: this.#counters[this.#published] as number,
      revoked: this.#counters[this.#revoked] as number,
      inUseAnswers: this.#inUseAnswers,
      deferred: this.#deferred.count,
      deferredEnded: this.#deferredEnded,
      exhausted: this.#exhausted,
      allocatedRefs: total - this.#references.free,
      freeRefs: this.freeRefs,
    };
  }

  /** The domain has ended: its table may soon be another's, so nothing is written any more. */
  stop(): void {
    this.stopped = true;
    this.#deferred.stop();
    this.#references.stop();
  }

  allocate(): GrantRef {
    const ref = this.#references.take();
    return ref >= 0 ? grantRef(ref) : this.#allocateGrowing();
  }

  #allocateGrowing(): GrantRef {
    if (!this.stopped && this.#frames.grow(this.#shared.length + 1)) {
      this.#references.extend(this.#frames.entries);
      return grantRef(this.#references.take());
    }
    this.#exhausted++;
    return NO_GRANT_REF;
  }

  free(ref: GrantRef): void {
    if (!this.stopped) this.#references.put(ref);
  }

  whenFree(count: number, served: () => void): () => void {
    while (this.#references.free < count && !this.stopped && this.#frames.grow(this.#shared.length + 1)) {
      this.#references.extend(this.#frames.entries);
    }
    return this.#references.whenFree(count, served);
  }

  publishFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, readonly: boolean): void {
    if (this.stopped) return;
    const header = (readonly ? GTF_permit_access | GTF_readonly : GTF_permit_access) | (peer << 16);
    if (this.version2) this.access.publishV2(this.#entryV2(ref), 0, frame, header);
    else this.access.publishV1(this.#entryV1(ref), frame, header);
    this.#counters[this.#published] = (this.#counters[this.#published] as number) + 1;
  }

  publishSubPage(
    ref: GrantRef,
    peer: DomainId,
    frame: GuestFrame,
    offset: number,
    length: number,
    readonly: boolean,
  ): void {
    if (!this.version2) throw needsVersion2('sub-page');
    if (this.stopped) return;
    const flags = readonly
      ? GTF_permit_access | GTF_sub_page | GTF_readonly
      : GTF_permit_access | GTF_sub_page;
    this.access.publishV2(this.#entryV2(ref), offset | (length << 16), frame, flags | (peer << 16));
    this.#counters[this.#published] = (this.#counters[this.#published] as number) + 1;
  }

  publishTransitive(
    ref: GrantRef,
    peer: DomainId,
    owner: DomainId,
    ownerRef: GrantRef,
    readonly: boolean,
  ): void {
    if (!this.version2) throw needsVersion2('transitive');
    if (this.stopped) return;
    const flags = readonly ? GTF_transitive | GTF_readonly : GTF_transitive;
    this.access.publishV2(this.#entryV2(ref), owner, ownerRef, flags | (peer << 16));
    this.#counters[this.#published] = (this.#counters[this.#published] as number) + 1;
  }

  revoke(ref: GrantRef): boolean {
    if (this.stopped) return true;
    const cleared = this.version2
      ? this.access.revokeV2(this.#entryV2(ref), this.statusWord(ref))
      : this.access.revokeV1(this.#entryV1(ref));
    if (cleared === 0) {
      this.#inUseAnswers++;
      return false;
    }
    this.#counters[this.#revoked] = (this.#counters[this.#revoked] as number) + 1;
    return true;
  }

  createPublications(capacity: number): GrantPublications | undefined {
    const area = runArea(this.#memory, capacity, PUBLICATION_WORDS);
    return area === undefined ? undefined : new PublicationRun(capacity, this, this.#memory, area);
  }

  createRevocations(capacity: number): GrantRevocations | undefined {
    const area = runArea(this.#memory, capacity, REVOCATION_WORDS);
    return area === undefined ? undefined : new RevocationRun(capacity, this, this.#memory, area);
  }

  inUse(ref: GrantRef): boolean {
    if (this.stopped) return false;
    const bits = this.version2
      ? Atomics.load(this.#halfwords, this.statusWord(ref))
      : Atomics.load(this.#words, this.#entryV1(ref));
    return (bits & GTF_in_use) !== 0;
  }

  revokeDeferred(ref: GrantRef, ended?: () => void): void {
    if (this.stopped) return;
    if (!this.revoke(ref)) {
      this.#deferred.add(ref, ended);
      return;
    }
    this.free(ref);
    ended?.();
  }

  share(peer: DomainId, pageCount: number, access: GrantAccess): SharedPages | undefined {
    const area = this.#memory.allocate(pageCount);
    if (area === undefined) return undefined;
    const refs: GrantRef[] = [];
    for (const page of area.pages) {
      const ref = this.allocate();
      if (ref === NO_GRANT_REF) {
        endShare(this, this.#memory, area, refs);
        return undefined;
      }
      this.publishFullPage(ref, peer, page.frame, access === 'readonly');
      refs.push(ref);
    }
    return {
      area,
      refs,
      end: () => (this.stopped || area.byteLength === 0 ? 0 : endShare(this, this.#memory, area, refs)),
    };
  }

  #endDeferred(ref: number): boolean {
    if (!this.revoke(grantRef(ref))) return false;
    this.#deferredEnded++;
    this.#references.put(ref);
    return true;
  }

  #entryV1(ref: number): number {
    return (this.#shared[ref >>> V1_ENTRIES_SHIFT] as number) + ((ref & (V1_ENTRIES_PER_FRAME - 1)) << 1);
  }

  #entryV2(ref: number): number {
    return (this.#shared[ref >>> V2_ENTRIES_SHIFT] as number) + ((ref & (V2_ENTRIES_PER_FRAME - 1)) << 2);
  }

  /** @internal */
  statusWord(ref: number): number {
    return (this.#status[ref >>> STATUS_WORDS_SHIFT] as number) + (ref & (STATUS_WORDS_PER_FRAME - 1));
  }

  /** @internal */
  entryWord(ref: number): number {
    return this.version2 ? this.#entryV2(ref) : this.#entryV1(ref);
  }

  /** @internal */
  countPublished(count: number): void {
    this.#counters[this.#published] = (this.#counters[this.#published] as number) + count;
  }

  /** @internal */
  countRevoked(count: number): void {
    this.#counters[this.#revoked] = (this.#counters[this.#revoked] as number) + count;
  }

  /** @internal */
  countInUse(): void {
    this.#inUseAnswers++;
  }
}
