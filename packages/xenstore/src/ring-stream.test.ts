import type { MemoryArea } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { XenStoreClient } from './client';
import { loadWord, RING_ERROR, RING_PAGE, storeWord } from './ring-layout';
import { RingClientEnd, RingServerEnd } from './ring-stream';
import { XenStoreServer } from './server';
import { settle } from './testing/raw-client';

/** A page inside a larger, dirty memory. */
function sharedPage(): MemoryArea & { byteLength: number } {
  const buffer = new SharedArrayBuffer(3 * 4096);
  const bytes = new Uint8Array(buffer).fill(0xa5);
  bytes.fill(0, 4096, 8192);
  return { bytes, words: new Int32Array(buffer), base: 4096, byteLength: 4096 };
}

/** A domain that talks through its page, with event channels made of microtasks. */
function ringDomain(server: XenStoreServer, domid: number, features?: number) {
  const page = sharedPage();
  const ends: { guest?: RingClientEnd } = {};
  const daemon: RingServerEnd = new RingServerEnd(
    page,
    () => queueMicrotask(() => ends.guest?.signal()),
    features,
  );
  server.introduceDomain(domid, daemon);
  const open = (options: { readonly reconnect?: boolean } = {}) => {
    ends.guest = new RingClientEnd(page, () => queueMicrotask(() => daemon.signal()), options);
    return new XenStoreClient(ends.guest);
  };
  return { page, daemon, open, ends };
}

async function prepared() {
  const server = new XenStoreServer();
  const dom0 = new XenStoreClient(server.connect({ domid: 0 }));
  const domain = ringDomain(server, 5);
  await dom0.request('MKDIR', '/local/domain/5/data');
  await dom0.request('SET_PERMS', '/local/domain/5', 'n0', 'r5');
  await dom0.request('SET_PERMS', '/local/domain/5/data', 'n5');
  return { server, dom0, domain };
}

describe('a domain that talks through its ring page', () => {
  it('reads, writes, watches and runs transactions', async () => {
    const { dom0, domain, server } = await prepared();
    const guest = domain.open();
    const seen: string[] = [];
    const subscription = guest.watch('data').subscribe(({ path }) => seen.push(path));
    await guest.write('data/k', 'v');
    expect(await dom0.read('/local/domain/5/data/k')).toBe('v');
    await dom0.write('/local/domain/5/data/q', 'w');
    await guest.transaction(async (transaction) =>
      transaction.write('data/t', await transaction.read('data/q')),
    );
    expect(await guest.list('data')).toEqual(['k', 'q', 't']);
    await settle();
    expect(seen).toEqual(['data', 'data/k', 'data/q', 'data/t']);
    subscription.unsubscribe();
    await settle();
    expect(server.domainStatistics(5)).toMatchObject({ watches: 0, transactions: 0, connections: 1 });
    expect(loadWord(domain.page, RING_PAGE.serverFeatures)).toBe(15);
  });

  it('never touches memory outside its page', async () => {
    const { domain } = await prepared();
    const guest = domain.open();
    for (let round = 0; round < 20; round++) await guest.write('data/k', 'x'.repeat(1900));
    const { bytes } = domain.page;
    expect(bytes.subarray(0, 4096).every((byte) => byte === 0xa5)).toBe(true);
    expect(bytes.subarray(8192).every((byte) => byte === 0xa5)).toBe(true);
    expect(bytes.subarray(4096 + 2080, 8192).every((byte) => byte === 0)).toBe(true);
  });

  it.each([
    ['row 77: request counters 1025 apart', RING_PAGE.requestProducer, 1025],
    ['request counters apart the other way', RING_PAGE.requestProducer, -1],
    ['response counters 1025 apart', RING_PAGE.responseConsumer, -1025],
  ])('%s: the domain is ignored, others are served', async (_title, offset, value) => {
    const { dom0, domain, server } = await prepared();
    storeWord(domain.page, offset, value);
    if (offset === RING_PAGE.responseConsumer) {
      // Only an answer makes the daemon look at the response ring.
      domain.page.bytes.set([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 47, 0], 4096);
      storeWord(domain.page, RING_PAGE.requestProducer, 18);
    }
    domain.daemon.signal();
    await settle();
    expect(loadWord(domain.page, RING_PAGE.error)).toBe(RING_ERROR.index);
    expect(server.domainStatistics(5).connections).toBe(0);
    expect(await dom0.read('/tool')).toBe('');
  });

  it('row 78: counters that wrap', async () => {
    const { domain } = await prepared();
    const guest = domain.open();
    await settle();
    for (const offset of [
      RING_PAGE.requestConsumer,
      RING_PAGE.requestProducer,
      RING_PAGE.responseConsumer,
      RING_PAGE.responseProducer,
    ]) {
      storeWord(domain.page, offset, 0xfffffff0);
    }
    await guest.write('data/k', '1234567890123456');
    expect(loadWord(domain.page, RING_PAGE.requestProducer)).toBe(16 + 7 + 16 - 16);
    expect(await guest.read('data/k')).toBe('1234567890123456');
  });

  it('row 79: messages larger than the ring', async () => {
    const { dom0, domain } = await prepared();
    const guest = domain.open();
    await dom0.write('/local/domain/5/data/long', 'y'.repeat(4000));
    expect(await guest.read('data/long')).toBe('y'.repeat(4000));
    await dom0.request('SET_QUOTA', '5', 'node-size', '0');
    await guest.write('data/k', 'x'.repeat(3000));
    expect(await dom0.read('/local/domain/5/data/k')).toBe('x'.repeat(3000));
  });

  it('a malformed message stops the domain and is reported in its page', async () => {
    const { domain, server } = await prepared();
    domain.page.bytes.set([2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 16, 0, 0], 4096);
    storeWord(domain.page, RING_PAGE.requestProducer, 16);
    domain.daemon.signal();
    await settle();
    expect(loadWord(domain.page, RING_PAGE.error)).toBe(RING_ERROR.protocol);
    expect(server.domainStatistics(5).connections).toBe(0);
  });

  it('a reconnection drops watches, transactions and half a message', async () => {
    const { domain, server } = await prepared();
    const first = domain.open();
    first.watch('data').subscribe();
    await first.request('TRANSACTION_START', '');
    await settle();
    expect(server.domainStatistics(5)).toMatchObject({ watches: 1, transactions: 1 });
    storeWord(domain.page, RING_PAGE.requestProducer, loadWord(domain.page, RING_PAGE.requestProducer) + 7);
    domain.daemon.signal();

    const second = domain.open({ reconnect: true });
    expect(await second.list('data')).toEqual([]);
    expect(server.domainStatistics(5)).toMatchObject({ watches: 0, transactions: 0, connections: 1 });
    expect(loadWord(domain.page, RING_PAGE.connection)).toBe(0);
  });

  it('introduced again, it starts with empty rings', async () => {
    const { dom0, domain, server } = await prepared();
    const guest = domain.open();
    guest.watch('data').subscribe();
    await settle();
    await dom0.request('INTRODUCE', '5', '1', '1');
    expect(server.domainStatistics(5)).toMatchObject({ watches: 0, connections: 1 });
  });

  it('a page that was freed ends the connection', async () => {
    const { domain, server } = await prepared();
    domain.page.byteLength = 0;
    domain.daemon.signal();
    await settle();
    expect(server.domainStatistics(5).connections).toBe(0);
  });
});
