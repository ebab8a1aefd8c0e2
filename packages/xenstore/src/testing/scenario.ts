/**
 * Rows of the specification's vector table as steps.
 *
 * @packageDocumentation
 */
import { expect } from 'vitest';
import { XenStoreServer, type XenStoreServerOptions } from '../server';
import type { MessageName } from '../wire';
import { RawClient } from './raw-client';

export type Step = (world: World) => Promise<void> | void;

/** A fresh store with domain 5, and clients by name: `d5` is a connection of domain 5, `d5b` another one. */
export class World {
  readonly server: XenStoreServer;
  readonly #clients = new Map<string, RawClient>();

  constructor(options: XenStoreServerOptions = {}) {
    this.server = new XenStoreServer(options);
    this.server.introduceDomain(5);
  }

  async prepare(): Promise<void> {
    const setup = this.client('setup0');
    await setup.ask('MKDIR', '/local/domain/5/data\0');
    await setup.ask('SET_PERMS', '/local/domain/5\0n0\0r5\0');
    await setup.ask('SET_PERMS', '/local/domain/5/data\0n5\0');
    setup.duplex.close();
  }

  client(name: string): RawClient {
    let client = this.#clients.get(name);
    if (client === undefined) {
      const domid = Number(name.replace(/[^0-9]/g, ''));
      client = new RawClient(this.server.connect({ domid }));
      this.#clients.set(name, client);
    }
    return client;
  }

  forget(name: string): void {
    this.#clients.delete(name);
  }
}

/** Strings with a NUL each. */
export const z = (...strings: readonly string[]): string => strings.map((each) => `${each}\0`).join('');
/** A path and a value. */
export const pair = (path: string, value: string): string => `${path}\0${value}`;
export const OK = 'OK\0';

/** A request and its outcome; `!ENOENT` for an error, a pattern where only the form is known. */
export function ask(
  who: string,
  operation: MessageName | number,
  payload: string,
  expected: string | RegExp,
  transactionId = 0,
): Step {
  return async (world) => {
    const answer = await world.client(who).ask(operation, payload, transactionId);
    if (typeof expected === 'string') expect(answer).toBe(expected);
    else expect(answer).toMatch(expected);
  };
}

export const write = (who: string, path: string, value: string, expected = OK, transaction = 0): Step =>
  ask(who, 'WRITE', pair(path, value), expected, transaction);
export const read = (who: string, path: string, expected: string | RegExp, transaction = 0): Step =>
  ask(who, 'READ', z(path), expected, transaction);
export const watch = (who: string, path: string, token: string): Step =>
  ask(who, 'WATCH', z(path, token), OK);
export const start = (who: string, id = 1): Step => ask(who, 'TRANSACTION_START', '\0', z(String(id)));
export const commit = (who: string, expected = OK, id = 1): Step =>
  ask(who, 'TRANSACTION_END', z('T'), expected, id);

/** The events since the last such step, in order. */
export function events(who: string, ...expected: readonly string[]): Step {
  return async (world) => expect(await world.client(who).takeEvents()).toEqual(expected);
}

/** Bytes in hexadecimal. */
export function hex(text: string): number[] {
  return text
    .trim()
    .split(/\s+/)
    .map((each) => Number.parseInt(each, 16));
}
