import type { MessagePort } from 'node:worker_threads';
import type { GrantTableOptions } from '@netchannel2/grant-table';
import type { WasmMemory } from '../machine/webassembly';

/**
 * A domain that will run on another thread: post it there, with `transferList(handle)`, and give it to `joinMachine`.
 * The domain exists already; until somebody joins, its events wait.
 */
export interface DomainHandle {
  readonly memory: WasmMemory;
  readonly domid: number;
  readonly name: string;
  readonly grantTableVersion: 1 | 2;
  /** How this Xen's grant tables work, as on its command line. */
  readonly grantOptions: GrantTableOptions;
  /** The domain's connection to xenstore, where it does not go through its ring page. */
  readonly store: MessagePort | undefined;
  /** Tells the machine that the domain's thread let go of it. */
  readonly control: MessagePort;
}

/** What has to go into the transfer list of `postMessage`. */
export function transferList(handle: DomainHandle): MessagePort[] {
  return handle.store === undefined ? [handle.control] : [handle.store, handle.control];
}
