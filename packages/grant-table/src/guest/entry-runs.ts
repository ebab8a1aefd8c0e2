/**
 * Runs of a guest's own entries, in lists that lie in its memory, so that a kernel can walk them.
 *
 * @packageDocumentation
 */
import type {
  DomainId,
  DomainMemory,
  GrantPublications,
  GrantRef,
  GrantRevocations,
  GuestFrame,
  MemoryArea,
  PageArea,
} from '@netchannel2/xen';
import { GTF_permit_access, GTF_readonly, GTF_sub_page, GTF_transitive } from '../layout/entry-flags';
import { type EntryAccess, PUBLICATION_WORDS, REVOCATION_WORDS } from './entry-access';

/** The table the entries are in. */
export interface RunTable {
  readonly version2: boolean;
  /** The domain has ended: nothing is written any more. */
  readonly stopped: boolean;
  readonly access: EntryAccess;
  /** Index of the first 32-bit word of an entry. */
  entryWord(ref: number): number;
  /** Index of the 16-bit status word of an entry of version 2. */
  statusWord(ref: number): number;
  countPublished(count: number): void;
  countRevoked(count: number): void;
  countInUse(): void;
}

/** @returns memory for a run, `undefined` when there is none. */
export function runArea(memory: DomainMemory, capacity: number, words: number): PageArea | undefined {
  if (!Number.isInteger(capacity) || capacity < 1)
    throw new RangeError(`a run holds a whole number of entries from 1 on, not ${capacity}`);
  return memory.allocate(Math.ceil((capacity * words * 4) / 4096));
}

/** A list of entries in memory of the domain's. */
class EntryRun {
  length = 0;
  protected readonly words: Int32Array;
  protected readonly first: number;

  constructor(
    readonly capacity: number,
    protected readonly table: RunTable,
    private readonly memory: DomainMemory,
    private readonly area: PageArea,
  ) {
    this.words = area.words;
    this.first = area.base >>> 2;
  }

  get list(): MemoryArea {
    return this.area;
  }

  append(count: number): void {
    if (this.length + count > this.capacity)
      throw new RangeError(`a run of ${this.capacity} entries has no room for ${count} more`);
    this.length += count;
  }

  clear(): void {
    this.length = 0;
  }

  end(): void {
    this.length = 0;
    this.memory.free(this.area);
  }
}

/** Grants to be published by one call. */
export class PublicationRun extends EntryRun implements GrantPublications {
  addFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, readonly: boolean): void {
    this.add(ref, 0, frame, (readonly ? GTF_permit_access | GTF_readonly : GTF_permit_access) | (peer << 16));
  }

  addSubPage(
    ref: GrantRef,
    peer: DomainId,
    frame: GuestFrame,
    offset: number,
    length: number,
    readonly: boolean,
  ): void {
    if (!this.table.version2) throw needsVersion2('sub-page');
    this.add(ref, offset | (length << 16), frame, subPageHeader(peer, readonly));
  }

  modelSubPage(ref: GrantRef, peer: DomainId, readonly: boolean, words: Int32Array, at: number): void {
    const { table } = this;
    if (!table.version2) throw needsVersion2('sub-page');
    if (!table.stopped)
      writePublication(words, at, table.entryWord(ref), 0, 0, subPageHeader(peer, readonly));
  }

  addTransitive(ref: GrantRef, peer: DomainId, owner: DomainId, ownerRef: GrantRef, readonly: boolean): void {
    if (!this.table.version2) throw needsVersion2('transitive');
    this.add(ref, owner, ownerRef, transitiveHeader(peer, readonly));
  }

  modelTransitive(ref: GrantRef, peer: DomainId, readonly: boolean, words: Int32Array, at: number): void {
    const { table } = this;
    if (!table.version2) throw needsVersion2('transitive');
    if (!table.stopped)
      writePublication(words, at, table.entryWord(ref), 0, 0, transitiveHeader(peer, readonly));
  }

  publish(): void {
    const { length, table } = this;
    if (length === 0) return;
    this.length = 0;
    if (table.stopped) return;
    if (table.version2) table.access.publishRunV2(this.first, length);
    else table.access.publishRunV1(this.first, length);
    table.countPublished(length);
  }

  private add(ref: number, range: number, frame: number, header: number): void {
    const { words, table, length } = this;
    if (table.stopped) return;
    writePublication(
      words,
      this.first + length * PUBLICATION_WORDS,
      table.entryWord(ref),
      range,
      frame,
      header,
    );
    this.length = length + 1;
  }
}

function subPageHeader(peer: DomainId, readonly: boolean): number {
  const kind = GTF_permit_access | GTF_sub_page;
  return (readonly ? kind | GTF_readonly : kind) | (peer << 16);
}

function transitiveHeader(peer: DomainId, readonly: boolean): number {
  return (readonly ? GTF_transitive | GTF_readonly : GTF_transitive) | (peer << 16);
}

function writePublication(
  words: Int32Array,
  at: number,
  entry: number,
  range: number,
  frame: number,
  header: number,
): void {
  words[at] = entry;
  words[at + 1] = range;
  words[at + 2] = frame;
  words[at + 3] = header;
}

/** Grants to be revoked by one call. */
export class RevocationRun extends EntryRun implements GrantRevocations {
  add(ref: GrantRef): void {
    const { length } = this;
    this.length = length + 1;
    this.model(ref, this.words, this.first + length * REVOCATION_WORDS);
  }

  model(ref: GrantRef, words: Int32Array, at: number): void {
    const { table } = this;
    if (table.stopped) return;
    words[at] = table.entryWord(ref);
    if (table.version2) words[at + 1] = table.statusWord(ref);
  }

  revoke(first: number): number {
    const { length, table } = this;
    if (table.stopped || first >= length) return length;
    const { access } = table;
    const end = table.version2
      ? access.revokeRunV2(this.first, first, length)
      : access.revokeRunV1(this.first, first, length);
    table.countRevoked(end - first);
    if (end < length) table.countInUse();
    return end;
  }
}

export function needsVersion2(kind: string): Error {
  return new Error(
    `${kind} grants need grant table version 2; this domain runs version 1 (see capabilities)`,
  );
}
