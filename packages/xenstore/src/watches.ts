/**
 * All watches of the daemon, and who is told of a change (spec §6).
 *
 * @packageDocumentation
 */
import { mayRead } from './node-operations';
import { isSpecial } from './paths';
import type { Identity, PermissionList } from './permissions';
import { WatchTrie } from './watch-trie';
import { PAYLOAD_MAX } from './wire';

/** Who registered a watch. */
export interface Watcher {
  readonly identity: Identity;
  /** Queues an event, given its payload. */
  deliver(payload: string): void;
}

export interface Watch {
  readonly watcher: Watcher;
  /** Absolute, or special. */
  readonly path: string;
  readonly token: string;
  readonly depth: number | undefined;
  /** What to cut from the front of event paths: the caller's base where the watch is relative. */
  readonly relativeTo: string | undefined;
}

/** Events of the system that have a path of their own. */
export type SpecialEvent = '@introduceDomain' | '@releaseDomain';

export class Watches {
  readonly #trie = new WatchTrie<Watch>();
  readonly #special = new Map<string, Set<Watch>>();
  #specialCount = 0;

  get size(): number {
    return this.#trie.size + this.#specialCount;
  }

  add(watch: Watch): void {
    if (!isSpecial(watch.path)) {
      this.#trie.add(watch);
      return;
    }
    const same = this.#special.get(watch.path);
    if (same === undefined) this.#special.set(watch.path, new Set([watch]));
    else same.add(watch);
    this.#specialCount += 1;
  }

  delete(watch: Watch): void {
    if (!isSpecial(watch.path)) {
      this.#trie.delete(watch);
      return;
    }
    const same = this.#special.get(watch.path);
    if (same?.delete(watch) !== true) return;
    this.#specialCount -= 1;
    if (same.size === 0) this.#special.delete(watch.path);
  }

  /** A node changed. */
  fire(path: string, exact: boolean, readable: readonly PermissionList[]): void {
    if (this.#trie.size === 0 || isSpecial(path)) return;
    const visit = (watch: Watch): void => {
      const { identity } = watch.watcher;
      if (identity.privileged || mayRead(identity, readable)) send(watch, path);
    };
    if (exact) this.#trie.exactly(path, visit);
    else this.#trie.matching(path, visit);
  }

  /** A domain appeared, disappeared or shut down. Watches with a depth learn which, the others only that one did. */
  fireSpecial(event: SpecialEvent, domid: number, permissions: PermissionList | undefined): void {
    const readable = permissions === undefined ? [] : [permissions];
    const single = `${event}/${domid}`;
    for (const path of [event, single]) {
      for (const watch of this.#special.get(path) ?? []) {
        if (!mayRead(watch.watcher.identity, readable)) continue;
        send(watch, watch.depth === undefined || watch.depth === 0 ? path : single);
      }
    }
  }
}

/** The payload of an event for a watch. */
export function eventPayload(watch: Watch, path: string): string {
  const { relativeTo, token } = watch;
  const shown = relativeTo === undefined ? path : path.slice(relativeTo.length + 1);
  return `${shown}\0${token}\0`;
}

function send(watch: Watch, path: string): void {
  const payload = eventPayload(watch, path);
  if (payload.length <= PAYLOAD_MAX) watch.watcher.deliver(payload);
}
