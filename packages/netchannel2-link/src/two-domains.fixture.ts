import {
  type DeferredWork,
  type Domain,
  type DomainId,
  type DomainMemory,
  domainId,
  type EventChannelPort,
  type EventChannels,
  type ForeignMemory,
  type GrantAccess,
  type GrantCopyBatch,
  type GrantEntries,
  type GrantPublications,
  type GrantRef,
  type GrantRevocations,
  type GrantStatistics,
  GrantStatus,
  type GrantTable,
  type GuestFrame,
  grantRef,
  guestFrame,
  type MemoryArea,
  NO_GRANT_REF,
  PAGE_SIZE,
  type Page,
  type PageArea,
  type SharedPages,
  type XenStore,
} from '@netchannel2/xen';
import { VirtualTimeScheduler } from 'rxjs';
import { PlainPublications, PlainRevocations } from './grant-runs.fixture';

/**
 * Two domains on plain memory, with just enough of Xen for a link: grants are checked at each copy, events and deferred
 * work run when the test says so. Stands in for the simulated Xen, which this package must not know.
 */
export class TwoDomains {
  readonly bytes: Uint8Array;
  readonly words: Int32Array;
  readonly scheduler = new VirtualTimeScheduler();
  readonly first: PlainDomain;
  readonly second: PlainDomain;
  readonly domains: PlainDomain[];
  private nextPage = 1;

  constructor(
    pages = 4096,
    readonly copyBytes?: (target: number, source: number, length: number) => void,
    buffer: SharedArrayBuffer = new SharedArrayBuffer(pages * PAGE_SIZE),
  ) {
    this.bytes = new Uint8Array(buffer);
    this.words = new Int32Array(buffer);
    this.first = new PlainDomain(this, domainId(1));
    this.second = new PlainDomain(this, domainId(2));
    this.domains = [this.first, this.second];
  }

  domain(id: DomainId): PlainDomain {
    return id === this.first.id ? this.first : this.second;
  }

  takePages(count: number): number {
    const page = this.nextPage;
    this.nextPage += count;
    return page;
  }

  /** Runs events and deferred work until both domains sleep; `false` when they do not within `turns`. */
  settle(turns = 100_000): boolean {
    for (let turn = 0; turn < turns; turn += 1) {
      let worked = false;
      for (const domain of this.domains) worked = domain.turn() || worked;
      if (!worked) return true;
    }
    return false;
  }
}

interface PortState {
  peer: PlainDomain;
  peerPort: number;
  pending: boolean;
  handler: (() => void) | undefined;
}

/** One domain of the pair; the counters are for leak checks. */
export class PlainDomain implements Domain, EventChannels {
  readonly memory: PlainMemory;
  readonly grants: PlainGrants;
  readonly foreign: ForeignMemory;
  readonly events: EventChannels = this;
  readonly scheduler;
  readonly capabilities = { subPageGrants: true, transitiveGrants: false, revokeResult: true };
  notifications = 0;
  readonly ports: (PortState | undefined)[] = [undefined];
  private queue: DeferredWork[] = [];
  private spare: DeferredWork[] = [];

  constructor(
    readonly machine: TwoDomains,
    readonly id: DomainId,
  ) {
    this.memory = new PlainMemory(machine);
    this.grants = new PlainGrants(this);
    this.scheduler = machine.scheduler;
    this.foreign = {
      map: (owner, refs) => {
        const area = machine.domain(owner).grants.sharedArea(refs);
        return area === undefined ? GrantStatus.badGrantRef : { owner, area, unmap: () => {} };
      },
      createCopyBatch: (capacity) => new PlainCopyBatch(machine, this, capacity),
    };
  }

  get store(): XenStore {
    throw new Error('the fixture has no xenstore');
  }

  defer(work: DeferredWork): void {
    if (work.deferred) return;
    work.deferred = true;
    this.queue.push(work);
  }

  /** A connected pair of ports. */
  connect(peer: PlainDomain): [EventChannelPort, EventChannelPort] {
    const own = this.ports.length;
    const other = peer.ports.length;
    this.ports.push({ peer, peerPort: other, pending: false, handler: undefined });
    peer.ports.push({ peer: this, peerPort: own, pending: false, handler: undefined });
    return [own as EventChannelPort, other as EventChannelPort];
  }

  allocateUnbound(): EventChannelPort {
    throw new Error('ports of the fixture are connected in pairs');
  }

  bindInterdomain(): EventChannelPort {
    throw new Error('ports of the fixture are connected in pairs');
  }

  close(port: EventChannelPort): void {
    this.ports[port] = undefined;
  }

  notify(port: EventChannelPort): void {
    this.notifications += 1;
    const state = this.ports[port];
    const other = state?.peer.ports[state.peerPort];
    if (other !== undefined) other.pending = true;
  }

  listen(port: EventChannelPort, handler: () => void): () => void {
    const state = this.ports[port];
    if (state !== undefined) state.handler = handler;
    return () => {
      if (state !== undefined) state.handler = undefined;
    };
  }

  turn(): boolean {
    let worked = false;
    for (const port of this.ports) {
      if (port === undefined || !port.pending) continue;
      port.pending = false;
      port.handler?.();
      worked = true;
    }
    const queue = this.queue;
    this.queue = this.spare;
    for (const work of queue) {
      work.deferred = false;
      work.run();
      worked = true;
    }
    queue.length = 0;
    this.spare = queue;
    return worked;
  }
}

class PlainMemory implements DomainMemory {
  readonly freePages = 1000;

  constructor(private readonly machine: TwoDomains) {}

  allocate(pageCount: number): PageArea {
    const first = this.machine.takePages(pageCount);
    const area = (page: number, byteLength: number) => ({
      bytes: this.machine.bytes,
      words: this.machine.words,
      base: page * PAGE_SIZE,
      byteLength,
    });
    const pages: Page[] = Array.from({ length: pageCount }, (_, index) => ({
      ...area(first + index, PAGE_SIZE),
      frame: guestFrame(first + index),
    }));
    return { ...area(first, pageCount * PAGE_SIZE), pages };
  }

  free(): void {}

  copy(
    target: MemoryArea,
    targetOffset: number,
    source: MemoryArea,
    sourceOffset: number,
    length: number,
  ): void {
    this.move(target.base + targetOffset, source.base + sourceOffset, length);
  }

  copyIn(target: MemoryArea, targetOffset: number, source: Uint8Array): void {
    target.bytes.set(source, target.base + targetOffset);
  }

  checksum(area: MemoryArea, offset: number, length: number, initial: number): number {
    let sum = initial;
    for (let index = 0; index < length; index += 1) {
      const byte = area.bytes[area.base + offset + index] ?? 0;
      sum += (index & 1) === 0 ? byte << 8 : byte;
    }
    while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
    return sum;
  }

  move(target: number, source: number, length: number): void {
    if (this.machine.copyBytes !== undefined) this.machine.copyBytes(target, source, length);
    else this.machine.bytes.copyWithin(target, source, source + length);
  }
}

const FREE = 0;
const SUB_PAGE = 1;
const FULL_PAGE = 2;

/** A grant table as arrays; `version` and `hold` (a peer that keeps using an entry) are the test's to set. */
export class PlainGrants implements GrantTable, GrantEntries {
  version: 1 | 2 = 2;
  readonly kinds = new Uint8Array(8192);
  readonly peers = new Int32Array(8192);
  readonly frames = new Int32Array(8192);
  readonly offsets = new Int32Array(8192);
  readonly lengths = new Int32Array(8192);
  readonly held = new Uint8Array(8192);
  readonly writable = new Uint8Array(8192);
  private readonly free_: number[] = Array.from({ length: 8184 }, (_, index) => 8191 - index);
  private readonly deferred: { ref: GrantRef; ended: (() => void) | undefined }[] = [];

  constructor(private readonly domain: PlainDomain) {}

  get version2(): boolean {
    return this.version === 2;
  }

  get freeRefs(): number {
    return this.free_.length;
  }

  get entries(): GrantEntries | undefined {
    return this;
  }

  /** Entries that grant something now. */
  get published(): number {
    return this.kinds.reduce((sum, kind) => sum + (kind === FREE ? 0 : 1), 0);
  }

  share(peer: DomainId, pageCount: number, access: GrantAccess): SharedPages {
    const area = this.domain.memory.allocate(pageCount);
    const refs = area.pages.map((page) => {
      const ref = this.allocate();
      this.publishFullPage(ref, peer, page.frame);
      this.writable[ref] = access === 'readwrite' ? 1 : 0;
      return ref;
    });
    const end = () => {
      for (const ref of refs) if (this.revoke(ref)) this.free(ref);
      return 0;
    };
    return { area, refs, end };
  }

  sharedArea(refs: readonly GrantRef[]): PageArea | undefined {
    const pages: Page[] = [];
    for (const ref of refs) {
      if (this.kinds[ref] !== FULL_PAGE) return undefined;
      const frame = guestFrame(this.frames[ref] ?? 0);
      const { bytes, words } = this.domain.machine;
      pages.push({ bytes, words, base: frame * PAGE_SIZE, byteLength: PAGE_SIZE, frame });
    }
    const first = pages[0];
    return first === undefined ? undefined : { ...first, byteLength: pages.length * PAGE_SIZE, pages };
  }

  allocate(): GrantRef {
    return grantRef(this.free_.pop() ?? NO_GRANT_REF);
  }

  free(ref: GrantRef): void {
    this.free_.push(ref);
  }

  publishFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame): void {
    this.kinds[ref] = FULL_PAGE;
    this.peers[ref] = peer;
    this.frames[ref] = frame;
    this.offsets[ref] = 0;
    this.lengths[ref] = PAGE_SIZE;
  }

  publishSubPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, offset: number, length: number): void {
    this.kinds[ref] = SUB_PAGE;
    this.peers[ref] = peer;
    this.frames[ref] = frame;
    this.offsets[ref] = offset;
    this.lengths[ref] = length;
  }

  whenFree(): () => void {
    throw new Error('the fixture has references enough');
  }

  get statistics(): GrantStatistics {
    throw new Error('the fixture counts nothing');
  }

  publishTransitive(): void {
    throw new Error('the fixture has no transitive grants');
  }

  revoke(ref: GrantRef): boolean {
    this.kinds[ref] = FREE;
    return this.held[ref] === 0;
  }

  createPublications(capacity: number): GrantPublications {
    return new PlainPublications(this, capacity);
  }

  createRevocations(capacity: number): GrantRevocations {
    return new PlainRevocations(this, capacity);
  }

  inUse(ref: GrantRef): boolean {
    return this.held[ref] !== 0;
  }

  revokeDeferred(ref: GrantRef, ended?: () => void): void {
    this.deferred.push({ ref, ended });
  }

  /** The peer lets go of everything it held. */
  letGo(): void {
    this.held.fill(0);
    for (const { ref, ended } of this.deferred.splice(0)) {
      this.free(ref);
      ended?.();
    }
  }

  /** Address of granted bytes, or a status. */
  resolve(ref: number, peer: DomainId, offset: number, length: number): number {
    if (ref < 0 || ref >= this.kinds.length || this.kinds[ref] === FREE) return GrantStatus.badGrantRef;
    if (this.peers[ref] !== peer) return GrantStatus.permissionDenied;
    const start = this.offsets[ref] ?? 0;
    if (offset < start || offset + length > start + (this.lengths[ref] ?? 0))
      return GrantStatus.badCopyArgument;
    return (this.frames[ref] ?? 0) * PAGE_SIZE + offset;
  }
}

class PlainCopyBatch implements GrantCopyBatch {
  length = 0;
  private readonly owners: DomainId[] = [];
  private readonly refs: Int32Array;
  private readonly offsets: Int32Array;
  private readonly targets: Int32Array;
  private readonly lengths: Int32Array;
  private readonly statuses: Int32Array;

  constructor(
    private readonly machine: TwoDomains,
    private readonly domain: PlainDomain,
    readonly capacity: number,
  ) {
    this.owners = new Array<DomainId>(capacity).fill(domain.id);
    this.refs = new Int32Array(capacity);
    this.offsets = new Int32Array(capacity);
    this.targets = new Int32Array(capacity);
    this.lengths = new Int32Array(capacity);
    this.statuses = new Int32Array(capacity);
  }

  addFromGrant(
    owner: DomainId,
    ref: GrantRef,
    offset: number,
    target: MemoryArea,
    targetOffset: number,
    length: number,
  ): void {
    const index = this.length;
    this.length = index + 1;
    this.owners[index] = owner;
    this.refs[index] = ref;
    this.offsets[index] = offset;
    this.targets[index] = target.base + targetOffset;
    this.lengths[index] = length;
  }

  addToGrant(): void {
    throw new Error('the fixture only copies from grants');
  }

  addBetweenGrants(): void {
    throw new Error('the fixture only copies from grants');
  }

  submit(): void {
    for (let index = 0; index < this.length; index += 1) {
      const length = this.lengths[index] ?? 0;
      const { grants } = this.machine.domain(this.owners[index] ?? this.domain.id);
      const from = grants.resolve(this.refs[index] ?? 0, this.domain.id, this.offsets[index] ?? 0, length);
      if (from < 0) this.statuses[index] = from;
      else {
        this.statuses[index] = GrantStatus.okay;
        this.domain.memory.move(this.targets[index] ?? 0, from, length);
      }
    }
  }

  status(index: number): GrantStatus {
    return (this.statuses[index] ?? 0) as GrantStatus;
  }

  clear(): void {
    this.length = 0;
  }
}
