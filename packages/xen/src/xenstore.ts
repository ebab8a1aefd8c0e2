/**
 * xenstore as a domain's drivers and the toolstack use it (spec `xenstore.md`).
 *
 * @packageDocumentation
 */
import type { Observable } from 'rxjs';
import type { Errno } from './errno';
import type { DomainId } from './ids';

/** A request xenstore refused. `code` is the errno name of the wire. */
export class XenStoreError extends Error {
  override readonly name = 'XenStoreError';
  constructor(
    readonly code: Errno,
    readonly operation: string,
    readonly path: string,
  ) {
    super(`xenstore ${operation} ${path}: ${code}`);
  }
}

/** One entry of a node's permission list; the first names the owner, its access is that of everybody unlisted. */
export interface XenStorePermission {
  readonly domid: DomainId;
  readonly access: 'none' | 'read' | 'write' | 'both';
}

export interface XenStoreEvent {
  /** What changed: the watched path or one below it, relative if the watch was. */
  readonly path: string;
}

/**
 * Operations on nodes. Paths are absolute, or relative to the caller's own `/local/domain/<id>`. Every method rejects
 * with {@link XenStoreError}. Text is UTF-8.
 */
export interface XenStoreOperations {
  read(path: string): Promise<string>;
  readBytes(path: string): Promise<Uint8Array>;
  /** The value, or `undefined` where the node is missing or may not be read. */
  tryRead(path: string): Promise<string | undefined>;
  write(path: string, value: string | Uint8Array): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Names of the children in creation order. */
  list(path: string): Promise<string[]>;
  getPermissions(path: string): Promise<XenStorePermission[]>;
  setPermissions(path: string, permissions: readonly XenStorePermission[]): Promise<void>;
}

export interface XenStore extends XenStoreOperations {
  /**
   * Fires once at once, then for each change at or below `path`; cold: subscribing registers the watch, unsubscribing
   * removes it. Duplicate and spurious events are normal; act on the current value.
   */
  watch(path: string): Observable<XenStoreEvent>;
  /**
   * Runs `body` in a transaction and commits; on `EAGAIN` runs it again, up to `attempts` times (default 32). When
   * `body` throws the transaction is aborted and the error passed on.
   */
  transaction<Result>(
    body: (transaction: XenStoreOperations) => Promise<Result>,
    options?: { readonly attempts?: number },
  ): Promise<Result>;
}
