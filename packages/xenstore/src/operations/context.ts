/**
 * What the handler of a request works with.
 *
 * @packageDocumentation
 */
import type { Connection } from '../connection';
import type { DomainTable } from '../domains';
import type { NodeTree, StoreView } from '../node-tree';
import type { PermissionList } from '../permissions';
import type { QuotaTable } from '../quotas';
import type { Watches } from '../watches';

/** The daemon as its operations see it. */
export interface ServerState {
  readonly tree: NodeTree;
  readonly watches: Watches;
  readonly domains: DomainTable;
  readonly quotas: QuotaTable;
  domainExists(domid: number): boolean;
  /** INTRODUCE; the ring's frame and port are given when asked for over the wire. */
  introduceDomain(domid: number, ring?: { readonly frame: number; readonly port: number }): void;
  releaseDomain(domid: number): void;
  resumeDomain(domid: number): void;
  /** Drops every watch and transaction of a connection. */
  resetConnection(connection: Connection): void;
  /** A node changed: tell the watches. */
  readonly changed: (path: string, exact: boolean, readable: readonly PermissionList[]) => void;
  print(text: string): void;
  statistics(): Readonly<Record<string, number>>;
}

export interface Request {
  readonly state: ServerState;
  readonly connection: Connection;
  /** The transaction's overlay, or the tree itself. */
  readonly view: StoreView;
  readonly transactionId: number;
  readonly payload: string;
}

export interface Operation {
  /** Answers the payload of the reply, or throws a `Refusal`. */
  readonly serve: (request: Request) => string;
  /** Runs when the reply is queued. */
  readonly afterReply?: (request: Request) => void;
  /** Only for privileged callers; asked before the transaction id. */
  readonly privileged?: boolean;
  /** The transaction id does not matter. */
  readonly ignoresTransaction?: boolean;
}

/** The reply of operations that have nothing to say. */
export const OK = 'OK\0';
