import {
  CtrlStatus,
  CtrlType,
  GREF_ENTRY_WORDS,
  GREF_LIST_ENTRIES_MAX,
  GREF_READONLY,
  grefEntryFlags,
  grefEntryRef,
  HashAlgorithm,
  TOEPLITZ_KEY_BYTES,
  writeGrefEntryStatus,
} from '@netchannel2/netif';
import {
  type DomainId,
  type GrantCopyBatch,
  GrantStatus,
  grantRef,
  type MemoryArea,
  PAGE_SIZE,
} from '@netchannel2/xen';
import { HASH_FLAGS_ALL, HASH_MAPPING_SIZE_MAX, type ReceiveHash } from './receive-hash';
import type { StagingBuffers } from './staging-buffers';

const { success, notSupported, invalidParameter } = CtrlStatus;

/** Does what a guest asks for on the control ring (spec vif.md §9). Everything it names is copied before it is judged. */
export class ControlRequests {
  /** Data of the response to the request executed last. */
  data = 0;

  constructor(
    private readonly peer: DomainId,
    private readonly hash: ReceiveHash,
    /** Staging buffers of each queue. */
    private readonly staging: readonly StagingBuffers[],
    private readonly copies: GrantCopyBatch,
    /** A page of ours to copy to and from. */
    private readonly page: MemoryArea,
  ) {}

  /** Executes a request and answers its status. */
  execute(type: number, first: number, second: number, third: number): CtrlStatus {
    this.data = 0;
    switch (type) {
      case CtrlType.setHashAlgorithm:
        return this.setAlgorithm(first);
      case CtrlType.getHashFlags:
        return this.getFlags();
      case CtrlType.setHashFlags:
        return this.setFlags(first);
      case CtrlType.setHashKey:
        return this.setKey(first, second);
      case CtrlType.getHashMappingSize:
        this.data = HASH_MAPPING_SIZE_MAX;
        return success;
      case CtrlType.setHashMappingSize:
        return this.setMappingSize(first);
      case CtrlType.setHashMapping:
        return this.setMapping(first, second, third);
      case CtrlType.getGrefMappingSize:
        return this.getGrefMappingSize(first);
      case CtrlType.addGrefMapping:
        return this.addGrefs(first, second, third);
      case CtrlType.deleteGrefMapping:
        return this.deleteGrefs(first, second, third);
      default:
        return notSupported;
    }
  }

  private setAlgorithm(algorithm: number): CtrlStatus {
    if (algorithm !== HashAlgorithm.none && algorithm !== HashAlgorithm.toeplitz) return invalidParameter;
    this.hash.algorithm = algorithm;
    return success;
  }

  private getFlags(): CtrlStatus {
    if (this.hash.algorithm === HashAlgorithm.none) return notSupported;
    this.data = HASH_FLAGS_ALL;
    return success;
  }

  private setFlags(flags: number): CtrlStatus {
    if (this.hash.algorithm === HashAlgorithm.none || (flags & ~HASH_FLAGS_ALL) !== 0)
      return invalidParameter;
    this.hash.flags = flags;
    return success;
  }

  private setKey(ref: number, length: number): CtrlStatus {
    if (length > TOEPLITZ_KEY_BYTES) return invalidParameter;
    if (length > 0 && !this.fetch(ref, length)) return invalidParameter;
    const { bytes, base } = this.page;
    this.hash.setKey(bytes.slice(base, base + length));
    return success;
  }

  private setMappingSize(size: number): CtrlStatus {
    if (size > HASH_MAPPING_SIZE_MAX) return invalidParameter;
    this.hash.mapping = new Uint32Array(size);
    return success;
  }

  private setMapping(ref: number, entries: number, offset: number): CtrlStatus {
    const { mapping } = this.hash;
    if (entries > PAGE_SIZE / 4 || offset + entries > mapping.length) return invalidParameter;
    if (entries > 0 && !this.fetch(ref, entries * 4)) return invalidParameter;
    const changed = mapping.slice();
    for (let index = 0; index < entries; index += 1) {
      const queue = (this.page.words[(this.page.base >> 2) + index] as number) >>> 0;
      if (queue >= this.staging.length) return invalidParameter;
      changed[offset + index] = queue;
    }
    this.hash.mapping = changed;
    return success;
  }

  private getGrefMappingSize(queue: number): CtrlStatus {
    const staging = this.staging[queue];
    if (staging === undefined) return invalidParameter;
    if (staging.capacity === 0) return notSupported;
    this.data = staging.capacity;
    return success;
  }

  /** All pages of the list are mapped, or none. */
  private addGrefs(queue: number, list: number, entries: number): CtrlStatus {
    const staging = this.staging[queue];
    if (staging?.capacity === 0) return notSupported;
    if (staging === undefined || !this.fetchList(list, entries)) return invalidParameter;
    let added = 0;
    for (; added < entries; added += 1) {
      const readonly = (this.flagsOf(added) & GREF_READONLY) !== 0;
      const isMapped = staging.add(this.refOf(added), readonly);
      this.setStatus(added, isMapped ? success : invalidParameter);
      if (!isMapped) break;
    }
    if (added < entries) {
      for (let index = 0; index < added; index += 1) staging.delete(this.refOf(index));
    }
    this.storeList(list, entries);
    return added === entries ? success : invalidParameter;
  }

  private deleteGrefs(queue: number, list: number, entries: number): CtrlStatus {
    const staging = this.staging[queue];
    if (staging?.capacity === 0) return notSupported;
    if (staging === undefined || !this.fetchList(list, entries)) return invalidParameter;
    for (let index = 0; index < entries; index += 1) {
      const wasMapped = staging.delete(this.refOf(index));
      if (wasMapped) this.data += 1;
      this.setStatus(index, wasMapped ? success : invalidParameter);
    }
    this.storeList(list, entries);
    return success;
  }

  private refOf(index: number) {
    return grantRef(grefEntryRef(this.page.words, this.entryAt(index)));
  }

  private flagsOf(index: number): number {
    return grefEntryFlags(this.page.words, this.entryAt(index));
  }

  private setStatus(index: number, status: CtrlStatus): void {
    writeGrefEntryStatus(this.page.words, this.entryAt(index), status);
  }

  private entryAt(index: number): number {
    return (this.page.base >> 2) + index * GREF_ENTRY_WORDS;
  }

  private fetchList(ref: number, entries: number): boolean {
    if (entries < 1 || entries > GREF_LIST_ENTRIES_MAX) return false;
    return this.fetch(ref, entries * GREF_ENTRY_WORDS * 4);
  }

  /** Statuses go back to the guest; a list it made read-only keeps what it says. */
  private storeList(ref: number, entries: number): void {
    this.copies.addToGrant(this.page, 0, this.peer, grantRef(ref), 0, entries * GREF_ENTRY_WORDS * 4);
    this.submit();
  }

  /** Copies `length` bytes of a page the guest names into ours. */
  private fetch(ref: number, length: number): boolean {
    this.copies.addFromGrant(this.peer, grantRef(ref), 0, this.page, 0, length);
    return this.submit();
  }

  private submit(): boolean {
    this.copies.submit();
    const isCopied = this.copies.status(0) === GrantStatus.okay;
    this.copies.clear();
    return isCopied;
  }
}
