/**
 * A guest kernel's grant table over {@link InterimGrantOperations}.
 */
import {
  type DomainId,
  type GrantAccess,
  type GrantEntries,
  type GrantRef,
  type GrantTable,
  type GrantTableVersion,
  type GuestFrame,
  grantRef,
  NO_GRANT_REF,
  type SharedPages,
} from '@netchannel2/xen';
import type { SchedulerLike } from 'rxjs';
import { Counter, counterBase } from '../accounting/counters';
import { Block } from '../domains/domain-block';
import type { SimulatedArea } from '../guest/area';
import type { GuestBoot } from '../guest/simulated-domain';
import type { Hypervisor } from '../hypervisor';
import { type InterimGrantOperations, Table } from './interim-operations';

const RETRY = 10;
const IN_USE = 0x18;

export class InterimGuestGrants implements GrantTable, GrantEntries {
  readonly version: GrantTableVersion;
  readonly version2: boolean;
  readonly #words: Int32Array;
  readonly #halfwords: Uint16Array;
  readonly #doubles: Float64Array;
  readonly #counters: number;
  readonly #table: number;
  readonly #free: number[] = [];
  #entryCount = 8;
  #stopped = false;

  constructor(
    hypervisor: Hypervisor,
    private readonly operations: InterimGrantOperations,
    private readonly guest: GuestBoot,
    private readonly scheduler: SchedulerLike,
  ) {
    const { memory } = hypervisor;
    this.#words = memory.words;
    this.#halfwords = memory.halfwords;
    this.#doubles = memory.doubles;
    this.#counters = counterBase(guest.block);
    this.#table = guest.block + Block.grantTable;
    this.version = guest.version === 2 && operations.setVersion(guest.id, 2) === 0 ? 2 : 1;
    this.version2 = this.version === 2;
    this.#takeNewRefs();
  }

  get entries(): GrantEntries {
    return this;
  }

  get freeRefs(): number {
    const perFrame = this.version2 ? 256 : 512;
    const frames = this.#words[this.#table + Table.maximumFrames] as number;
    return this.#free.length + frames * perFrame - this.#entryCount;
  }

  stop(): void {
    this.#stopped = true;
  }

  allocate(): GrantRef {
    if (this.#free.length === 0) {
      const frames = (this.#words[this.#table + Table.frames] as number) + 1;
      if (this.#stopped || !this.operations.setupTable(this.guest.id, frames)) return NO_GRANT_REF;
      this.#takeNewRefs();
    }
    return grantRef(this.#free.pop() ?? -1);
  }

  free(ref: GrantRef): void {
    this.#free.push(ref);
  }

  publishFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, readonly: boolean): void {
    if (this.#stopped) return;
    const entry = this.#entry(ref);
    if (this.version2) {
      this.#words[entry + 2] = frame;
      this.#words[entry + 3] = 0;
    } else {
      this.#words[entry + 1] = frame;
    }
    this.#publish(entry, readonly ? 5 : 1, peer);
  }

  publishSubPage(
    ref: GrantRef,
    peer: DomainId,
    frame: GuestFrame,
    offset: number,
    length: number,
    readonly: boolean,
  ): void {
    this.#needVersion2('sub-page');
    if (this.#stopped) return;
    const entry = this.#entry(ref);
    this.#words[entry + 1] = offset | (length << 16);
    this.#words[entry + 2] = frame;
    this.#words[entry + 3] = 0;
    this.#publish(entry, readonly ? 0x105 : 0x101, peer);
  }

  publishTransitive(
    ref: GrantRef,
    peer: DomainId,
    owner: DomainId,
    ownerRef: GrantRef,
    readonly: boolean,
  ): void {
    this.#needVersion2('transitive');
    if (this.#stopped) return;
    const entry = this.#entry(ref);
    this.#words[entry + 1] = owner;
    this.#words[entry + 2] = ownerRef;
    this.#words[entry + 3] = 0;
    this.#publish(entry, readonly ? 7 : 3, peer);
  }

  revoke(ref: GrantRef): boolean {
    if (this.#stopped) return true;
    const entry = this.#entry(ref);
    if (this.version2) {
      Atomics.store(this.#words, entry, 0);
      if ((Atomics.load(this.#halfwords, this.#statusHalf(ref)) & IN_USE) !== 0) return false;
    } else {
      const header = Atomics.load(this.#words, entry);
      if ((header & IN_USE) !== 0) return false;
      if (Atomics.compareExchange(this.#words, entry, header, 0) !== header) return false;
    }
    this.#count(Counter.grantsRevoked);
    return true;
  }

  inUse(ref: GrantRef): boolean {
    if (this.#stopped) return false;
    const bits = this.version2
      ? Atomics.load(this.#halfwords, this.#statusHalf(ref))
      : Atomics.load(this.#words, this.#entry(ref));
    return (bits & IN_USE) !== 0;
  }

  revokeDeferred(ref: GrantRef, ended?: () => void): void {
    if (this.#stopped) return;
    if (this.revoke(ref)) {
      this.free(ref);
      ended?.();
      return;
    }
    this.scheduler.schedule(() => this.revokeDeferred(ref, ended), RETRY);
  }

  share(peer: DomainId, pageCount: number, access: GrantAccess): SharedPages | undefined {
    const area = this.guest.memory.allocate(pageCount);
    if (area === undefined) return undefined;
    const refs: GrantRef[] = [];
    for (const page of area.pages) {
      const ref = this.allocate();
      if (ref === NO_GRANT_REF) {
        for (const taken of refs) if (this.revoke(taken)) this.free(taken);
        this.guest.memory.free(area);
        return undefined;
      }
      this.publishFullPage(ref, peer, page.frame, access === 'readonly');
      refs.push(ref);
    }
    return { area, refs, end: () => this.#endShare(area, refs) };
  }

  #endShare(area: SimulatedArea, refs: readonly GrantRef[]): number {
    if (area.byteLength === 0 || this.#stopped) return 0;
    const held = refs.filter((ref) => !this.revoke(ref));
    for (const ref of refs) if (!held.includes(ref)) this.free(ref);
    let left = held.length;
    if (left === 0) this.guest.memory.free(area);
    for (const ref of held) {
      this.revokeDeferred(ref, () => {
        left--;
        if (left === 0) this.guest.memory.free(area);
      });
    }
    return held.length;
  }

  #needVersion2(kind: string): void {
    if (this.version2) return;
    throw new Error(
      `${kind} grants need grant table version 2; this domain runs version 1 (see capabilities)`,
    );
  }

  #publish(entry: number, flags: number, peer: DomainId): void {
    Atomics.store(this.#words, entry, flags | (peer << 16));
    this.#count(Counter.grantsPublished);
  }

  #count(counter: number): void {
    const slot = this.#counters + counter;
    this.#doubles[slot] = (this.#doubles[slot] as number) + 1;
  }

  #takeNewRefs(): void {
    const entries = this.#words[this.#table + Table.entries] as number;
    for (let ref = entries - 1; ref >= this.#entryCount; ref--) this.#free.push(ref);
    this.#entryCount = entries;
  }

  #entry(ref: number): number {
    const lists = this.#words[this.#table + Table.lists] as number;
    if (this.version2) return (this.#words[lists + (ref >>> 8)] as number) + (ref & 255) * 4;
    return (this.#words[lists + (ref >>> 9)] as number) + (ref & 511) * 2;
  }

  #statusHalf(ref: number): number {
    const lists = this.#words[this.#table + Table.lists] as number;
    return ((this.#words[lists + 512 + (ref >>> 11)] as number) << 1) + (ref & 2047);
  }
}
