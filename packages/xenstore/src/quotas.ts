/**
 * Limits on unprivileged domains (spec §9). 0 switches a limit off.
 *
 * @packageDocumentation
 */

const MEBIBYTE = 1024 * 1024;

/** Quotas by their names on the wire, with the values of a fresh daemon. */
export const DEFAULT_QUOTAS = {
  /** Nodes owned. */
  nodes: 1000,
  /** Watches registered. */
  watches: 128,
  /** Transactions open at once. */
  transactions: 10,
  /** Nodes touched in one transaction. */
  'transaction-nodes': 1024,
  /** Entries in a node's permission list. */
  'node-permissions': 5,
  /** Bytes of a node: value, child names, 8 for each permission and 24 for itself. */
  'node-size': 2048,
  /** Bytes of a path below `/local/domain/<n>/`. */
  'path-max': 2048,
  /** Messages waiting to be read by the domain before its requests are left unread. */
  outstanding: 20,
  /** Bytes waiting to be read by the domain before further events are dropped. */
  memory: 2.5 * MEBIBYTE,
  /** As `memory`, where a warning is logged. */
  'memory-soft': 2 * MEBIBYTE,
};

export type QuotaName = keyof typeof DEFAULT_QUOTAS;
export type Quotas = Readonly<Record<QuotaName, number>>;

export const QUOTA_NAMES = Object.keys(DEFAULT_QUOTAS) as readonly QuotaName[];

export function isQuotaName(name: string): name is QuotaName {
  return Object.hasOwn(DEFAULT_QUOTAS, name);
}

/** The daemon's quotas, and the exceptions made for single domains. */
export class QuotaTable {
  #defaults: Quotas;
  readonly #exceptions = new Map<number, Quotas>();

  constructor(defaults: Partial<Quotas> = {}) {
    this.#defaults = { ...DEFAULT_QUOTAS, ...defaults };
  }

  /** What holds for a domain; without one, for every domain that has no exception. */
  get(domid?: number): Quotas {
    return (domid === undefined ? undefined : this.#exceptions.get(domid)) ?? this.#defaults;
  }

  set(name: QuotaName, value: number, domid?: number): void {
    if (domid === undefined) this.#defaults = { ...this.#defaults, [name]: value };
    else this.#exceptions.set(domid, { ...this.get(domid), [name]: value });
  }

  /** Drops the exceptions of a domain that has gone. */
  forget(domid: number): void {
    this.#exceptions.delete(domid);
  }
}

/** Whether one more would exceed the limit: exactly the limit is allowed. */
export function exceeds(count: number, limit: number): boolean {
  return limit > 0 && count > limit;
}
