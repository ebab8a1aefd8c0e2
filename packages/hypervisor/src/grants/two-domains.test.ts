import { type DomainId, type GrantRef, GrantStatus, type MappedPages } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimulatedDomain } from '../guest/simulated-domain';
import { Machine } from '../machine';

const PATTERN = Uint8Array.from({ length: 256 }, (_, index) => index);

function mapped(answer: MappedPages | GrantStatus): MappedPages {
  if (typeof answer === 'number') throw new Error(`map answered ${answer}`);
  return answer;
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('nothing there');
  return value;
}

describe.each([
  { granter: 1, kind: 'pv' },
  { granter: 2, kind: 'pv' },
  { granter: 1, kind: 'hvm' },
  { granter: 2, kind: 'hvm' },
] as const)('two domains, granter on version $granter, $kind', ({ granter: version, kind }) => {
  let machine: Machine;
  let granter: SimulatedDomain;
  let grantee: SimulatedDomain;
  const at = (area: { bytes: Uint8Array; base: number }, offset: number) => area.bytes[area.base + offset];

  beforeEach(() => {
    machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    machine.createDomain();
    granter = machine.createDomain({ grantTableVersion: version, kind });
    grantee = machine.createDomain({ kind });
  });

  afterEach(() => machine.shutdown());

  it('runs the version it was asked for', () => {
    expect(granter.grants.version).toBe(version);
    expect(granter.capabilities.subPageGrants).toBe(version === 2);
  });

  it('maps shared pages side by side', () => {
    const shared = present(granter.grants.share(grantee.id, 3, 'readwrite'));
    const view = mapped(grantee.foreign.map(granter.id, shared.refs, 'readwrite'));
    expect(view.area.byteLength).toBe(3 * 4096);
    granter.memory.copyIn(shared.area, 8000, PATTERN);
    expect(at(view.area, 8001)).toBe(1);
    expect(machine.accounting(grantee.id)?.mappings).toBe(3);
    expect(machine.accounting(granter.id)?.activeGrants).toBe(3);
    expect(shared.end()).toBe(3);
    view.unmap();
    expect(view.area.byteLength).toBe(0);
    expect(at(view.area, 8001)).toBe(0);
    expect(machine.leaks()).toEqual([]);
  });

  it('gives pages and references back when sharing ends', () => {
    const before = [granter.memory.freePages, granter.grants.freeRefs];
    const shared = present(granter.grants.share(grantee.id, 3, 'readonly'));
    expect([granter.memory.freePages, granter.grants.freeRefs]).toEqual([
      (before[0] ?? 0) - 3,
      (before[1] ?? 0) - 3,
    ]);
    expect(grantee.foreign.map(granter.id, shared.refs, 'readwrite')).toBe(GrantStatus.generalError);
    expect(shared.end()).toBe(0);
    expect([granter.memory.freePages, granter.grants.freeRefs]).toEqual(before);
    expect(grantee.foreign.map(granter.id, shared.refs, 'readonly')).toBe(GrantStatus.generalError);
    expect(machine.leaks()).toEqual([]);
  });

  it('refuses to map pages that are not adjacent', () => {
    const shared = present(granter.grants.share(grantee.id, 3, 'readwrite'));
    const scattered = [shared.refs[0], shared.refs[2]] as GrantRef[];
    expect(grantee.foreign.map(granter.id, scattered, 'readwrite')).toBe(GrantStatus.generalError);
    expect(shared.end()).toBe(0);
    expect(machine.leaks()).toEqual([]);
  });

  it('copies in both directions, and says which element failed', () => {
    const shared = present(granter.grants.share(grantee.id, 1, 'readwrite'));
    const [ref] = shared.refs as [GrantRef];
    const own = present(grantee.memory.allocate(1));
    granter.memory.copyIn(shared.area, 100, PATTERN);
    const batch = grantee.foreign.createCopyBatch(8);
    batch.addFromGrant(granter.id, ref, 100, own, 50, 256);
    batch.addFromGrant(granter.id, 5000 as GrantRef, 0, own, 0, 1);
    batch.addToGrant(own, 51, granter.id, ref, 1000, 10);
    batch.addFromGrant(77 as DomainId, ref, 0, own, 0, 1);
    batch.addFromGrant(granter.id, ref, 4000, own, 0, 100);
    expect(batch.length).toBe(5);
    batch.submit();
    const statuses = Array.from({ length: batch.length }, (_, index) => batch.status(index));
    expect(statuses).toEqual([
      GrantStatus.okay,
      GrantStatus.badGrantRef,
      GrantStatus.okay,
      GrantStatus.badDomain,
      GrantStatus.badCopyArgument,
    ]);
    expect([...own.bytes.subarray(own.base + 50, own.base + 306)]).toEqual([...PATTERN]);
    expect(at(shared.area, 1000)).toBe(1);
    batch.clear();
    expect(batch.length).toBe(0);
    expect(machine.accounting(grantee.id)).toMatchObject({ bytesCopiedBy: 266, grantCopies: 5 });
    expect(machine.accounting(granter.id)).toMatchObject({ bytesCopiedFor: 266 });
    expect(shared.end()).toBe(0);
  });

  it('copies from no page that is not the caller’s own', () => {
    const shared = present(granter.grants.share(grantee.id, 1, 'readwrite'));
    const [ref] = shared.refs as [GrantRef];
    const foreign = present(granter.memory.allocate(1));
    const gone = present(grantee.memory.allocate(1));
    grantee.memory.free(gone);
    const batch = grantee.foreign.createCopyBatch(2);
    batch.addToGrant(foreign, 0, granter.id, ref, 0, 4);
    batch.addFromGrant(granter.id, ref, 0, gone, 0, 4);
    batch.submit();
    expect([batch.status(0), batch.status(1)]).toEqual([GrantStatus.badPage, GrantStatus.badPage]);
    shared.end();
  });

  it('outlives either domain', () => {
    const shared = present(granter.grants.share(grantee.id, 2, 'readwrite'));
    const view = mapped(grantee.foreign.map(granter.id, shared.refs, 'readwrite'));
    granter.memory.copyIn(shared.area, 0, PATTERN);
    machine.destroyDomain(granter.id);
    expect(shared.area.byteLength).toBe(0);
    expect(at(view.area, 255)).toBe(255);
    const kinds = machine.leaks().map((leak) => `${leak.domid} ${leak.count} ${leak.kind}`);
    expect(kinds).toEqual(['1 2 grants', '1 2 zombie frames', '2 2 mappings']);
    view.unmap();
    expect(machine.leaks()).toEqual([]);
    expect(machine.accounting(granter.id)).toBeUndefined();
    expect(grantee.foreign.map(granter.id, shared.refs, 'readwrite')).toBe(GrantStatus.badDomain);
  });

  it('lets go of mappings when the grantee dies', () => {
    const shared = present(granter.grants.share(grantee.id, 2, 'readwrite'));
    const view = mapped(grantee.foreign.map(granter.id, shared.refs, 'readwrite'));
    machine.destroyDomain(grantee.id);
    expect(view.area.byteLength).toBe(0);
    view.unmap();
    expect(shared.end()).toBe(0);
    expect(machine.leaks()).toEqual([]);
  });
});

describe('version 2 entries', () => {
  it('grants part of a page, and passes a grant on', () => {
    const machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    const dom0 = machine.createDomain();
    const sender = machine.createDomain();
    const receiver = machine.createDomain();
    const page = present(sender.memory.allocate(1));
    sender.memory.copyIn(page, 512, PATTERN);
    const senderEntries = present(sender.grants.entries);
    const dom0Entries = present(dom0.grants.entries);
    const ref = senderEntries.allocate();
    senderEntries.publishSubPage(ref, dom0.id, present(page.pages[0]).frame, 512, 256, true);
    const through = dom0Entries.allocate();
    dom0Entries.publishTransitive(through, receiver.id, sender.id, ref, true);
    const own = present(receiver.memory.allocate(1));
    const batch = receiver.foreign.createCopyBatch(4);
    batch.addFromGrant(dom0.id, through, 512, own, 0, 256);
    batch.addFromGrant(dom0.id, through, 511, own, 0, 2);
    batch.addFromGrant(sender.id, ref, 512, own, 0, 2);
    batch.submit();
    expect([batch.status(0), batch.status(1), batch.status(2)]).toEqual([0, -1, -1]);
    expect([...own.bytes.subarray(own.base, own.base + 256)]).toEqual([...PATTERN]);
    expect(machine.accounting(sender.id)?.bytesCopiedFor).toBe(256);
    expect(machine.accounting(dom0.id)?.bytesCopiedFor).toBe(0);
    expect(receiver.foreign.map(sender.id, [ref], 'readonly')).toBe(GrantStatus.generalError);
    expect([dom0Entries.revoke(through), senderEntries.revoke(ref)]).toEqual([true, true]);
    expect(machine.leaks()).toEqual([]);
    machine.shutdown();
  });
});
