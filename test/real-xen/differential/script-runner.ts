import {
  type CopySegment,
  type CopySide,
  type DifferentialMachine,
  GUESTS,
  PAGES_PER_DOMAIN,
  type PageName,
  type PortOperation,
  type ScriptOperation,
} from './grant-script';

const BAD_FRAME = 0xffff_fff0n;
const LITTLE = true;
const DOMID_SELF = 0x7ff0;
/** What the structures hold where Xen is to answer, to see that it does, or does not. */
const UNTOUCHED_STATUS = 99;
const NO_HANDLE = 0xffff_fff0;

const DEVICE_MAP = 1;
const HOST_MAP = 2;
const READONLY = 4;
/** A host address that no page table has. */
const NOWHERE = 0x10_0000_0000n;

/** A handle dom0 holds. */
export interface Mapping {
  readonly handle: number;
  readonly busAddress: bigint;
  readonly domain: number;
  readonly ref: number;
  readonly readonly: boolean;
  /** Parts that have not been unmapped. */
  deviceLeft: boolean;
  hostLeft: boolean;
}

type Operation<Name extends ScriptOperation['op']> = Extract<ScriptOperation, { op: Name }>;

/** Runs a script on one machine; each operation's answers as one line, equal on equal machines. */
export class ScriptRunner {
  private readonly mappings = new Map<number, Mapping>();
  private readonly ports = new Map<number, { readonly domain: number; readonly port: number }>();
  private readonly view: DataView;
  private ownVersion: 1 | 2 = 1;

  constructor(private readonly machine: DifferentialMachine) {
    this.view = machine.argument;
    for (const domain of [0, ...GUESTS]) {
      for (let page = 0; page < PAGES_PER_DOMAIN; page++) {
        const { bytes } = machine.page({ domain, page });
        bytes.fill(0x10 * (domain + 1) + page);
      }
    }
  }

  run(operation: ScriptOperation): string {
    new Uint8Array(this.view.buffer, this.view.byteOffset, this.view.byteLength).fill(0);
    switch (operation.op) {
      case 'entry':
        this.writeEntry(operation);
        return this.entry(operation.table, operation.ref);
      case 'flags':
        this.machine
          .table(operation.table)
          .entries.setUint16(this.at(operation.table, operation.ref), operation.flags, LITTLE);
        return this.entry(operation.table, operation.ref);
      case 'map':
        return this.map(operation);
      case 'unmap':
        return this.unmap(operation);
      case 'copy':
        return this.copy(operation.segments);
      case 'store':
        return this.store(operation);
      case 'setVersion':
        return this.setVersion(operation.version);
      case 'swap':
        return this.swap(operation);
      case 'size':
        this.view.setUint16(0, operation.domain, LITTLE);
        return `${this.machine.grantTable(6, 1)} nr ${this.view.getUint32(4, LITTLE)} max ${this.view.getUint32(8, LITTLE)} status ${this.view.getInt16(12, LITTLE)}`;
      case 'version':
        this.view.setUint16(0, operation.domain, LITTLE);
        return `${this.machine.grantTable(10, 1)} version ${this.view.getUint32(4, LITTLE)}`;
      case 'statusFrames':
        return this.statusFrames(operation);
      case 'grantCommand':
        return String(this.machine.grantTable(operation.command, operation.count));
      case 'eventCommand':
        return String(this.machine.eventChannel(operation.command));
      default:
        return this.event(operation);
    }
  }

  /** Ends all mappings and closes all ports. */
  finish(): readonly string[] {
    const lines: string[] = [];
    for (const slot of [...this.mappings.keys()]) {
      lines.push(this.run({ op: 'unmap', slot, address: 'right' }));
    }
    for (const [slot, { domain }] of this.ports) if (domain === 0) this.run({ op: 'close', slot });
    lines.push(this.run({ op: 'setVersion', version: 1 }));
    return lines;
  }

  private versionOf(table: number): 1 | 2 {
    return table === 0 ? this.ownVersion : this.machine.table(table).version;
  }

  private at(table: number, ref: number): number {
    return ref * (this.versionOf(table) === 1 ? 8 : 16);
  }

  /** Flags of an entry, and the status word of a version 2 table. Comes last: it may use the argument pages. */
  private entry(table: number, ref: number): string {
    const { entries, status } = this.machine.table(table);
    const at = this.at(table, ref);
    if (at + 8 > entries.byteLength) return 'beyond';
    const flags = entries.getUint16(at, LITTLE).toString(16);
    if (table === 0 && this.ownVersion === 2) return `${flags}/${this.machine.ownStatus(ref).toString(16)}`;
    return status === undefined ? flags : `${flags}/${status.getUint16(ref * 2, LITTLE).toString(16)}`;
  }

  /** The entry, where the domain is dom0 or one of the guests. */
  private entryOf(domain: number, ref: number): string {
    const table = domain === DOMID_SELF ? 0 : domain;
    return table === 0 || (GUESTS as readonly number[]).includes(table) ? this.entry(table, ref) : '-';
  }

  private frame(page: PageName): bigint {
    if (page === 'bad') return BAD_FRAME;
    return 'frame' in page ? BigInt(page.frame) : this.machine.page(page).frame;
  }

  private writeEntry(operation: Operation<'entry'>): void {
    const { table, ref, flags, grantee, page, extra } = operation;
    const { entries } = this.machine.table(table);
    const at = this.at(table, ref);
    entries.setUint16(at, 0, LITTLE);
    if (this.versionOf(table) === 1) {
      entries.setUint32(at + 4, Number(this.frame(page)), LITTLE);
    } else if (extra !== undefined && 'owner' in extra) {
      entries.setUint32(at + 4, extra.owner, LITTLE);
      entries.setBigUint64(at + 8, BigInt(extra.ref), LITTLE);
    } else {
      entries.setUint16(at + 4, extra?.offset ?? 0, LITTLE);
      entries.setUint16(at + 6, extra?.length ?? 0, LITTLE);
      entries.setBigUint64(at + 8, this.frame(page), LITTLE);
    }
    entries.setUint16(at + 2, grantee, LITTLE);
    entries.setUint16(at, flags, LITTLE);
  }

  private map({ slot, domain, ref, flags, host }: Operation<'map'>): string {
    const { view } = this;
    if ((flags & HOST_MAP) !== 0) {
      view.setBigUint64(0, host === 'nowhere' ? NOWHERE : this.machine.hostAddress(slot), LITTLE);
    }
    view.setUint32(8, flags, LITTLE);
    view.setUint32(12, ref, LITTLE);
    view.setUint16(16, domain, LITTLE);
    view.setInt16(18, UNTOUCHED_STATUS, LITTLE);
    view.setUint32(20, NO_HANDLE, LITTLE);
    const result = this.machine.grantTable(0, 1);
    const status = view.getInt16(18, LITTLE);
    const busAddress = view.getBigUint64(24, LITTLE);
    if (status === 0) {
      this.mappings.set(slot, {
        handle: view.getUint32(20, LITTLE),
        busAddress,
        domain,
        ref,
        readonly: (flags & READONLY) !== 0,
        deviceLeft: (flags & DEVICE_MAP) !== 0,
        hostLeft: (flags & HOST_MAP) !== 0,
      });
    }
    const seen =
      status === 0 && (flags & HOST_MAP) !== 0
        ? ` reads ${this.machine.hostPage(slot, busAddress).slice(0, 16).join('.')}`
        : '';
    const shown = status === 0 ? `${this.pageAt(busAddress >> 12n)}${seen}` : `bus ${busAddress}`;
    return `${result} status ${status} ${shown} entry ${this.entryOf(domain, ref)}`;
  }

  private unmap({ slot, address, host: wanted }: Operation<'unmap'>): string {
    const host = wanted ?? 'right';
    const mapping = this.mappings.get(slot);
    const { view } = this;
    const right = mapping?.busAddress ?? 0n;
    const bus = { right, none: 0n, wrong: right + 4096n }[address];
    if (mapping?.hostLeft === true && host !== 'none') {
      view.setBigUint64(0, host === 'wrong' ? NOWHERE : this.machine.hostAddress(slot), LITTLE);
    }
    view.setBigUint64(8, bus, LITTLE);
    view.setUint32(16, mapping?.handle ?? NO_HANDLE, LITTLE);
    view.setInt16(20, UNTOUCHED_STATUS, LITTLE);
    const result = this.machine.grantTable(1, 1);
    const status = view.getInt16(20, LITTLE);
    if (mapping !== undefined && status === 0) {
      if (host === 'right') mapping.hostLeft = false;
      if (address === 'right') mapping.deviceLeft = false;
      if (!mapping.hostLeft && !mapping.deviceLeft) this.mappings.delete(slot);
    }
    const entry = mapping === undefined ? '-' : this.entryOf(mapping.domain, mapping.ref);
    return `${result} status ${status} entry ${entry}`;
  }

  private store({ slot, offset, value }: Operation<'store'>): string {
    const mapping = this.mappings.get(slot);
    // Xen's page-table entry is read-only for a read-only mapping, and a store would end this process.
    if (mapping === undefined || !mapping.hostLeft || mapping.readonly) return 'no';
    this.machine.hostPage(slot, mapping.busAddress)[offset] = value;
    return `pages ${this.pageSums()}`;
  }

  private setVersion(version: number): string {
    this.view.setUint32(0, version, LITTLE);
    const result = this.machine.grantTable(8, 1);
    const inForce = this.view.getUint32(0, LITTLE);
    if (inForce === 1 || inForce === 2) this.ownVersion = inForce;
    return `${result} version ${inForce}`;
  }

  private swap({ first, second }: Operation<'swap'>): string {
    this.view.setUint32(0, first, LITTLE);
    this.view.setUint32(4, second, LITTLE);
    this.view.setInt16(8, UNTOUCHED_STATUS, LITTLE);
    const result = this.machine.grantTable(11, 1);
    const status = this.view.getInt16(8, LITTLE);
    return `${result} status ${status} entries ${this.entry(0, first)},${this.entry(0, second)}`;
  }

  private copy(segments: readonly CopySegment[]): string {
    const { view } = this;
    segments.forEach((segment, index) => {
      const at = index * 40;
      this.writeSide(at, segment.source);
      this.writeSide(at + 16, segment.target);
      view.setUint16(at + 32, segment.length, LITTLE);
      view.setUint16(at + 34, ('ref' in segment.source ? 1 : 0) | ('ref' in segment.target ? 2 : 0), LITTLE);
      view.setInt16(at + 36, UNTOUCHED_STATUS, LITTLE);
    });
    const result = this.machine.grantTable(5, segments.length);
    const statuses = segments.map((_, index) => view.getInt16(index * 40 + 36, LITTLE));
    const entries = segments
      .flatMap(({ source, target }) => [source, target])
      .map((side) => ('ref' in side ? this.entryOf(side.domain, side.ref) : '-'));
    return `${result} status ${statuses.join(',')} entries ${entries.join(',')} pages ${this.pageSums()}`;
  }

  private writeSide(at: number, side: CopySide): void {
    const { view } = this;
    view.setBigUint64(at, 'ref' in side ? BigInt(side.ref) : this.frame(side.page), LITTLE);
    view.setUint16(at + 8, side.domain, LITTLE);
    view.setUint16(at + 10, side.offset, LITTLE);
  }

  private statusFrames({ domain, count }: Operation<'statusFrames'>): string {
    this.view.setUint32(0, count, LITTLE);
    this.view.setUint16(4, domain, LITTLE);
    this.view.setInt16(6, UNTOUCHED_STATUS, LITTLE);
    this.view.setBigUint64(8, this.machine.argumentAddress + 4096n, LITTLE);
    return `${this.machine.grantTable(9, 1)} status ${this.view.getInt16(6, LITTLE)}`;
  }

  private event(
    operation: Operation<'allocate'> | Operation<'bind'> | Operation<'status'> | PortOperation,
  ): string {
    const { view } = this;
    switch (operation.op) {
      case 'allocate': {
        view.setUint16(0, operation.domain, LITTLE);
        view.setUint16(2, operation.remote, LITTLE);
        const result = this.machine.eventChannel(6);
        if (result === 0) {
          this.ports.set(operation.slot, { domain: operation.domain, port: view.getUint32(4, LITTLE) });
        }
        return String(result);
      }
      case 'bind': {
        const remote = this.ports.get(operation.remoteSlot);
        view.setUint16(0, remote?.domain ?? 1, LITTLE);
        view.setUint32(4, remote?.port ?? 0, LITTLE);
        const result = this.machine.eventChannel(0);
        if (result === 0) this.ports.set(operation.slot, { domain: 0, port: view.getUint32(8, LITTLE) });
        return String(result);
      }
      case 'status': {
        const asked = this.ports.get(operation.slot);
        view.setUint16(0, operation.domain ?? asked?.domain ?? 0, LITTLE);
        view.setUint32(4, asked?.port ?? 0, LITTLE);
        const result = this.machine.eventChannel(5);
        if (result !== 0) return String(result);
        const state = view.getUint32(8, LITTLE);
        const domain = view.getUint16(16, LITTLE);
        // 1 unbound, 2 interdomain: the only states with a peer.
        const peer = state === 2 ? this.slotOf(domain, view.getUint32(20, LITTLE)) : '';
        return `0 state ${state} peer ${state === 1 || state === 2 ? domain : '-'} ${peer}`;
      }
      default: {
        const port = this.ports.get(operation.slot);
        const own = port === undefined || port.domain !== 0 ? 0 : port.port;
        view.setUint32(0, own, LITTLE);
        const result = this.machine.eventChannel({ send: 4, close: 3, unmask: 9 }[operation.op]);
        if (operation.op === 'close' && own > 0) this.ports.delete(operation.slot);
        return String(result);
      }
    }
  }

  private slotOf(domain: number, port: number): string {
    for (const [slot, known] of this.ports) {
      if (known.domain === domain && known.port === port) return `slot ${slot}`;
    }
    return 'unknown port';
  }

  private pageAt(frame: bigint): string {
    for (const domain of [0, ...GUESTS]) {
      for (let page = 0; page < PAGES_PER_DOMAIN; page++) {
        if (this.machine.page({ domain, page }).frame === frame) return `page ${domain}.${page}`;
      }
    }
    return 'unknown page';
  }

  /** A sum of every page: no copy may touch what it does not name. */
  private pageSums(): string {
    const sums: string[] = [];
    for (const domain of [0, ...GUESTS]) {
      for (let page = 0; page < PAGES_PER_DOMAIN; page++) {
        const { bytes } = this.machine.page({ domain, page });
        let sum = 0x811c9dc5 | 0;
        for (let index = 0; index < bytes.byteLength; index++) {
          sum = Math.imul(sum ^ (bytes[index] as number), 0x01000193);
        }
        sums.push((sum >>> 0).toString(36));
      }
    }
    return sums.join('.');
  }
}
