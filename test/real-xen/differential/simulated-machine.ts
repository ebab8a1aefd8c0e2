import { type GrantTableCommandLine, Machine } from '@netchannel2/hypervisor';
import { PAGE_SIZE, type PageArea } from '@netchannel2/xen';
import { type DifferentialMachine, GUESTS, PAGES_PER_DOMAIN, TABLE_VERSIONS } from './grant-script';

const GRANT_SETUP_TABLE = 2;
const GRANT_STATUS_FRAMES = 9;
const DOMID_SELF = 0x7ff0;
const MEMORY_BYTES = 32 << 20;
/** A PV domain's window for mappings begins above the machine's memory; its own code takes frames from the start. */
const FIRST_HOST_FRAME = MEMORY_BYTES / PAGE_SIZE + 2048;

/** What a Xen of this version, like `4.17.5` or Debian's `4.17.7+13-g2445b30a44`, does where others differ. */
export function grantTablesOf(xenVersion: string): GrantTableCommandLine {
  const [, major, minor, patch, commits] = /^(\d+)\.(\d+)(?:\.(\d+))?(?:\+(\d+))?/.exec(xenVersion) ?? [];
  const series = Number(major) * 100 + Number(minor);
  // As one number: how far the branch of 4.17 had come.
  const state = Number(patch ?? 0) * 1000 + Number(commits ?? 0);
  const since = (first: number): boolean => series > 417 || (series === 417 && state >= first);
  return {
    zeroLengthCopy: series <= 417 ? 'check' : 'succeed',
    pinnedCopyCheck: since(7000),
    foreignFrameCheck: since(7013) ? 'claimed' : 'looked-up',
  };
}

/** dom0 and three guests of a simulated Xen of some version. */
export function simulatedDifferentialMachine(xenVersion: string): DifferentialMachine & { close(): void } {
  const machine = Machine.boot({ memoryBytes: MEMORY_BYTES, grantTables: grantTablesOf(xenVersion) });
  const { hypervisor } = machine;
  const dom0 = machine.createDomain({ name: 'dom0', grantTableVersion: 1, memoryPages: 512 });
  const argumentPages = dom0.memory.allocate(2);
  if (argumentPages === undefined) throw new Error('dom0 has no memory');
  const { buffer } = argumentPages.bytes;
  const argument = new DataView(buffer, argumentPages.base, 2 * PAGE_SIZE);
  const grantTable = (command: number, count: number) =>
    hypervisor.grantTableOp(0, command, argumentPages.base, count);
  /** Address of the first frame `command` lists for a domain. */
  const listed = (command: number, domain: number): number => {
    argument.setUint16(command === GRANT_SETUP_TABLE ? 0 : 4, domain, true);
    argument.setUint32(command === GRANT_SETUP_TABLE ? 4 : 0, 1, true);
    argument.setBigUint64(
      command === GRANT_SETUP_TABLE ? 16 : 8,
      BigInt(argumentPages.base + PAGE_SIZE),
      true,
    );
    if (grantTable(command, 1) !== 0) throw new Error(`no table of domain ${domain}`);
    return Number(argument.getBigUint64(PAGE_SIZE, true)) * PAGE_SIZE;
  };
  const tables = new Map<number, ReturnType<DifferentialMachine['table']>>();
  const pages = new Map<number, PageArea>();
  const keep = (domain: number, area: PageArea | undefined): void => {
    if (area !== undefined) pages.set(domain, area);
  };
  keep(0, dom0.memory.allocate(PAGES_PER_DOMAIN));
  tables.set(0, {
    version: 1,
    entries: new DataView(buffer, listed(GRANT_SETUP_TABLE, DOMID_SELF), PAGE_SIZE),
  });
  for (const number of GUESTS) {
    const version = TABLE_VERSIONS[number];
    const guest = machine.createDomain({
      name: `guest${number}`,
      grantTableVersion: version,
      memoryPages: 256,
    });
    if (guest.id !== number) throw new Error(`guest ${number} became domain ${guest.id}`);
    keep(number, guest.memory.allocate(PAGES_PER_DOMAIN));
    const entries = new DataView(buffer, listed(GRANT_SETUP_TABLE, number), PAGE_SIZE);
    tables.set(
      number,
      version === 1
        ? { version, entries }
        : { version, entries, status: new DataView(buffer, listed(GRANT_STATUS_FRAMES, number), PAGE_SIZE) },
    );
  }
  return {
    argument,
    argumentAddress: BigInt(argumentPages.base),
    grantTable,
    eventChannel: (command) => hypervisor.eventChannelOp(0, command, argumentPages.base),
    table(domain) {
      const table = tables.get(domain);
      if (table === undefined) throw new Error(`domain ${domain} has no table here`);
      return table;
    },
    page({ domain, page }) {
      const found = pages.get(domain)?.pages[page];
      if (found === undefined) throw new Error(`no page ${domain}.${page}`);
      const bytes = found.bytes.subarray(found.base, found.base + PAGE_SIZE);
      return { frame: BigInt(found.frame), bytes };
    },
    ownStatus: (ref) =>
      new DataView(buffer, listed(GRANT_STATUS_FRAMES, DOMID_SELF), PAGE_SIZE).getUint16(ref * 2, true),
    hostAddress: (slot) => BigInt(FIRST_HOST_FRAME + slot) << 12n,
    hostPage: (_slot, busAddress) => new Uint8Array(buffer, Number(busAddress), PAGE_SIZE),
    close: () => machine.shutdown(),
  };
}
