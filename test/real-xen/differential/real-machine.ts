import { PAGE_SIZE } from '@netchannel2/xen';
import koffi from 'koffi';
import {
  type DifferentialMachine,
  GUESTS,
  MAPPING_SLOTS,
  PAGES_PER_DOMAIN,
  TABLE_VERSIONS,
} from './grant-script';

const HYPERVISOR_GRANT_TABLE = 20;
const HYPERVISOR_EVENT_CHANNEL = 32;
const DOMID_SELF = 0x7ff0;
const PROT_READ_WRITE = 3;
/** XENMEM_resource_grant_table and its two kinds of frames. */
const GRANT_TABLE_RESOURCE = 1;
const SHARED_FRAMES = 0;
const STATUS_FRAMES = 1;
/** A reference of each guest's that its kernel does not use. */
const PROBE_REF = 100;

/**
 * Real Xen as dom0's user space can use it: raw hypercalls by libxencall, and the tables of paused guests mapped into this
 * process, so that entries of every kind can be written in a guest's name.
 */
export function realDifferentialMachine(domids: readonly number[]): DifferentialMachine {
  const calls = koffi.load('libxencall.so.1');
  const foreign = koffi.load('libxenforeignmemory.so.1');
  const grants = koffi.load('libxengnttab.so.1');
  const callHandle: unknown = calls.func('void *xencall_open(void *l, unsigned int f)')(null, 0);
  const foreignHandle: unknown = foreign.func('void *xenforeignmemory_open(void *l, unsigned int f)')(
    null,
    0,
  );
  const call2 = calls.func('int xencall2(void *h, unsigned int op, uint64_t a, uint64_t b)');
  const call3 = calls.func('int xencall3(void *h, unsigned int op, uint64_t a, uint64_t b, uint64_t c)');
  const mapResource = foreign.func(
    'void *xenforeignmemory_map_resource(void *h, uint16_t dom, unsigned int type, unsigned int id, unsigned long frame, unsigned long n, _Out_ uintptr_t *addr, int prot, int flags)',
  );
  const mapForeign = foreign.func(
    'uintptr_t xenforeignmemory_map(void *h, uint32_t dom, int prot, size_t n, uint64_t *frames, _Out_ int *errors)',
  );
  const unmapForeign = foreign.func('int xenforeignmemory_unmap(void *h, uintptr_t address, size_t n)');
  const argumentAddress: number = calls.func('uintptr_t xencall_alloc_buffer_pages(void *h, size_t n)')(
    callHandle,
    2,
  );
  const argument = new DataView(koffi.view(argumentAddress, 2 * PAGE_SIZE));
  const answer = (result: number): number => (result < 0 ? -koffi.errno() : result);
  const grantTable = (command: number, count: number): number =>
    answer(call3(callHandle, HYPERVISOR_GRANT_TABLE, command, argumentAddress, count));

  const resource = (domain: number, kind: number): DataView => {
    const address = [0];
    const handle: unknown = mapResource(
      foreignHandle,
      domain,
      GRANT_TABLE_RESOURCE,
      kind,
      0,
      1,
      address,
      PROT_READ_WRITE,
      0,
    );
    if (handle === null) throw new Error(`domain ${domain}'s grant table cannot be mapped: ${koffi.errno()}`);
    return new DataView(koffi.view(address[0], PAGE_SIZE));
  };
  const mapFrame = (domain: number, frame: bigint, times = 1): number => {
    const address: number = mapForeign(
      foreignHandle,
      domain,
      PROT_READ_WRITE,
      times,
      new BigUint64Array(times).fill(frame),
      new Int32Array(times),
    );
    if (address === 0)
      throw new Error(`frame ${frame} of domain ${domain} cannot be mapped: ${koffi.errno()}`);
    return address;
  };
  const frameBytes = (domain: number, frame: bigint): Uint8Array =>
    new Uint8Array(koffi.view(mapFrame(domain, frame), PAGE_SIZE));

  const tables = new Map<number, ReturnType<DifferentialMachine['table']>>();
  const pages = new Map<string, { readonly frame: bigint; readonly bytes: Uint8Array }>();
  domids.forEach((domid, index) => {
    const guest = GUESTS[index];
    if (guest === undefined || domid !== guest) throw new Error(`guest ${guest} is domain ${domid}`);
    const version = TABLE_VERSIONS[guest];
    const entries = resource(domid, SHARED_FRAMES);
    tables.set(
      domid,
      version === 1 ? { version, entries } : { version, entries, status: resource(domid, STATUS_FRAMES) },
    );
  });

  /** Pages of a PV guest that may be mapped for writing, found by trying: page tables and the like may not. */
  const findPages = (domain: number): void => {
    const table = tables.get(domain);
    if (table === undefined) return;
    const { entries, version } = table;
    const at = PROBE_REF * (version === 1 ? 8 : 16);
    const start = version === 1 ? BigInt(entries.getUint32(4, true)) : entries.getBigUint64(8, true);
    let found = 0;
    // Around the console's page: where a guest's memory ends depends on what the toolstack loaded.
    for (let step = 7n; step < 0x8000n && found < PAGES_PER_DOMAIN; step += 61n) {
      const frame = (step & 1n) === 0n ? start + step : start - step;
      if (version === 1) entries.setUint32(at + 4, Number(frame), true);
      else entries.setBigUint64(at + 8, frame, true);
      entries.setUint16(at + 2, 0, true);
      entries.setUint16(at, 1, true);
      argument.setUint32(8, 1, true);
      argument.setUint32(12, PROBE_REF, true);
      argument.setUint16(16, domain, true);
      grantTable(0, 1);
      if (argument.getInt16(18, true) !== 0) continue;
      const handle = argument.getUint32(20, true);
      const bus = argument.getBigUint64(24, true);
      argument.setBigUint64(0, 0n, true);
      argument.setBigUint64(8, bus, true);
      argument.setUint32(16, handle, true);
      grantTable(1, 1);
      pages.set(`${domain}.${found}`, { frame, bytes: frameBytes(domain, frame) });
      found += 1;
    }
    entries.setUint16(at, 0, true);
    if (found < PAGES_PER_DOMAIN) throw new Error(`domain ${domain} has no pages to play with`);
  };
  for (const guest of GUESTS) findPages(guest);

  // Own pages: what gntalloc gives, whose frames stand in dom0's own table.
  const shareHandle: unknown = grants.func('void *xengntshr_open(void *l, uint32_t f)')(null, 0);
  const refs = new Uint32Array(PAGES_PER_DOMAIN);
  const shared: number = grants.func(
    'uintptr_t xengntshr_share_pages(void *h, uint32_t domid, int n, _Out_ uint32_t *refs, int writable)',
  )(shareHandle, 0, PAGES_PER_DOMAIN, refs, 1);
  argument.setUint16(0, DOMID_SELF, true);
  argument.setUint32(4, 1, true);
  argument.setBigUint64(16, BigInt(argumentAddress + PAGE_SIZE), true);
  grantTable(2, 1);
  const own = frameBytes(DOMID_SELF, argument.getBigUint64(PAGE_SIZE, true));
  const ownTable = new DataView(own.buffer);
  tables.set(0, { version: 1, entries: ownTable });
  refs.forEach((ref, page) => {
    const frame = BigInt(ownTable.getUint32(ref * 8 + 4, true));
    pages.set(`0.${page}`, {
      frame,
      bytes: new Uint8Array(koffi.view(shared + page * PAGE_SIZE, PAGE_SIZE)),
    });
  });

  // Host mappings need page-table entries of this process that exist: those of a foreign mapping, which nobody has touched
  // before Xen puts grants in their place. Linux leaves such entries alone.
  const hostPages = mapFrame(GUESTS[0], pages.get(`${GUESTS[0]}.0`)?.frame ?? 0n, MAPPING_SLOTS);
  const hostView = new Uint8Array(koffi.view(hostPages, MAPPING_SLOTS * PAGE_SIZE));

  return {
    argument,
    argumentAddress: BigInt(argumentAddress),
    grantTable,
    eventChannel: (command) => answer(call2(callHandle, HYPERVISOR_EVENT_CHANNEL, command, argumentAddress)),
    table(domain) {
      const table = tables.get(domain);
      if (table === undefined) throw new Error(`domain ${domain} has no table here`);
      return table;
    },
    page({ domain, page }) {
      const found = pages.get(`${domain}.${page}`);
      if (found === undefined) throw new Error(`no page ${domain}.${page}`);
      return found;
    },
    ownStatus(ref) {
      argument.setUint32(0, 1, true);
      argument.setUint16(4, DOMID_SELF, true);
      argument.setBigUint64(8, BigInt(argumentAddress + PAGE_SIZE), true);
      grantTable(9, 1);
      // Mapped for one look: a status page in use keeps the table from going back to version 1.
      const address = mapFrame(DOMID_SELF, argument.getBigUint64(PAGE_SIZE, true));
      const word = new DataView(koffi.view(address, PAGE_SIZE)).getUint16(ref * 2, true);
      unmapForeign(foreignHandle, address, 1);
      return word;
    },
    hostAddress: (slot) => BigInt(hostPages + slot * PAGE_SIZE),
    hostPage: (slot) => hostView.subarray(slot * PAGE_SIZE, (slot + 1) * PAGE_SIZE),
  };
}
