/**
 * What one domain can do wrong with another's grants, for each table version on the granting side: each ends in Xen's
 * status for that one operation, and whoever does it right is not disturbed.
 */
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { VirtualClock } from '@netchannel2/testing';
import {
  domainId,
  type GrantEntries,
  GrantStatus,
  grantRef,
  type MappedPages,
  type MemoryArea,
  PAGE_SIZE,
  type Page,
} from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

describe.each([1, 2] as const)('grants of a table of version %i', (version) => {
  let machine: Machine;
  let clock: VirtualClock;
  let granter: SimulatedDomain;
  let grantee: SimulatedDomain;
  let stranger: SimulatedDomain;
  let entries: GrantEntries;
  let page: Page;
  let own: MemoryArea;

  beforeEach(() => {
    clock = new VirtualClock();
    machine = Machine.boot({ memoryBytes: 32 << 20, scheduler: clock, now: () => clock.now() });
    const domain = (name: string, grantTableVersion: 1 | 2) =>
      machine.createDomain({ name, grantTableVersion, memoryPages: 256 });
    machine.createDomain({ name: 'dom0', memoryPages: 64 });
    granter = domain('granter', version);
    grantee = domain('grantee', 2);
    stranger = domain('stranger', 2);
    if (granter.grants.entries === undefined) throw new Error('no entries');
    entries = granter.grants.entries;
    page = onePage(granter);
    own = onePage(grantee);
    granter.memory.copyIn(page, 0, new Uint8Array(PAGE_SIZE).fill(7));
  });

  afterEach(async () => {
    // Whatever happened, an honest grant works: copied and mapped.
    const ref = granted();
    expect(copy(grantee, ref)).toBe(GrantStatus.okay);
    expect(own.bytes[own.base]).toBe(7);
    const mapping = mapped(ref);
    mapping.unmap();
    expect(entries.revoke(ref)).toBe(true);
    await clock.advance(2_000);
    expect(machine.leaks()).toEqual([]);
    machine.shutdown();
  });

  const onePage = (domain: SimulatedDomain): Page => {
    const [first] = domain.memory.allocate(1)?.pages ?? [];
    if (first === undefined) throw new Error('no page');
    return first;
  };
  const granted = (readonly = false) => {
    const ref = entries.allocate();
    entries.publishFullPage(ref, grantee.id, page.frame, readonly);
    return ref;
  };
  const copy = (by: SimulatedDomain, ref: number, owner: number = granter.id, offset = 0, length = 16) => {
    const batch = by.foreign.createCopyBatch(1);
    const target = by === grantee ? own : onePage(by);
    batch.addFromGrant(domainId(owner), grantRef(ref), offset, target, 0, length);
    batch.submit();
    return batch.status(0);
  };
  const map = (by: SimulatedDomain, ref: number, access: 'readonly' | 'readwrite' = 'readwrite') =>
    by.foreign.map(granter.id, [grantRef(ref)], access);
  const mapped = (ref: number): MappedPages => {
    const answer = map(grantee, ref);
    if (typeof answer === 'number') throw new Error(`mapping failed: ${answer}`);
    return answer;
  };

  it('unknown gref', () => {
    const ref = entries.allocate();
    expect([copy(grantee, ref), map(grantee, ref)]).toEqual([
      GrantStatus.generalError,
      GrantStatus.generalError,
    ]);
    const beyond = 0x00ff_ffff;
    expect([copy(grantee, beyond), map(grantee, beyond)]).toEqual([
      GrantStatus.badGrantRef,
      GrantStatus.badGrantRef,
    ]);
  });

  it('wrong domain: somebody else’s grant, and a granter that does not exist', () => {
    const ref = granted();
    expect([copy(stranger, ref), map(stranger, ref)]).toEqual([
      GrantStatus.generalError,
      GrantStatus.generalError,
    ]);
    expect(copy(grantee, ref, 77)).toBe(GrantStatus.badDomain);
    expect(grantee.foreign.map(domainId(77), [ref], 'readonly')).toBe(GrantStatus.badDomain);
    expect(entries.revoke(ref)).toBe(true);
  });

  it('revoked grant', () => {
    const ref = granted();
    expect(copy(grantee, ref)).toBe(GrantStatus.okay);
    expect(entries.revoke(ref)).toBe(true);
    expect([copy(grantee, ref), map(grantee, ref)]).toEqual([
      GrantStatus.generalError,
      GrantStatus.generalError,
    ]);
  });

  it('read-only grant, written to', () => {
    const ref = granted(true);
    expect(map(grantee, ref, 'readwrite')).toBe(GrantStatus.generalError);
    const batch = grantee.foreign.createCopyBatch(1);
    batch.addToGrant(own, 0, granter.id, ref, 0, 16);
    batch.submit();
    expect(batch.status(0)).toBe(GrantStatus.generalError);
    expect(page.bytes[page.base]).toBe(7);
    expect(entries.revoke(ref)).toBe(true);
  });

  it('wrong version: kinds of grants only version 2 has', () => {
    const ref = entries.allocate();
    const publish = () => entries.publishSubPage(ref, grantee.id, page.frame, 0, 100, true);
    expect(entries.version2).toBe(version === 2);
    if (version === 1) {
      expect(publish).toThrow(/version/);
      return;
    }
    publish();
    // May be copied within its bytes, and never be mapped.
    expect(map(grantee, ref, 'readonly')).toBe(GrantStatus.generalError);
    expect(copy(grantee, ref, granter.id, 0, 100)).toBe(GrantStatus.okay);
    expect(copy(grantee, ref, granter.id, 0, 101)).toBe(GrantStatus.generalError);
    expect(entries.revoke(ref)).toBe(true);
  });

  it('mapped twice: each mapping ends by itself, and only then does the grant', () => {
    const ref = granted();
    const first = mapped(ref);
    const second = mapped(ref);
    expect(machine.accounting(grantee.id)?.mappings).toBe(2);
    first.unmap();
    expect([first.area.byteLength, second.area.bytes[second.area.base]]).toEqual([0, 7]);
    expect(entries.revoke(ref)).toBe(false);
    second.unmap();
    expect(entries.revoke(ref)).toBe(true);
  });

  it('unmapped twice: nobody else’s mapping goes', () => {
    const ref = granted();
    const first = mapped(ref);
    first.unmap();
    const second = mapped(ref);
    first.unmap();
    expect(machine.accounting(grantee.id)?.mappings).toBe(1);
    expect(second.area.bytes[second.area.base]).toBe(7);
    second.unmap();
    expect(entries.revoke(ref)).toBe(true);
  });

  it('unmapped twice by hypercall: GNTST_bad_handle', () => {
    const ref = granted();
    const { hypervisor } = machine;
    // struct gnttab_map_grant_ref: host_addr, flags, ref, dom, status, handle, dev_bus_addr; and its unmap: host_addr,
    // dev_bus_addr, handle, status.
    const argument = onePage(grantee);
    const words = argument.words;
    const at = argument.base >> 2;
    const window = mapped(ref);
    const before = machine.accounting(grantee.id)?.mappings;
    words.fill(0, at, at + 8);
    words[at + 4] = 0x00ff_0000;
    expect(hypervisor.grantTableOp(grantee.id, 1, argument.base, 1)).toBe(0);
    expect(((words[at + 5] ?? 0) << 16) >> 16).toBe(GrantStatus.badHandle);
    expect(machine.accounting(grantee.id)?.mappings).toBe(before);
    window.unmap();
    expect(entries.revoke(ref)).toBe(true);
  });

  it('freed page: given back to Xen while it is granted', () => {
    const other = onePage(granter);
    const ref = entries.allocate();
    entries.publishFullPage(ref, grantee.id, other.frame, false);
    const { grantHost } = machine.hypervisor;
    grantHost.freeStolenPage(grantHost.stealPage(granter.id, other.frame));
    expect([copy(grantee, ref), map(grantee, ref)]).toEqual([
      expect.toBeOneOf([GrantStatus.badPage, GrantStatus.generalError]),
      expect.toBeOneOf([GrantStatus.badPage, GrantStatus.generalError]),
    ]);
    expect(entries.revoke(ref)).toBe(true);
  });

  it('a copy across the end of the page', () => {
    const ref = granted();
    expect(copy(grantee, ref, granter.id, 4090, 7)).toBe(GrantStatus.badCopyArgument);
    expect(entries.revoke(ref)).toBe(true);
  });

  it('the granter is destroyed: what is mapped lives on until it is unmapped', () => {
    const doomed = machine.createDomain({ name: 'doomed', grantTableVersion: version, memoryPages: 64 });
    const shared = doomed.grants.share(grantee.id, 2, 'readwrite');
    if (shared === undefined) throw new Error('nothing shared');
    const mapping = grantee.foreign.map(doomed.id, shared.refs.slice(0, 1), 'readwrite');
    if (typeof mapping === 'number') throw new Error(`mapping failed: ${mapping}`);
    mapping.area.bytes[mapping.area.base] = 42;
    machine.destroyDomain(doomed.id);
    expect(mapping.area.bytes[mapping.area.base]).toBe(42);
    const late = grantee.foreign.map(doomed.id, shared.refs.slice(1), 'readwrite');
    expect(typeof late === 'number' ? late : 'mapped').toBeLessThan(0);
    mapping.unmap();
    expect(machine.accounting(doomed.id)).toBeUndefined();
  });
});
