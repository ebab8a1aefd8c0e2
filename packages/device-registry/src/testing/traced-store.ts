import type { XenStore, XenStoreOperations } from '@netchannel2/xen';

/** Reports every write, those of a transaction once it is committed. */
export function tracedStore(store: XenStore, wrote: (path: string, value: string) => void): XenStore {
  const text = (value: string | Uint8Array) =>
    typeof value === 'string' ? value : new TextDecoder().decode(value);
  return {
    ...operations(store, (path, value) => wrote(path, text(value))),
    watch: (path) => store.watch(path),
    transaction: async (body, options) => {
      let writes: [string, string][] = [];
      const result = await store.transaction((transaction) => {
        writes = [];
        return body(operations(transaction, (path, value) => writes.push([path, text(value)])));
      }, options);
      for (const [path, value] of writes) wrote(path, value);
      return result;
    },
  };
}

function operations(
  inner: XenStoreOperations,
  wrote: (path: string, value: string | Uint8Array) => void,
): XenStoreOperations {
  return {
    read: (path) => inner.read(path),
    readBytes: (path) => inner.readBytes(path),
    tryRead: (path) => inner.tryRead(path),
    write: async (path, value) => {
      await inner.write(path, value);
      wrote(path, value);
    },
    makeDirectory: (path) => inner.makeDirectory(path),
    remove: (path) => inner.remove(path),
    list: (path) => inner.list(path),
    getPermissions: (path) => inner.getPermissions(path),
    setPermissions: (path, permissions) => inner.setPermissions(path, permissions),
  };
}
