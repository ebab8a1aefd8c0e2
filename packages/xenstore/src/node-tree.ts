/**
 * The store itself: every node by its path.
 *
 * @packageDocumentation
 */
import { parentPath } from './paths';
import { ownedBy, type PermissionList } from './permissions';
import { PAYLOAD_MAX } from './wire';

/** The names of a node's children, in creation order. Shared lists are copied before they change. */
export class ChildNames implements Iterable<string> {
  readonly #names: Set<string>;
  /** Bytes of all names with a NUL each: the length of DIRECTORY's answer. */
  byteLength: number;
  /** Whether a transaction remembers this list, so that it must not change any more. */
  shared = false;
  #concatenated: string | undefined;

  constructor(names: Iterable<string> = []) {
    this.#names = new Set(names);
    this.byteLength = 0;
    for (const name of this.#names) this.byteLength += name.length + 1;
  }

  get size(): number {
    return this.#names.size;
  }

  [Symbol.iterator](): Iterator<string> {
    return this.#names.values();
  }

  /** This list with a name appended: the list itself, or a copy where it is shared. */
  with(name: string): ChildNames {
    const list = this.shared ? new ChildNames(this.#names) : this;
    if (!list.#names.has(name)) {
      list.#names.add(name);
      list.#concatenated = undefined;
      list.byteLength += name.length + 1;
    }
    return list;
  }

  /** This list without a name: the list itself, or a copy where it is shared. */
  without(name: string): ChildNames {
    const list = this.shared ? new ChildNames(this.#names) : this;
    if (list.#names.delete(name)) {
      list.#concatenated = undefined;
      list.byteLength -= name.length + 1;
    }
    return list;
  }

  /** Every name and a NUL, concatenated. */
  concatenated(): string {
    if (this.#concatenated !== undefined) return this.#concatenated;
    let text = '';
    for (const name of this.#names) text += `${name}\0`;
    // Long lists are asked for part by part.
    if (text.length > PAYLOAD_MAX) this.#concatenated = text;
    return text;
  }
}

/** A node. Never changed but for its child list; a modification puts a new object in its place. */
export interface StoreNode {
  /** The value as a byte string. */
  readonly value: string;
  readonly permissions: PermissionList;
  readonly children: ChildNames;
  /** Value of the store's counter when the node last changed: value, permissions, child list, creation. */
  readonly generation: number;
}

/** Reads and changes nodes, at once or inside a transaction. */
export interface StoreView {
  get(path: string): StoreNode | undefined;
  put(path: string, node: StoreNode): void;
  delete(path: string): void;
  /** Counts up before every modification; two equal values mean an unchanged node. */
  nextGeneration(): number;
  /** Nodes a domain owns. */
  ownedNodes(domid: number): number;
  /**
   * Reports a change for watches: at `path` and above, or (`exact`) at `path` alone. To be called while the node is
   * there. Told are those who may read the node or its parent.
   *
   * @param former - permissions the node had before, if they changed: they count as well.
   */
  changed(path: string, exact: boolean, former?: PermissionList): void;
}

export class NodeTree {
  readonly #nodes = new Map<string, StoreNode>();
  readonly #owned = new Map<number, number>();
  #generation = 0;

  constructor() {
    this.reset();
  }

  /** Back to the tree of a daemon that has just started. */
  reset(): void {
    this.#nodes.clear();
    this.#owned.clear();
    const permissions = ownedBy(0);
    const node = (...names: string[]): StoreNode => ({
      value: '',
      permissions,
      children: new ChildNames(names),
      generation: this.nextGeneration(),
    });
    this.put('/', node('tool'));
    this.put('/tool', node('xenstored'));
    this.put('/tool/xenstored', node());
    this.put('@introduceDomain', node());
    this.put('@releaseDomain', node());
  }

  /** Nodes of the tree; the special ones do not count. */
  get size(): number {
    return this.#nodes.size - 2;
  }

  get generation(): number {
    return this.#generation;
  }

  nextGeneration(): number {
    this.#generation += 1;
    return this.#generation;
  }

  /** Lets the counter continue behind that of a restored store. */
  continueFrom(generation: number): void {
    this.#generation = Math.max(this.#generation, generation);
  }

  get(path: string): StoreNode | undefined {
    return this.#nodes.get(path);
  }

  put(path: string, node: StoreNode): void {
    const before = this.#nodes.get(path);
    this.#nodes.set(path, node);
    const owner = node.permissions[0].domid;
    const formerOwner = before?.permissions[0].domid;
    if (owner === formerOwner) return;
    this.#count(owner, 1);
    if (formerOwner !== undefined) this.#count(formerOwner, -1);
  }

  delete(path: string): void {
    const before = this.#nodes.get(path);
    if (before === undefined) return;
    this.#nodes.delete(path);
    this.#count(before.permissions[0].domid, -1);
  }

  ownedNodes(domid: number): number {
    return this.#owned.get(domid) ?? 0;
  }

  entries(): IterableIterator<[string, StoreNode]> {
    return this.#nodes.entries();
  }

  #count(domid: number, change: number): void {
    const count = (this.#owned.get(domid) ?? 0) + change;
    if (count === 0) this.#owned.delete(domid);
    else this.#owned.set(domid, count);
  }
}

/**
 * Where changes are reported to; one of the lists must let a watcher read. Called with the tree in its state after the
 * change, but for removals.
 */
export type ChangeSink = (path: string, exact: boolean, readable: readonly PermissionList[]) => void;

/** The tree without a transaction: changes take effect and are reported at once. */
export class DirectView implements StoreView {
  constructor(
    private readonly tree: NodeTree,
    private readonly sink: ChangeSink,
  ) {}

  get(path: string): StoreNode | undefined {
    return this.tree.get(path);
  }
  put(path: string, node: StoreNode): void {
    this.tree.put(path, node);
  }
  delete(path: string): void {
    this.tree.delete(path);
  }
  nextGeneration(): number {
    return this.tree.nextGeneration();
  }
  ownedNodes(domid: number): number {
    return this.tree.ownedNodes(domid);
  }
  changed(path: string, exact: boolean, former?: PermissionList): void {
    const readable: PermissionList[] = former === undefined ? [] : [former];
    const parent = parentPath(path);
    for (const place of parent === undefined ? [path] : [path, parent]) {
      const node = this.tree.get(place);
      if (node !== undefined) readable.push(node.permissions);
    }
    this.sink(path, exact, readable);
  }
}
