import { DOMID_INVALID, DOMID_XEN, GrantStatus } from '@netchannel2/xen';
import { beforeEach, describe, expect, it } from 'vitest';
import { Block } from '../domains/domain-block';
import { EventBench } from '../event-channels/event-bench';

const PV = 1;
const HVM = 4;
const MAP_HOST = 2;
const MAP_READONLY = 4;

describe('what grant tables find in the machine', () => {
  let bench: EventBench;
  let crashes: number[];

  const field = (domid: number, offset: number) => bench.words[bench.block(domid) + offset] as number;
  const host = () => bench.hypervisor.grantHost;
  const firstFrame = (domid: number) => bench.argument(domid) >>> 12;
  const windowAddress = (domid: number) => field(domid, Block.windowBase) * 4096;
  const ownedFrames = (domid: number) => field(domid, Block.ownedFrames);

  beforeEach(() => {
    bench = EventBench.withDomains();
    bench.create(HVM, { kind: 'hvm' });
    crashes = [];
    bench.crashed = (domid) => crashes.push(domid);
  });

  it('names a PV domain’s pages by machine frames, an HVM domain’s by their own', () => {
    expect(host().machineFrame(PV, firstFrame(PV), true)).toBe(firstFrame(PV));
    expect(host().machineFrame(HVM, 0, true)).toBe(firstFrame(HVM));
    expect(host().machineFrame(HVM, 3, true)).toBe(firstFrame(HVM) + 3);
  });

  it.each([
    ['another domain’s page', PV, () => firstFrame(2)],
    ['a page of Xen’s', PV, () => bench.words[bench.block(PV) + Block.sharedInfo] as number],
    ['a frame beyond the machine', PV, () => 0x7fff_ffff],
    ['the largest number', PV, () => 0xffff_ffff],
    ['a guest frame behind RAM', HVM, () => 4],
    ['a negative one', HVM, () => -1],
  ])('finds no RAM behind %s', (_what, domid, frame) => {
    expect(host().machineFrame(domid, frame(), false)).toBe(-1);
  });

  it('takes references only for the owner', () => {
    const frame = firstFrame(PV);
    expect(host().acquirePage(frame, 2, true)).toBe(false);
    expect(host().acquirePage(frame, PV, true)).toBe(true);
    expect(bench.hypervisor.frames.references(frame)).toBe(2);
    host().releasePage(frame, true);
    expect(bench.hypervisor.frames.references(frame)).toBe(1);
  });

  it('keeps a dead domain’s id until its last page is let go', () => {
    const frame = firstFrame(PV);
    host().acquirePage(frame, PV, true);
    bench.hypervisor.destroyDomain(PV);
    expect(host().isDying(PV)).toBe(true);
    expect(host().grantTableBlock(PV)).toBeGreaterThan(0);
    expect(host().machineFrame(PV, frame, true)).toBe(-1);
    expect(ownedFrames(PV)).toBe(1);
    host().releasePage(frame, true);
    bench.hypervisor.reap();
    expect(host().grantTableBlock(PV)).toBe(0);
    expect(host().pageOwner(frame)).toBe(-1);
  });

  it('says who owns a page', () => {
    const table = host().allocateXenPages(1) >>> 12;
    expect(host().pageOwner(firstFrame(2))).toBe(2);
    expect(bench.hypervisor.frames.owner(table)).toBe(DOMID_XEN);
    expect(host().pageOwner(table)).toBe(-1);
    expect(host().pageOwner(-1)).toBe(-1);
  });

  it.each([PV, HVM])('enters and removes a mapping (domain %d)', (caller) => {
    const address = windowAddress(caller);
    const frame = firstFrame(2);
    expect(host().mapHostAddress(caller, address, frame, MAP_HOST)).toBe(GrantStatus.okay);
    expect(host().unmapHostAddress(caller, address, frame + 1, MAP_HOST)).toBe(GrantStatus.generalError);
    expect(host().unmapHostAddress(caller, address, frame, MAP_HOST)).toBe(GrantStatus.okay);
    expect(host().unmapHostAddress(caller, address, frame, MAP_HOST)).toBe(GrantStatus.generalError);
  });

  it('refuses addresses outside of the window', () => {
    const beyond = windowAddress(PV) + 4 * 4096;
    for (const address of [0, beyond, 0xffff_f000]) {
      expect(host().mapHostAddress(PV, address, firstFrame(2), MAP_HOST)).toBe(GrantStatus.generalError);
    }
    expect(crashes).toEqual([]);
  });

  it('crashes an HVM domain that maps over a mapping; a PV one loses the first', () => {
    const statuses = [PV, HVM].map((caller) => {
      const address = windowAddress(caller);
      host().mapHostAddress(caller, address, firstFrame(2), MAP_HOST | MAP_READONLY);
      return host().mapHostAddress(caller, address, firstFrame(3), MAP_HOST);
    });
    expect(statuses).toEqual([GrantStatus.okay, GrantStatus.generalError]);
    expect(host().unmapHostAddress(PV, windowAddress(PV), firstFrame(2), MAP_HOST | MAP_READONLY)).toBe(
      GrantStatus.generalError,
    );
    expect(crashes).toEqual([HVM]);
  });

  it('lets a mapping replace an HVM domain’s own page', () => {
    expect(host().mapHostAddress(HVM, 0, firstFrame(2), MAP_HOST)).toBe(GrantStatus.okay);
    expect(host().machineFrame(HVM, 0, false)).toBe(-1);
  });

  it('gives pages of Xen’s an address in an HVM domain', () => {
    const frame = host().allocateXenPages(1) >>> 12;
    host().sharePage(HVM, frame);
    const guestFrame = host().sharedGuestFrame(HVM, frame);
    expect(guestFrame).toBeGreaterThanOrEqual(4);
    expect(host().machineFrame(HVM, guestFrame, false)).toBe(-1);
    expect(host().withdrawPage(HVM, frame)).toBe(true);
    expect(host().sharedGuestFrame(HVM, frame)).toBe(-1);
    host().sharePage(PV, frame);
    expect(host().sharedGuestFrame(PV, frame)).toBe(frame);
  });

  it('moves a page from one domain to another', () => {
    const frame = firstFrame(PV);
    expect(host().reservePage(2)).toBe(false);
    bench.words[bench.block(2) + Block.maximumFrames] = 5;
    expect(host().reservePage(2)).toBe(true);
    expect(host().stealPage(PV, frame)).toBe(frame);
    expect(bench.hypervisor.frames.owner(frame)).toBe(DOMID_INVALID);
    expect(host().assignPage(frame, 2)).toBe(true);
    expect([ownedFrames(PV), ownedFrames(2)]).toEqual([3, 5]);
    expect(host().machineFrame(PV, frame, true)).toBe(-1);
    expect(host().machineFrame(2, frame, true)).toBe(frame);
  });

  it('steals no page that is in use', () => {
    const frame = firstFrame(PV);
    host().acquirePage(frame, PV, true);
    expect(host().stealPage(PV, frame)).toBe(-1);
    expect(host().machineFrame(PV, frame, true)).toBe(frame);
  });

  it('frees a stolen page', () => {
    const free = bench.hypervisor.allocator;
    const frame = host().stealPage(PV, firstFrame(PV));
    host().freeStolenPage(frame);
    expect(bench.hypervisor.frames.owner(frame)).toBe(-1);
    expect(free.allocateRun(1, 3)).toBeGreaterThan(0);
  });

  it('lets a caller name its own memory only', () => {
    const address = bench.argument(PV);
    expect(host().mayAccess(PV, address, 4 * 4096)).toBe(true);
    expect(host().mayAccess(PV, address, 4 * 4096 + 1)).toBe(false);
    expect(host().mayAccess(PV, -4, 8)).toBe(false);
    expect(host().mayAccess(PV, 0x7fff_fff0, 0x20)).toBe(false);
    expect(host().mayAccess(2, address, 4)).toBe(false);
  });
});
