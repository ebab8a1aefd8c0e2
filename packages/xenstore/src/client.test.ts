import { domainId, XenStoreError } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { XenStoreClient } from './client';
import { XenStoreServer } from './server';

/** Lets everything that is due in microtasks happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}

function setUp() {
  const server = new XenStoreServer();
  const connect = (domid: number) => new XenStoreClient(server.connect({ domid }));
  return { server, connect, dom0: connect(0) };
}

describe('XenStoreClient over the in-process transport', () => {
  it('reads what it wrote', async () => {
    const { dom0 } = setUp();
    await dom0.write('/a/b', 'grüße');
    expect(await dom0.read('/a/b')).toBe('grüße');
    expect(await dom0.list('/a')).toEqual(['b']);
    await dom0.write('/a/bytes', Uint8Array.of(0, 255));
    expect(await dom0.readBytes('/a/bytes')).toEqual(Uint8Array.of(0, 255));
  });

  it('answers undefined or an error for what is missing', async () => {
    const { dom0 } = setUp();
    expect(await dom0.tryRead('/none')).toBeUndefined();
    await expect(dom0.read('/none')).rejects.toMatchObject({
      code: 'ENOENT',
      operation: 'READ',
      path: '/none',
    });
    await expect(dom0.write('/bad.path', '')).rejects.toBeInstanceOf(XenStoreError);
    await expect(dom0.write('/a', 'x'.repeat(5000))).rejects.toMatchObject({ code: 'E2BIG' });
    await expect(dom0.read('/a\0b')).rejects.toMatchObject({ code: 'EINVAL' });
  });

  it('reads directories that do not fit into one message', async () => {
    const { dom0 } = setUp();
    const names = Array.from({ length: 1000 }, (_, index) => `child-with-a-long-name-${index}`);
    await dom0.transaction(async (transaction) => {
      for (const name of names) await transaction.write(`/many/${name}`, '');
    });
    expect(await dom0.list('/many')).toEqual(names);
  });

  it('gets and sets permissions', async () => {
    const { dom0, server } = setUp();
    server.introduceDomain(5);
    await dom0.makeDirectory('/p');
    const permissions = [
      { domid: domainId(5), access: 'none' },
      { domid: domainId(6), access: 'read' },
    ] as const;
    await dom0.setPermissions('/p', permissions);
    expect(await dom0.getPermissions('/p')).toEqual(permissions);
  });

  it('watches until it is unsubscribed, and leaves nothing behind', async () => {
    const { dom0, server, connect } = setUp();
    const other = connect(0);
    const seen: string[] = [];
    const subscription = dom0.watch('/w').subscribe(({ path }) => seen.push(path));
    await settle();
    await other.write('/w/x', '1');
    await settle();
    expect(seen).toEqual(['/w', '/w/x']);
    subscription.unsubscribe();
    await other.write('/w/y', '1');
    await settle();
    expect(seen).toHaveLength(2);
    expect(server.statistics().watches).toBe(0);
    dom0.close();
    other.close();
    await settle();
    expect(server.statistics()).toMatchObject({
      watches: 0,
      connections: 0,
      transactions: 0,
      queuedBytes: 0,
    });
  });

  it('reports a refused watch and keeps working', async () => {
    const { dom0 } = setUp();
    const errors: unknown[] = [];
    dom0.watch('/bad.path').subscribe({ error: (error: unknown) => errors.push(error) });
    await settle();
    expect(errors).toMatchObject([{ code: 'EINVAL' }]);
    await dom0.write('/a', '1');
    expect(dom0.watchCount).toBe(0);
  });

  it('runs a transaction again after a conflict', async () => {
    const { dom0, connect } = setUp();
    const other = connect(0);
    await dom0.write('/k', '1');
    let runs = 0;
    await dom0.transaction(async (transaction) => {
      runs += 1;
      const value = await transaction.read('/k');
      if (runs === 1) await other.write('/k', '10');
      await transaction.write('/k', String(Number(value) + 1));
    });
    expect(runs).toBe(2);
    expect(await dom0.read('/k')).toBe('11');
  });

  it('gives up after the attempts asked for', async () => {
    const { dom0, connect } = setUp();
    const other = connect(0);
    const run = dom0.transaction(
      async (transaction) => {
        await transaction.tryRead('/k');
        await other.write('/k', '1');
      },
      { attempts: 3 },
    );
    await expect(run).rejects.toMatchObject({ code: 'EAGAIN' });
  });

  it('aborts the transaction of a body that throws', async () => {
    const { dom0, server } = setUp();
    const run = dom0.transaction(async (transaction) => {
      await transaction.write('/k', '1');
      throw new Error('no');
    });
    await expect(run).rejects.toThrow('no');
    expect(await dom0.tryRead('/k')).toBeUndefined();
    expect(server.statistics().transactions).toBe(0);
  });

  it('rejects what is pending when it is closed, and completes its watches', async () => {
    const { dom0, server } = setUp();
    let completed = false;
    dom0.watch('/a').subscribe({ complete: () => (completed = true) });
    const pending = dom0.read('/');
    dom0.close();
    await expect(pending).rejects.toMatchObject({ code: 'ENOTCONN' });
    await expect(dom0.read('/')).rejects.toMatchObject({ code: 'ENOTCONN' });
    expect(completed).toBe(true);
    await settle();
    expect(server.statistics()).toMatchObject({ watches: 0, connections: 0 });
  });

  it('loses connection, nodes and watches when its domain is released', async () => {
    const { dom0, server, connect } = setUp();
    server.introduceDomain(5);
    await dom0.write('/local/domain/5/data', '');
    await dom0.setPermissions('/local/domain/5/data', [{ domid: domainId(5), access: 'none' }]);
    const guest = connect(5);
    await guest.write('data/x', '1');
    const errors: unknown[] = [];
    guest.watch('data').subscribe({ error: (error: unknown) => errors.push(error) });
    const released: string[] = [];
    dom0.watch('@releaseDomain', { depth: 1 }).subscribe(({ path }) => released.push(path));
    await settle();
    server.releaseDomain(5);
    await settle();
    expect(errors).toMatchObject([{ code: 'EIO' }]);
    expect(await dom0.tryRead('/local/domain/5/data')).toBeUndefined();
    expect(await dom0.tryRead('/local/domain/5')).toBe('');
    expect(released).toEqual(['@releaseDomain', '@releaseDomain/5']);
    expect(server.domainStatistics(5)).toEqual({ nodes: 0, watches: 0, transactions: 0, connections: 0 });
  });
});
