/**
 * Snapshots in files.
 *
 * @packageDocumentation
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { XenStoreServer } from './server';
import { SnapshotError } from './snapshot';

/** Writes the store to a file, mode 0600. A file that is there is replaced at once, or stays as it is. */
export async function dumpToFile(server: XenStoreServer, path: string): Promise<void> {
  const draft = `${path}.${process.pid}.new`;
  try {
    await writeFile(draft, `${JSON.stringify(server.snapshot())}\n`, { mode: 0o600 });
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** Puts a dumped store in place of the server's. Throws `SnapshotError` when the file holds none. */
export async function restoreFromFile(server: XenStoreServer, path: string): Promise<void> {
  const text = await readFile(path, 'utf8');
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    throw new SnapshotError(`"${path}" is no dump of a xenstore: it is not JSON.`);
  }
  server.restore(data);
}
