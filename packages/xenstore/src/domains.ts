/**
 * What the daemon knows of each domain.
 *
 * @packageDocumentation
 */

export interface DomainRecord {
  readonly domid: number;
  /** Between INTRODUCE and RELEASE or death. */
  introduced: boolean;
  /** The domain this one also acts as (SET_TARGET). */
  target: number | undefined;
  /** Reported as shut down; cleared by RESUME. */
  shutdown: boolean;
  /** Feature bits offered to the domain (spec §10). */
  features: number;
  /** Open connections of the domain. */
  connections: number;
  /** Watches of all its connections. */
  watches: number;
  /** Open transactions of all its connections. */
  transactions: number;
}

/** `server_features` bits of the ring page (`public/io/xs_wire.h`). */
export const FEATURE_RECONNECTION = 1;
export const FEATURE_ERROR = 2;
export const FEATURE_WATCH_DEPTH = 4;
export const FEATURE_ANY_DOMAIN = 8;
/** Everything implemented for domains that talk through a ring page. */
export const ALL_FEATURES = FEATURE_RECONNECTION | FEATURE_ERROR | FEATURE_WATCH_DEPTH | FEATURE_ANY_DOMAIN;
/** What is offered on sockets, where there is no page to reconnect. */
export const SOCKET_FEATURES = FEATURE_ERROR | FEATURE_WATCH_DEPTH | FEATURE_ANY_DOMAIN;

export class DomainTable {
  readonly #records = new Map<number, DomainRecord>();

  constructor() {
    this.obtain(0).introduced = true;
  }

  get(domid: number): DomainRecord | undefined {
    return this.#records.get(domid);
  }

  /** The record of a domain, made where there is none. */
  obtain(domid: number): DomainRecord {
    let record = this.#records.get(domid);
    if (record === undefined) {
      record = {
        domid,
        introduced: false,
        target: undefined,
        shutdown: false,
        features: ALL_FEATURES,
        connections: 0,
        watches: 0,
        transactions: 0,
      };
      this.#records.set(domid, record);
    }
    return record;
  }

  introduced(domid: number): boolean {
    return this.#records.get(domid)?.introduced === true;
  }

  /** Forgets a domain, and that others act as it. */
  forget(domid: number): void {
    this.#records.delete(domid);
    for (const record of this.#records.values()) {
      if (record.target === domid) record.target = undefined;
    }
  }

  /** Drops a record that says nothing any more. */
  tidy(record: DomainRecord): void {
    const idle = record.connections === 0 && !record.introduced && record.features === ALL_FEATURES;
    if (idle && this.#records.get(record.domid) === record) this.#records.delete(record.domid);
  }

  /** Ids of the introduced domains, dom0 among them. */
  introducedDomains(): number[] {
    return [...this.#records.values()].filter((record) => record.introduced).map((record) => record.domid);
  }
}
