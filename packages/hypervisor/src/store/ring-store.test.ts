import { domainId, grantRef } from '@netchannel2/xen';
import { RING_ERROR, RING_PAGE, type XenStoreClient } from '@netchannel2/xenstore';
import { filter, firstValueFrom } from 'rxjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Block } from '../domains/domain-block';
import type { SimulatedDomain } from '../guest/simulated-domain';
import { Machine } from '../machine';
import type { InProcessStore } from './in-process-store';
import { type StoreStart, storeStart } from './store-page';

const HEADER = (type: number, length: number, request: number) => [
  ...[type, 0, 0, 0],
  ...[request, 0, 0, 0],
  ...[0, 0, 0, 0],
  ...[length, 0, 0, 0],
];
const TEXT = (text: string) => [...new TextEncoder().encode(text)];

describe('a guest that talks xenstore through its page', () => {
  let machine: Machine;
  let dom0: SimulatedDomain;
  let guest: SimulatedDomain;

  const start = (domain: SimulatedDomain): StoreStart => {
    const { hypervisor } = machine;
    const found = storeStart(hypervisor, hypervisor.domains.block(domain.id));
    if (found === undefined) throw new Error('no page');
    return found;
  };
  const bytes = (domain: SimulatedDomain, offset: number, count: number) => {
    const { address } = start(domain);
    return [...machine.hypervisor.memory.bytes.slice(address + offset, address + offset + count)];
  };
  const word = (domain: SimulatedDomain, offset: number) => (start(domain).address + offset) >>> 2;
  const load = (domain: SimulatedDomain, offset: number) =>
    Atomics.load(machine.hypervisor.memory.words, word(domain, offset)) >>> 0;
  const server = () => (machine.store as InProcessStore).server;

  beforeEach(() => {
    machine = Machine.boot({ memoryBytes: 64 * 1024 * 1024 });
    dom0 = machine.createDomain({ name: 'dom0' });
    guest = machine.createDomain({ name: 'guest' });
  });
  afterEach(() => machine.shutdown());

  it('leaves the very bytes of the protocol in it, in both directions', async () => {
    await guest.store.write('data/key', 'v');
    expect(await guest.store.read('data/key')).toBe('v');
    const write = [...HEADER(11, 10, 1), ...TEXT('data/key\0v')];
    const read = [...HEADER(2, 9, 2), ...TEXT('data/key\0')];
    expect(bytes(guest, RING_PAGE.requests, write.length + read.length)).toEqual([...write, ...read]);
    const written = [...HEADER(11, 3, 1), ...TEXT('OK\0')];
    const value = [...HEADER(2, 1, 2), ...TEXT('v')];
    expect(bytes(guest, RING_PAGE.responses, written.length + value.length)).toEqual([...written, ...value]);
    expect(load(guest, RING_PAGE.requestProducer)).toBe(write.length + read.length);
    expect(load(guest, RING_PAGE.requestConsumer)).toBe(write.length + read.length);
    expect(load(guest, RING_PAGE.responseConsumer)).toBe(written.length + value.length);
    expect(load(guest, RING_PAGE.serverFeatures)).toBe(15);
    expect(load(guest, RING_PAGE.connection)).toBe(0);
    expect(server().domainStatistics(guest.id).connections).toBe(1);
  });

  it('finds page and port as its builder left them: grant 1, an unbound port dom0 has bound', async () => {
    await guest.store.read('name');
    const { words } = machine.hypervisor.memory;
    const page = bytes(guest, 0, 2080);
    const mapped = dom0.foreign.map(guest.id, [grantRef(1)], 'readonly');
    if (typeof mapped === 'number') throw new Error(`status ${mapped}`);
    expect([...mapped.area.bytes.slice(mapped.area.base, mapped.area.base + 2080)]).toEqual(page);
    mapped.unmap();
    const block = machine.hypervisor.domains.block(guest.id);
    expect(words[block + Block.storePort]).toBe(1);
    expect(machine.leaks()).toEqual([]);
    expect(machine.accounting(guest.id)?.ports).toBe(0);
    expect(machine.accounting(dom0.id)?.ports).toBe(0);
    expect(guest.memory.freePages).toBeGreaterThan(2000);
  });

  it.each([1, 2] as const)('of either grant table version: %i', async (grantTableVersion) => {
    const other = machine.createDomain({ grantTableVersion, kind: 'hvm' });
    expect(await other.store.read('domid')).toBe(String(other.id));
    const mapped = dom0.foreign.map(other.id, [grantRef(1)], 'readwrite');
    if (typeof mapped === 'number') throw new Error(`status ${mapped}`);
    expect(mapped.area.base).toBe(start(other).address);
    mapped.unmap();
  });

  it('hears of what others write, and messages longer than the ring pass', async () => {
    await guest.store.read('name');
    const heard = firstValueFrom(guest.store.watch('data').pipe(filter(({ path }) => path === 'data/long')));
    await dom0.store.write(`/local/domain/${guest.id}/data/long`, 'y'.repeat(4000));
    await heard;
    expect(await guest.store.read('data/long')).toBe('y'.repeat(4000));
  });

  it('is not privileged, and bound by quotas', async () => {
    await expect(guest.store.write('/tool/x', '1')).rejects.toMatchObject({ code: 'EACCES' });
    const request = (guest.store as XenStoreClient).request('INTRODUCE', '9', '1', '1');
    await expect(request).rejects.toMatchObject({ code: 'EACCES' });
    const fill = async () => {
      for (let index = 0; index <= 1000; index++) await guest.store.write(`data/${index}`, '');
    };
    await expect(fill()).rejects.toMatchObject({ code: 'ENOSPC' });
  });

  it('that claims more bytes than the ring holds is left alone; the others are served', async () => {
    const other = machine.createDomain();
    await guest.store.read('name');
    Atomics.add(machine.hypervisor.memory.words, word(guest, RING_PAGE.requestProducer), 1025);
    guest.run(() => guest.events.notify(start(guest).port as never));
    await other.store.write('data/x', '1');
    await machine.idle();
    expect(load(guest, RING_PAGE.error)).toBe(RING_ERROR.index);
    expect(server().domainStatistics(guest.id).connections).toBe(0);
    expect(await other.store.read('data/x')).toBe('1');
  });

  it('starts anew when it is introduced again over the wire', async () => {
    const events: string[] = [];
    guest.store.watch('data').subscribe({ next: ({ path }) => events.push(path), error: () => {} });
    await guest.store.read('name');
    const { guestFrame, port } = start(guest);
    const toolstack = dom0.store as XenStoreClient;
    await toolstack.request('INTRODUCE', guest.id, guestFrame, port);
    expect(server().domainStatistics(guest.id)).toMatchObject({ watches: 0, connections: 1 });
    expect(load(guest, RING_PAGE.requestProducer)).toBe(0);
    await expect(toolstack.request('INTRODUCE', guest.id, 0x7fffff, port)).rejects.toMatchObject({
      code: 'EINVAL',
    });
    expect(machine.leaks()).toEqual([]);
  });

  it('gives everything back when it is destroyed, in the middle of a conversation too', async () => {
    const before = machine.freeFrames;
    for (let round = 0; round < 20; round++) {
      const other = machine.createDomain();
      other.store.watch('data').subscribe({ error: () => {} });
      const pending = other.store.write('data/x', 'y'.repeat(1500)).catch((error: Error) => error.name);
      if (round % 2 === 0) await other.store.read('name');
      machine.destroyDomain(other.id);
      expect([undefined, 'XenStoreError']).toContain(await pending);
    }
    expect(machine.freeFrames).toBe(before);
    expect(machine.leaks()).toEqual([]);
    // Homes that were still being built are removed once they are complete, and their domains forgotten with them.
    const atRest = () => server().statistics().domains === 2;
    while (!atRest()) await dom0.store.read('name');
    expect(await dom0.store.list('/local/domain')).toEqual(['0', String(guest.id)]);
    expect(server().statistics()).toMatchObject({ watches: 0, transactions: 0, domains: 2 });
  });

  it('without the ring, where the machine is told so', async () => {
    const plain = Machine.boot({ memoryBytes: 64 * 1024 * 1024, guestStore: 'in-process' });
    plain.createDomain({ name: 'dom0' });
    const domain = plain.createDomain();
    expect(storeStart(plain.hypervisor, plain.hypervisor.domains.block(domain.id))).toBeUndefined();
    await domain.store.write('data/x', '1');
    expect(await plain.domain(0)?.store.read(`/local/domain/${domainId(domain.id)}/data/x`)).toBe('1');
    plain.shutdown();
  });
});
