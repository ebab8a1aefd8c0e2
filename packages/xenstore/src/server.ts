/**
 * The xenstore daemon's core: connections in, replies and events out, one request at a time.
 *
 * @packageDocumentation
 */
import createDebug from 'debug';
import { type ByteDuplex, inProcessPair } from './byte-duplex';
import { Connection, type ConnectionOwner } from './connection';
import { DomainTable } from './domains';
import { removeTree } from './node-operations';
import { DirectView, NodeTree } from './node-tree';
import type { Request, ServerState } from './operations/context';
import { operationFor } from './operations/table';
import { ownedBy, type PermissionList, withoutDomain } from './permissions';
import { type Quotas, QuotaTable } from './quotas';
import { Refusal, refuse } from './refusal';
import { checkSnapshot, restoreSnapshot, type StoreSnapshot, takeSnapshot } from './snapshot';
import { type SpecialEvent, Watches } from './watches';
import { MESSAGE_TYPE, type Message, PAYLOAD_MAX } from './wire';

const debug = createDebug('netchannel2:xenstore');

/** Requests served before other work of the process gets its turn. */
const REQUESTS_PER_TURN = 1024;

export interface XenStoreServerOptions {
  /** Limits that differ from `DEFAULT_QUOTAS`. */
  readonly quotas?: Partial<Quotas>;
  /**
   * Whether a domain exists, as the hypervisor knows it; permissions for others are void. Without it a domain exists
   * while it is introduced or connected.
   */
  readonly domainExists?: (domid: number) => boolean;
  /** Connects the ring page of a domain that INTRODUCE named over the wire; EINVAL where it answers `undefined`. */
  readonly connectRing?: (domid: number, frame: number, port: number) => ByteDuplex | undefined;
  /** A domain was released over the wire or by `releaseDomain`, and what it had here is gone. */
  readonly domainReleased?: (domid: number) => void;
  /** Milliseconds that never go back or jump, to tell how long events have waited. Default `performance.now`. */
  readonly now?: () => number;
  /** Receives what CONTROL `print` says. Default: the debug log. */
  readonly print?: (text: string) => void;
}

/** On whose behalf a connection speaks. */
export interface XenStoreCaller {
  readonly domid: number;
  /** Privileged callers pass every permission check and have no quotas. Default: dom0 is. */
  readonly privileged?: boolean;
}

/** Counts of what the server holds and did. After a clean teardown the first four are those of a fresh server. */
export interface XenStoreStatistics {
  readonly nodes: number;
  readonly watches: number;
  readonly transactions: number;
  readonly connections: number;
  /** Introduced domains, dom0 included. */
  readonly domains: number;
  /** Requests served since the start. */
  readonly requests: number;
  /** Events dropped because their reader was too slow. */
  readonly droppedEvents: number;
  /** Requests that met a defect of the server and were answered EIO. */
  readonly faults: number;
  /** Bytes received or to be sent that wait. */
  readonly queuedBytes: number;
}

/** What one domain holds. */
export interface XenStoreDomainStatistics {
  readonly nodes: number;
  readonly watches: number;
  readonly transactions: number;
  readonly connections: number;
}

export class XenStoreServer {
  readonly #options: XenStoreServerOptions;
  readonly #tree = new NodeTree();
  readonly #watches = new Watches();
  readonly #domains = new DomainTable();
  readonly #quotas: QuotaTable;
  readonly #connections = new Set<Connection>();
  readonly #rings = new Map<number, Connection>();
  readonly #direct: DirectView;
  readonly #state: ServerState;
  readonly #owner: ConnectionOwner;
  #ready: Connection[] = [];
  #dirty: Connection[] = [];
  #scheduled: 'no' | 'microtask' | 'immediate' = 'no';
  #requests = 0;
  #droppedEvents = 0;
  #faults = 0;

  constructor(options: XenStoreServerOptions = {}) {
    this.#options = options;
    this.#quotas = new QuotaTable(options.quotas);
    const changed = (path: string, exact: boolean, readable: readonly PermissionList[]): void =>
      this.#watches.fire(path, exact, readable);
    this.#direct = new DirectView(this.#tree, changed);
    this.#owner = {
      now: options.now ?? (() => performance.now()),
      quotasOf: (domid) => this.#quotas.get(domid),
      ready: (connection) => this.#markReady(connection),
      dirty: (connection) => this.#markDirty(connection),
      restarted: (connection) => this.#resetConnection(connection),
      ended: (connection) => this.#ended(connection),
      eventsDropped: (count) => {
        this.#droppedEvents += count;
      },
      log: (text) => debug(text),
    };
    this.#state = {
      tree: this.#tree,
      watches: this.#watches,
      domains: this.#domains,
      quotas: this.#quotas,
      changed,
      domainExists: (domid) => this.domainExists(domid),
      introduceDomain: (domid, ring) => this.#introduce(domid, ring),
      releaseDomain: (domid) => this.releaseDomain(domid),
      resumeDomain: (domid) => this.resumeDomain(domid),
      resetConnection: (connection) => this.#resetConnection(connection),
      print: options.print ?? ((text) => debug('print: %s', text)),
      statistics: () => ({ ...this.statistics() }),
    };
  }

  /** Opens a connection inside this process; what it answers is the client's end. */
  connect(caller: XenStoreCaller): ByteDuplex {
    const [ours, theirs] = inProcessPair();
    this.attach(ours, caller);
    return theirs;
  }

  /**
   * Serves a client over any transport.
   *
   * @param duplex - the server's end.
   * @param options - `gathered`: wait for the input of all sockets readable at once before serving.
   */
  attach(duplex: ByteDuplex, caller: XenStoreCaller, options: { readonly gathered?: boolean } = {}): void {
    this.#attach(duplex, caller, options.gathered === true);
  }

  /** Whether permissions may name a domain. */
  domainExists(domid: number): boolean {
    const { domainExists } = this.#options;
    if (domid === 0) return true;
    if (domainExists?.(domid) === true) return true;
    const domain = this.#domains.get(domid);
    return domain !== undefined && (domain.introduced || domain.connections > 0);
  }

  isDomainIntroduced(domid: number): boolean {
    return this.#domains.introduced(domid);
  }

  /**
   * Makes a domain known and fires `@introduceDomain`. A domain that talks through a ring page brings its transport;
   * introducing it again replaces that, and its watches and transactions end.
   */
  introduceDomain(domid: number, ring?: ByteDuplex): void {
    if (!Number.isInteger(domid) || domid < 0 || domid > 0xffff) {
      throw new RangeError(`A domain id is an integer 0 … 65535, not ${domid}.`);
    }
    const domain = this.#domains.obtain(domid);
    const first = !domain.introduced;
    domain.introduced = true;
    if (ring !== undefined) {
      this.#rings.get(domid)?.end();
      this.#rings.set(domid, this.#attach(ring, { domid }, false));
    }
    if (first) this.#fireSpecial('@introduceDomain', domid);
  }

  /**
   * Forgets a domain: its connections, watches and transactions end, nodes it owns are deleted, permissions that name
   * it become void, and, if it was introduced, `@releaseDomain` fires. dom0 is left alone.
   */
  releaseDomain(domid: number): void {
    if (domid === 0) return;
    for (const connection of [...this.#connections]) {
      if (connection.domid === domid) connection.end();
      else for (const transaction of connection.transactions.values()) transaction.domainGone(domid);
    }
    this.#rings.delete(domid);
    this.#removeDomainNodes(domid);
    this.#quotas.forget(domid);
    const wasIntroduced = this.#domains.introduced(domid);
    this.#domains.forget(domid);
    if (wasIntroduced) this.#fireSpecial('@releaseDomain', domid);
    this.#options.domainReleased?.(domid);
  }

  /** Tells watches of `@releaseDomain` that a domain has shut down; once, until it is resumed. */
  domainShutDown(domid: number): void {
    const domain = this.#domains.get(domid);
    if (domain?.introduced !== true || domain.shutdown) return;
    domain.shutdown = true;
    this.#fireSpecial('@releaseDomain', domid);
  }

  /** Forgets that a domain has shut down (RESUME). */
  resumeDomain(domid: number): void {
    const domain = this.#domains.get(domid);
    if (domain !== undefined) domain.shutdown = false;
  }

  /** Ends every connection. The tree stays. */
  close(): void {
    for (const connection of [...this.#connections]) connection.end();
    this.#rings.clear();
  }

  /** The tree, its counter and the introduced domains as plain data. */
  snapshot(): StoreSnapshot {
    return takeSnapshot(this.#tree, this.#domains.introducedDomains());
  }

  /**
   * Puts the tree of a snapshot in place of this one, and introduces its domains without events. For a server nobody
   * is connected to yet; throws `SnapshotError` for data that is no snapshot.
   */
  restore(data: unknown): void {
    if (this.#connections.size > 0) throw new Error('Restore a store before anybody connects to it.');
    const snapshot = checkSnapshot(data);
    restoreSnapshot(this.#tree, snapshot);
    for (const domid of snapshot.introducedDomains) this.#domains.obtain(domid).introduced = true;
  }

  statistics(): XenStoreStatistics {
    let transactions = 0;
    let queuedBytes = 0;
    for (const connection of this.#connections) {
      transactions += connection.transactions.size;
      queuedBytes += connection.queuedBytes;
    }
    return {
      nodes: this.#tree.size,
      watches: this.#watches.size,
      transactions,
      connections: this.#connections.size,
      domains: this.#domains.introducedDomains().length,
      requests: this.#requests,
      droppedEvents: this.#droppedEvents,
      faults: this.#faults,
      queuedBytes,
    };
  }

  /** What one domain holds here. */
  domainStatistics(domid: number): XenStoreDomainStatistics {
    const domain = this.#domains.get(domid);
    return {
      nodes: this.#tree.ownedNodes(domid),
      watches: domain?.watches ?? 0,
      transactions: domain?.transactions ?? 0,
      connections: domain?.connections ?? 0,
    };
  }

  #attach(duplex: ByteDuplex, caller: XenStoreCaller, gathered: boolean): Connection {
    const { domid, privileged = domid === 0 } = caller;
    const domain = this.#domains.obtain(domid);
    domain.connections += 1;
    const connection = new Connection(this.#owner, domain, { duplex, privileged, gathered });
    this.#connections.add(connection);
    return connection;
  }

  #introduce(domid: number, ring: { readonly frame: number; readonly port: number } | undefined): void {
    const { connectRing } = this.#options;
    if (ring === undefined || connectRing === undefined) {
      this.#rings.get(domid)?.reset();
      this.introduceDomain(domid);
      return;
    }
    // The port of a domain introduced before is bound until its connection ends.
    this.#rings.get(domid)?.end();
    const duplex = connectRing(domid, ring.frame, ring.port);
    if (duplex === undefined) refuse('EINVAL');
    this.introduceDomain(domid, duplex);
  }

  #fireSpecial(event: SpecialEvent, domid: number): void {
    this.#watches.fireSpecial(event, domid, this.#tree.get(event)?.permissions ?? ownedBy(0));
  }

  #resetConnection(connection: Connection): void {
    const { domain, watches, transactions } = connection;
    for (const watch of watches.values()) this.#watches.delete(watch);
    domain.watches -= watches.size;
    domain.transactions -= transactions.size;
    watches.clear();
    transactions.clear();
  }

  #ended(connection: Connection): void {
    if (!this.#connections.delete(connection)) return;
    this.#resetConnection(connection);
    const { domain } = connection;
    domain.connections -= 1;
    if (this.#rings.get(domain.domid) === connection) this.#rings.delete(domain.domid);
    this.#domains.tidy(domain);
  }

  #removeDomainNodes(domid: number): void {
    const tree = this.#tree;
    const owned: string[] = [];
    for (const [path, node] of tree.entries()) {
      if (node.permissions[0].domid === domid) {
        owned.push(path);
        continue;
      }
      const permissions = withoutDomain(node.permissions, domid);
      if (permissions !== node.permissions) {
        tree.put(path, { ...node, permissions, generation: tree.nextGeneration() });
      }
    }
    for (const path of owned) {
      const node = tree.get(path);
      if (node === undefined) continue;
      if (path === '/' || path.startsWith('@')) {
        tree.put(path, { ...node, permissions: ownedBy(0), generation: tree.nextGeneration() });
      } else {
        removeTree(this.#direct, path, false);
      }
    }
  }

  #markReady(connection: Connection): void {
    if (!connection.inReady) {
      connection.inReady = true;
      this.#ready.push(connection);
    }
    this.#schedule(connection.gathered);
  }

  #markDirty(connection: Connection): void {
    if (!connection.inDirty) {
      connection.inDirty = true;
      this.#dirty.push(connection);
    }
    this.#schedule(false);
  }

  #schedule(gathered: boolean): void {
    if (this.#scheduled === 'microtask' || (gathered && this.#scheduled === 'immediate')) return;
    this.#scheduled = gathered ? 'immediate' : 'microtask';
    if (gathered) setImmediate(() => this.#turn('immediate'));
    else queueMicrotask(() => this.#turn('microtask'));
  }

  /** Serves requests round robin, at most one of a connection before the others had theirs, and sends what came of it. */
  #turn(kind: 'microtask' | 'immediate'): void {
    if (this.#scheduled !== kind) return;
    // While `#scheduled` still says a turn is due, nothing done here schedules another one.
    this.#scheduled = 'microtask';
    let budget = REQUESTS_PER_TURN;
    while (this.#ready.length > 0 && budget > 0) {
      const round = this.#ready;
      this.#ready = [];
      for (const connection of round) {
        connection.inReady = false;
        if (!connection.hasRequest) continue;
        budget -= 1;
        this.#guarded(connection, () => this.#serveNext(connection));
        if (connection.hasRequest) {
          connection.inReady = true;
          this.#ready.push(connection);
        }
      }
    }
    while (this.#dirty.length > 0) {
      const round = this.#dirty;
      this.#dirty = [];
      for (const connection of round) {
        connection.inDirty = false;
        this.#guarded(connection, () => connection.flush());
      }
    }
    this.#scheduled = 'no';
    if (this.#ready.length > 0) this.#schedule(this.#ready.every((connection) => connection.gathered));
  }

  /** Whatever a transport throws ends its own connection and nothing else. */
  #guarded(connection: Connection, work: () => void): void {
    try {
      work();
    } catch (reason) {
      this.#faults += 1;
      debug('a client of domain %d failed: %O', connection.domid, reason);
      connection.end();
    }
  }

  #serveNext(connection: Connection): void {
    const message = connection.nextRequest();
    if (message === undefined) return;
    this.#requests += 1;
    const { requestId, transactionId } = message;
    const answer = (type: number, payload: string): void => {
      connection.reply({ type, requestId, transactionId, payload });
    };
    try {
      this.#serve(connection, message, answer);
    } catch (reason) {
      if (!(reason instanceof Refusal)) {
        this.#faults += 1;
        debug('request %d failed: %O', message.type, reason);
      }
      answer(MESSAGE_TYPE.ERROR, `${reason instanceof Refusal ? reason.code : 'EIO'}\0`);
    }
  }

  #serve(connection: Connection, message: Message, answer: (type: number, payload: string) => void): void {
    const operation = operationFor(message.type) ?? refuse('ENOSYS');
    if (operation.privileged === true && !connection.privileged) refuse('EACCES');
    const { transactionId, payload } = message;
    const transaction =
      transactionId === 0 || operation.ignoresTransaction === true
        ? undefined
        : (connection.transactions.get(transactionId) ?? refuse('ENOENT'));
    const view = transaction ?? this.#direct;
    const request: Request = { state: this.#state, connection, view, transactionId, payload };
    const reply = operation.serve(request);
    if (reply.length > PAYLOAD_MAX) refuse('E2BIG');
    answer(message.type, reply);
    operation.afterReply?.(request);
  }
}
