import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { domainId } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { XenStoreClient } from './client';
import { dumpToFile, restoreFromFile } from './dump-file';
import { XenStoreServer } from './server';
import { SnapshotError } from './snapshot';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync('/tmp/xenstore-dump-');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('dump and restore', () => {
  it('keeps the tree, its order, permissions and generations', async () => {
    const path = join(directory, 'dump');
    const before = new XenStoreServer();
    before.introduceDomain(5);
    const client = new XenStoreClient(before.connect({ domid: 0 }));
    for (const name of ['b', 'a', 'c']) await client.write(`/o/${name}/x`, name);
    await client.write(
      '/bytes',
      Uint8Array.from({ length: 256 }, (_, index) => index),
    );
    await client.setPermissions('/o/a', [
      { domid: domainId(5), access: 'none' },
      { domid: domainId(9), access: 'both' },
    ]);
    await client.remove('/tool');
    await dumpToFile(before, path);
    expect(statSync(path).mode & 0o777).toBe(0o600);

    const after = new XenStoreServer();
    await restoreFromFile(after, path);
    expect(after.snapshot()).toEqual(before.snapshot());
    expect(after.isDomainIntroduced(5)).toBe(true);
    expect(after.statistics().nodes).toBe(before.statistics().nodes);
    expect(after.domainStatistics(5)).toMatchObject({ nodes: 1 });
    const again = new XenStoreClient(after.connect({ domid: 0 }));
    expect(await again.list('/o')).toEqual(['b', 'a', 'c']);
    expect(await again.readBytes('/bytes')).toEqual(Uint8Array.from({ length: 256 }, (_, index) => index));
    // The entry for the domain that did not exist still grants nothing.
    after.introduceDomain(9);
    const nine = new XenStoreClient(after.connect({ domid: 9 }));
    await expect(nine.read('/o/a')).rejects.toMatchObject({ code: 'EACCES' });
    await expect(restoreFromFile(after, path)).rejects.toThrow('before anybody connects');
  });

  const node = (path: string, more = {}) => ({
    path,
    value: '',
    permissions: ['n0'],
    generation: 1,
    ...more,
  });
  const dump = (...nodes: unknown[]) => ({
    format: 'netchannel2-xenstore',
    version: 1,
    generation: 1,
    introducedDomains: [],
    nodes,
  });

  it.each([
    ['no JSON', '{'],
    ['something else', JSON.stringify({ a: 1 })],
    ['another version', JSON.stringify({ ...dump(node('/')), version: 2 })],
    ['no root', JSON.stringify(dump())],
    ['a child before its parent', JSON.stringify(dump(node('/'), node('/a/b')))],
    ['a path twice', JSON.stringify(dump(node('/'), node('/a'), node('/a')))],
    ['an illegal path', JSON.stringify(dump(node('/'), node('/a.b')))],
    ['a relative path', JSON.stringify(dump(node('/'), node('a')))],
    ['no permissions', JSON.stringify(dump(node('/', { permissions: [] })))],
    ['nonsense permissions', JSON.stringify(dump(node('/', { permissions: ['q0'] })))],
    ['a value that is no byte string', JSON.stringify(dump(node('/', { value: '\u0100' })))],
    ['a negative generation', JSON.stringify(dump(node('/', { generation: -1 })))],
    ['an impossible domain', JSON.stringify({ ...dump(node('/')), introducedDomains: [-1] })],
  ])('refuses %s', async (_title, text) => {
    const path = join(directory, 'dump');
    writeFileSync(path, text);
    const server = new XenStoreServer();
    await expect(restoreFromFile(server, path)).rejects.toBeInstanceOf(SnapshotError);
    expect(server.statistics().nodes).toBe(3);
  });
});
