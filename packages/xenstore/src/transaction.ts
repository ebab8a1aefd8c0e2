/**
 * A transaction: a private overlay of the tree that remembers what it saw (spec §8).
 *
 * @packageDocumentation
 */
import type { ChangeSink, NodeTree, StoreNode, StoreView } from './node-tree';
import { parentPath } from './paths';
import type { PermissionList } from './permissions';
import { refuse } from './refusal';

/** Remembered in place of a generation for a node that was missing. */
const ABSENT = -1;

interface Touched {
  /** Generation at first access, or {@link ABSENT}. */
  readonly seen: number;
  node: StoreNode | undefined;
  changed: boolean;
  event: 'none' | 'exact' | 'subtree';
}

export interface TransactionLimits {
  /** Most nodes the transaction may touch; 0 for any number. */
  readonly nodes: number;
}

export class Transaction implements StoreView {
  /** In order of first access. */
  readonly #touched = new Map<string, Touched>();
  readonly #ownedChange = new Map<number, number>();
  #failed = false;
  #outdated = false;

  constructor(
    private readonly tree: NodeTree,
    private readonly limits: TransactionLimits,
  ) {}

  get(path: string): StoreNode | undefined {
    return this.#touch(path).node;
  }

  put(path: string, node: StoreNode): void {
    const touched = this.#touch(path);
    this.#recount(touched.node, node);
    touched.node = node;
    touched.changed = true;
  }

  delete(path: string): void {
    const touched = this.#touch(path);
    this.#recount(touched.node, undefined);
    touched.node = undefined;
    touched.changed = true;
  }

  nextGeneration(): number {
    return this.tree.nextGeneration();
  }

  ownedNodes(domid: number): number {
    return this.tree.ownedNodes(domid) + (this.#ownedChange.get(domid) ?? 0);
  }

  changed(path: string, exact: boolean): void {
    const touched = this.#touch(path);
    if (touched.event !== 'subtree') touched.event = exact ? 'exact' : 'subtree';
  }

  /** Makes the commit answer EAGAIN if the overlay holds something that names a domain that has just gone. */
  domainGone(domid: number): void {
    for (const { changed, node } of this.#touched.values()) {
      if (changed && node?.permissions.some((entry) => entry.domid === domid)) this.#outdated = true;
    }
  }

  /**
   * Applies the overlay, or refuses: `ENOMEM` after a failure inside, `EAGAIN` when anything remembered has changed
   * since, `ENOSPC` when `mayOwn` denies a domain its new number of nodes.
   */
  commit(sink: ChangeSink, mayOwn: (domid: number, nodes: number) => boolean): void {
    if (this.#failed) refuse('ENOMEM');
    if (this.#outdated) refuse('EAGAIN');
    for (const [path, { seen }] of this.#touched) {
      if ((this.tree.get(path)?.generation ?? ABSENT) !== seen) refuse('EAGAIN');
    }
    for (const [domid, change] of this.#ownedChange) {
      if (change > 0 && !mayOwn(domid, this.tree.ownedNodes(domid) + change)) refuse('ENOSPC');
    }
    const events: [string, boolean, readonly PermissionList[]][] = [];
    for (const [path, touched] of this.#touched) {
      if (touched.event === 'none' || (touched.seen === ABSENT && touched.node === undefined)) continue;
      events.push([path, touched.event === 'exact', this.#readable(path)]);
    }
    for (const [path, { changed, node }] of this.#touched) {
      if (!changed) continue;
      if (node === undefined) this.tree.delete(path);
      else this.tree.put(path, { ...node, generation: this.tree.nextGeneration() });
    }
    for (const [path, exact, readable] of events) sink(path, exact, readable);
  }

  /** Permission lists of the node and its parent, before and after the transaction. */
  #readable(path: string): PermissionList[] {
    const lists: PermissionList[] = [];
    const parent = parentPath(path);
    for (const place of parent === undefined ? [path] : [path, parent]) {
      for (const node of [this.#touched.get(place)?.node, this.tree.get(place)]) {
        if (node !== undefined) lists.push(node.permissions);
      }
    }
    return lists;
  }

  #touch(path: string): Touched {
    const known = this.#touched.get(path);
    if (known !== undefined) return known;
    if (this.limits.nodes > 0 && this.#touched.size >= this.limits.nodes) {
      this.#failed = true;
      refuse('ENOSPC');
    }
    const node = this.tree.get(path);
    if (node !== undefined) node.children.shared = true;
    const touched: Touched = {
      seen: node?.generation ?? ABSENT,
      node,
      changed: false,
      event: 'none',
    };
    this.#touched.set(path, touched);
    return touched;
  }

  #recount(before: StoreNode | undefined, after: StoreNode | undefined): void {
    const from = before?.permissions[0].domid;
    const to = after?.permissions[0].domid;
    if (from === to) return;
    if (from !== undefined) this.#ownedChange.set(from, (this.#ownedChange.get(from) ?? 0) - 1);
    if (to !== undefined) this.#ownedChange.set(to, (this.#ownedChange.get(to) ?? 0) + 1);
  }
}
