/**
 * Watches by the path they are on, so that an event looks only at the watches above its path.
 *
 * @packageDocumentation
 */

/** What the trie needs to know of a watch. */
export interface Watched {
  /** Absolute path. */
  readonly path: string;
  /** Levels below `path` that count; `undefined` for all. */
  readonly depth: number | undefined;
}

interface Branch<Watch> {
  readonly parent: Branch<Watch> | undefined;
  readonly name: string;
  readonly branches: Map<string, Branch<Watch>>;
  /** In order of registration. */
  readonly watches: Set<Watch>;
}

function branch<Watch>(parent: Branch<Watch> | undefined, name: string): Branch<Watch> {
  return { parent, name, branches: new Map(), watches: new Set() };
}

function components(path: string): string[] {
  return path === '/' ? [] : path.slice(1).split('/');
}

export class WatchTrie<Watch extends Watched> {
  readonly #root: Branch<Watch> = branch(undefined, '');
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(watch: Watch): void {
    let place = this.#root;
    for (const name of components(watch.path)) {
      let next = place.branches.get(name);
      if (next === undefined) {
        next = branch(place, name);
        place.branches.set(name, next);
      }
      place = next;
    }
    place.watches.add(watch);
    this.#size += 1;
  }

  delete(watch: Watch): void {
    let place: Branch<Watch> | undefined = this.#find(watch.path);
    if (place?.watches.delete(watch) !== true) return;
    this.#size -= 1;
    while (place?.parent !== undefined && place.watches.size === 0 && place.branches.size === 0) {
      place.parent.branches.delete(place.name);
      place = place.parent;
    }
  }

  /** Visits the watches an event at `path` reaches: those on it and above it, from the root down. */
  matching(path: string, visit: (watch: Watch) => void): void {
    const names = components(path);
    let place: Branch<Watch> | undefined = this.#root;
    for (let level = 0; place !== undefined; level++) {
      const below = names.length - level;
      for (const watch of place.watches) {
        if (watch.depth === undefined || below <= watch.depth) visit(watch);
      }
      const name = names[level];
      if (name === undefined) return;
      place = place.branches.get(name);
    }
  }

  /** Visits the watches on exactly `path`. */
  exactly(path: string, visit: (watch: Watch) => void): void {
    for (const watch of this.#find(path)?.watches ?? []) visit(watch);
  }

  #find(path: string): Branch<Watch> | undefined {
    let place: Branch<Watch> | undefined = this.#root;
    for (const name of components(path)) {
      place = place.branches.get(name);
      if (place === undefined) return undefined;
    }
    return place;
  }
}
