import {
  domainId,
  type EventChannelPort,
  type GrantRef,
  GrantStatus,
  grantRef,
  NO_GRANT_REF,
} from '@netchannel2/xen';
import { VirtualTimeScheduler } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SimulatedDomain } from './guest/simulated-domain';
import { Machine } from './machine';

/** A port, where an errno would be a surprise. */
function port(answer: EventChannelPort | string): EventChannelPort {
  if (typeof answer === 'string') throw new Error(answer);
  return answer;
}

function connect(left: SimulatedDomain, right: SimulatedDomain): [EventChannelPort, EventChannelPort] {
  const leftPort = port(left.events.allocateUnbound(right.id));
  return [leftPort, port(right.events.bindInterdomain(left.id, leftPort))];
}

describe('machine', () => {
  let machine: Machine;
  let dom0: SimulatedDomain;
  let guest: SimulatedDomain;

  beforeEach(() => {
    machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    dom0 = machine.createDomain({ name: 'dom0' });
    guest = machine.createDomain({ name: 'guest', kind: 'hvm' });
  });

  afterEach(() => machine.shutdown());

  it('numbers domains from 0', () => {
    expect([dom0.id, guest.id]).toEqual([0, 1]);
    machine.destroyDomain(1);
    expect(machine.createDomain().id).toBe(2);
  });

  it('gives back everything of a destroyed domain', () => {
    const before = machine.freeFrames;
    const other = machine.createDomain();
    expect(machine.freeFrames).toBeLessThan(before);
    expect(machine.destroyDomain(other.id)).toBe(true);
    expect(machine.freeFrames).toBe(before);
    expect(machine.destroyDomain(other.id)).toBe(false);
  });

  it('says what to do when memory runs out, and keeps nothing', () => {
    const before = machine.freeFrames;
    expect(() => machine.createDomain({ memoryPages: 100_000 })).toThrow(/memoryBytes/);
    expect(machine.freeFrames).toBe(before);
  });

  it.each(['memoryPages', 'mappingPages', 'maxGrantFrames'])('refuses a nonsensical %s', (limit) => {
    expect(() => machine.createDomain({ [limit]: 0 })).toThrow(limit);
  });

  it('limits grant tables as its command line says, where a domain’s own limits do not', () => {
    const small = Machine.boot({
      memoryBytes: 32 << 20,
      grantTables: { maxFrames: 3, maxMaptrackFrames: 5, maxVersion: 1 },
    });
    const usual = small.createDomain({ memoryPages: 256 });
    const own = small.createDomain({ memoryPages: 256, maxGrantFrames: 7, maxMaptrackFrames: 2 });
    const limits = ({ id, grants }: SimulatedDomain) => {
      const { maxFrames, maxMaptrackFrames } = small.grantEntries(id) ?? {};
      return [maxFrames, maxMaptrackFrames, grants.version];
    };
    expect([limits(usual), limits(own)]).toEqual([
      [3, 5, 1],
      [7, 2, 1],
    ]);
    expect(() => small.createDomain({ maxGrantVersion: 2 })).toThrow(/maxGrantVersion/);
    const { entries } = own.grants;
    const refs: GrantRef[] = [];
    for (
      let ref = entries?.allocate();
      ref !== undefined && ref !== NO_GRANT_REF;
      ref = entries?.allocate()
    ) {
      refs.push(ref);
    }
    // All frames but the reserved references; one that comes back is there to be had.
    expect(refs).toHaveLength(7 * 512 - 8);
    let served = 0;
    entries?.whenFree(1, () => served++);
    entries?.free(refs[100] ?? NO_GRANT_REF);
    expect([served, entries?.allocate(), entries?.allocate()]).toEqual([1, refs[100], NO_GRANT_REF]);
    small.shutdown();
  });

  it('delivers an event in the receiver’s context', async () => {
    const [mine, theirs] = connect(dom0, guest);
    let events = 0;
    guest.events.listen(theirs, () => events++);
    await machine.idle();
    expect(events).toBe(1);
    dom0.events.notify(mine);
    dom0.events.notify(mine);
    expect(events).toBe(1);
    await machine.idle();
    expect(events).toBe(2);
    expect(machine.accounting(dom0.id)?.notifications).toBe(2);
    expect(machine.accounting(guest.id)?.ports).toBe(1);
    expect(machine.accounting(guest.id)?.cpuNanoseconds).toBeGreaterThan(0);
  });

  it('keeps an event for a listener that comes later', async () => {
    const [mine, theirs] = connect(dom0, guest);
    dom0.events.notify(mine);
    await machine.idle();
    let events = 0;
    const stop = guest.events.listen(theirs, () => events++);
    await machine.idle();
    expect(events).toBe(1);
    stop();
    dom0.events.notify(mine);
    await machine.idle();
    expect(events).toBe(1);
  });

  it('plays ping-pong', async () => {
    const [mine, theirs] = connect(dom0, guest);
    let left = 1000;
    dom0.events.listen(mine, () => {
      if (left-- > 0) dom0.events.notify(mine);
    });
    guest.events.listen(theirs, () => guest.events.notify(theirs));
    await machine.idle();
    expect(left).toBe(-1);
  });

  it('runs deferred work once, after the handlers', async () => {
    const [mine, theirs] = connect(dom0, guest);
    await machine.idle();
    const log: string[] = [];
    const work = { deferred: false, run: () => log.push('deferred') };
    guest.events.listen(theirs, () => {
      log.push('event');
      guest.defer(work);
      guest.defer(work);
    });
    await machine.idle();
    dom0.events.notify(mine);
    await machine.idle();
    expect(log).toEqual(['event', 'deferred', 'event', 'deferred']);
    guest.run(() => guest.defer(work));
    expect(log.length).toBe(5);
    guest.defer(work);
    expect(log.length).toBe(5);
    await machine.idle();
    expect(log.length).toBe(6);
  });

  it('survives a handler that throws', async () => {
    const thrown: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => thrown.push(error));
    const [mine, theirs] = connect(dom0, guest);
    let events = 0;
    guest.events.listen(theirs, () => {
      events++;
      if (events === 1) throw new Error('a driver’s mistake');
    });
    await machine.idle();
    dom0.events.notify(mine);
    await machine.idle();
    await new Promise((resolve) => setTimeout(resolve, 5));
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(events).toBe(2);
    expect(thrown).toHaveLength(1);
  });

  it('gives adjacent zeroed pages and takes them back', () => {
    const free = guest.memory.freePages;
    const area = guest.memory.allocate(4);
    if (area === undefined) throw new Error('no memory');
    expect(area.pages.map((page) => page.base - area.base)).toEqual([0, 4096, 8192, 12_288]);
    expect(area.bytes.subarray(area.base, area.base + area.byteLength).every((byte) => byte === 0)).toBe(
      true,
    );
    area.bytes.fill(0xa5, area.base, area.base + area.byteLength);
    expect(guest.memory.freePages).toBe(free - 4);
    guest.memory.free(area);
    expect(guest.memory.freePages).toBe(free);
    expect(area.byteLength).toBe(0);
    expect(area.bytes[area.base]).toBe(0);
    guest.memory.free(area);
    expect(guest.memory.freePages).toBe(free);
    expect(guest.memory.allocate(100_000)).toBeUndefined();
  });

  it('names guest frames as the kind of domain does', () => {
    const paravirtual = dom0.memory.allocate(1);
    const hardware = guest.memory.allocate(1);
    expect(paravirtual?.frame).toBe((paravirtual?.base ?? 0) >>> 12);
    expect(hardware?.frame).toBeLessThan(2048);
  });

  it('leaves nothing to reach through a dead domain’s objects', () => {
    const area = guest.memory.allocate(2);
    machine.destroyDomain(guest.id);
    expect(area?.byteLength).toBe(0);
    expect(guest.memory.allocate(1)).toBeUndefined();
    guest.events.notify(1 as EventChannelPort);
    guest.events.close(1 as EventChannelPort);
    guest.defer({ deferred: false, run: () => expect.unreachable() });
    expect(() => guest.run(() => {})).toThrow(/has ended/);
  });

  it('writes nothing of an ended domain', () => {
    const area = guest.memory.allocate(1);
    const target = guest.memory.allocate(1);
    if (area === undefined || target === undefined) throw new Error('no memory');
    const publications = guest.grants.entries?.createPublications(4);
    const batch = guest.foreign.createCopyBatch(4);
    const mine = port(guest.events.allocateUnbound(dom0.id));
    const { id } = guest;
    // Its own code may be what ends it.
    guest.run(() => machine.destroyDomain(id));
    const { bytes } = machine.hypervisor.memory;
    const before = bytes.slice();

    guest.scheduler.schedule(() => expect.unreachable());
    expect(guest.events.allocateUnbound(dom0.id)).toBe('ESRCH');
    expect(guest.events.bindInterdomain(dom0.id, mine)).toBe('ESRCH');
    guest.events.notify(mine);
    guest.events.close(mine);
    guest.events.listen(mine, () => expect.unreachable())();
    publications?.addFullPage(grantRef(8), dom0.id, area.frame, false);
    publications?.publish();
    expect(guest.foreign.map(dom0.id, [grantRef(8)], 'readwrite')).toBe(GrantStatus.generalError);
    batch.addFromGrant(dom0.id, grantRef(8), 0, target, 0, 64);
    batch.submit();
    expect(batch.status(0)).not.toBe(GrantStatus.okay);
    expect(guest.grants.share(dom0.id, 1, 'readwrite')).toBeUndefined();
    guest.memory.copyIn(area, 0, new Uint8Array([1, 2, 3]));

    expect(Buffer.compare(bytes, before)).toBe(0);
  });

  it('drops what a domain waits for when it ends or crashes', () => {
    for (const finish of [
      (id: number) => machine.destroyDomain(id),
      (id: number) => machine.crashDomain(id, 'test'),
    ]) {
      const other = machine.createDomain();
      const timer = other.scheduler.schedule(() => expect.unreachable(), 1);
      expect(other.scheduler.waiting).toBe(1);
      finish(other.id);
      expect([timer.closed, other.scheduler.waiting]).toEqual([true, 0]);
    }
  });

  it('tells of a crash and runs the domain no more', async () => {
    const crashes: string[] = [];
    machine.crashes$.subscribe(({ domid, reason }) => crashes.push(`${domid} ${reason}`));
    const [mine, theirs] = connect(dom0, guest);
    guest.events.listen(theirs, () => expect.unreachable());
    machine.crashDomain(guest.id, 'test');
    dom0.events.notify(mine);
    await machine.idle();
    expect(crashes).toEqual(['1 test']);
  });

  it('finds open ports as leaks', () => {
    const [mine, theirs] = connect(dom0, guest);
    expect(machine.leaks().map((leak) => [leak.domid, leak.kind, leak.count])).toEqual([
      [0, 'ports', 1],
      [1, 'ports', 1],
    ]);
    dom0.events.close(mine);
    guest.events.close(theirs);
    expect(machine.leaks()).toEqual([]);
  });

  it('builds a home in xenstore', async () => {
    expect(await guest.store.read('name')).toBe('guest');
    expect(await guest.store.read('domid')).toBe('1');
    await guest.store.write('data/answer', '42');
    expect(await dom0.store.read('/local/domain/1/data/answer')).toBe('42');
    expect(await dom0.store.getPermissions('/local/domain/1')).toEqual([
      { domid: 0, access: 'none' },
      { domid: 1, access: 'read' },
    ]);
    await expect(guest.store.write('device/vif', '')).rejects.toMatchObject({ code: 'EACCES' });
    machine.destroyDomain(guest.id);
    expect(await dom0.store.tryRead('/local/domain/1/name')).toBeUndefined();
  });
});

describe('machine under virtual time', () => {
  it('runs only when the scheduler runs', () => {
    const scheduler = new VirtualTimeScheduler();
    const machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024, scheduler, now: () => scheduler.now() });
    const dom0 = machine.createDomain();
    const guest = machine.createDomain();
    const [, theirs] = connect(dom0, guest);
    let events = 0;
    guest.events.listen(theirs, () => events++);
    expect(events).toBe(0);
    scheduler.flush();
    expect(events).toBe(1);
    expect(guest.scheduler.now()).toBe(scheduler.now());
    machine.shutdown();
  });

  it('rejects a bind to a domain that does not exist', () => {
    const machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    const dom0 = machine.createDomain();
    expect(dom0.events.bindInterdomain(domainId(7), 1 as EventChannelPort)).toBe('ESRCH');
    machine.shutdown();
  });
});
