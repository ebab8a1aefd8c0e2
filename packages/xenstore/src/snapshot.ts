/**
 * The tree as plain data, to survive a restart of the daemon.
 *
 * @packageDocumentation
 */
import { ChildNames, type NodeTree } from './node-tree';
import { childPath, nodeName, nodePath, parentPath } from './paths';
import { formatPermissions, type PermissionEntry, type PermissionList, parsePermission } from './permissions';
import { Refusal } from './refusal';

const FORMAT = 'netchannel2-xenstore';
const VERSION = 1;
const SPECIAL_PATHS: readonly string[] = ['@introduceDomain', '@releaseDomain'];

/** One node; children come behind their parents and in creation order. */
export interface SnapshotNode {
  readonly path: string;
  /** Characters 0 … 255 are the bytes. */
  readonly value: string;
  /** As GET_PERMS writes them; one that grants nothing has a `!` in front. */
  readonly permissions: readonly string[];
  readonly generation: number;
}

export interface StoreSnapshot {
  readonly format: typeof FORMAT;
  readonly version: typeof VERSION;
  /** The store's counter. */
  readonly generation: number;
  readonly introducedDomains: readonly number[];
  readonly nodes: readonly SnapshotNode[];
}

/** Takes the tree apart. */
export function takeSnapshot(tree: NodeTree, introducedDomains: readonly number[]): StoreSnapshot {
  const nodes: SnapshotNode[] = [];
  const open = [...SPECIAL_PATHS, '/'];
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    const node = tree.get(path);
    if (node === undefined) continue;
    const { value, generation } = node;
    const permissions = node.permissions.map(
      (entry) => `${entry.ignored ? '!' : ''}${formatPermissions([entry]).slice(0, -1)}`,
    );
    nodes.push({ path, value, permissions, generation });
    const place = path;
    open.push(...[...node.children].map((name) => childPath(place, name)).reverse());
  }
  return { format: FORMAT, version: VERSION, generation: tree.generation, introducedDomains, nodes };
}

/** A snapshot that cannot be used, and why. */
export class SnapshotError extends Error {
  override readonly name = 'SnapshotError';
}

/** Checks data that claims to be a snapshot. Throws {@link SnapshotError}. */
export function checkSnapshot(data: unknown): StoreSnapshot {
  if (!isRecord(data) || data.format !== FORMAT) throw new SnapshotError('This is no dump of a xenstore.');
  if (data.version !== VERSION) {
    throw new SnapshotError(`The dump has version ${String(data.version)}; this program reads ${VERSION}.`);
  }
  const { generation, introducedDomains, nodes } = data;
  if (!isCount(generation) || !Array.isArray(introducedDomains) || !Array.isArray(nodes)) {
    throw new SnapshotError('The dump lacks its generation, its domains or its nodes.');
  }
  const domains = introducedDomains.filter((domid): domid is number => isCount(domid) && domid <= 0xffff);
  if (domains.length !== introducedDomains.length)
    throw new SnapshotError('The dump names an impossible domain.');
  const seen = new Set<string>();
  const checked = nodes.map((node: unknown) => checkNode(node, seen));
  if (!seen.has('/')) throw new SnapshotError('The dump has no node "/".');
  return { format: FORMAT, version: VERSION, generation, introducedDomains: domains, nodes: checked };
}

/** Puts the nodes of a checked snapshot in place of the tree's. */
export function restoreSnapshot(tree: NodeTree, snapshot: StoreSnapshot): void {
  tree.reset();
  const fresh = [...tree.entries()].map(([path]) => path);
  for (const path of fresh) if (!SPECIAL_PATHS.includes(path)) tree.delete(path);
  for (const { path, value, permissions, generation } of snapshot.nodes) {
    tree.put(path, { value, permissions: parseList(permissions), children: new ChildNames(), generation });
    tree.continueFrom(generation);
    const parent = parentPath(path);
    const parentNode = parent === undefined ? undefined : tree.get(parent);
    if (parent !== undefined && parentNode !== undefined) {
      tree.put(parent, { ...parentNode, children: parentNode.children.with(nodeName(path)) });
    }
  }
  tree.continueFrom(snapshot.generation);
}

function checkNode(node: unknown, seen: Set<string>): SnapshotNode {
  if (!isRecord(node)) throw new SnapshotError('The dump holds a node that is none.');
  const { path, value, permissions, generation } = node;
  const texts = Array.isArray(permissions)
    ? permissions.filter((text): text is string => typeof text === 'string')
    : [];
  if (typeof path !== 'string' || typeof value !== 'string' || !isCount(generation) || texts.length === 0) {
    throw new SnapshotError(`The dump's node ${String(path)} is incomplete.`);
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a byte string has the characters 0 … 255.
  if (value.length > 4096 || !/^[\u0000-\u00ff]*$/.test(value)) {
    throw new SnapshotError(`The dump's node ${path} has an impossible value.`);
  }
  const parent = parentPath(path);
  const misplaced = seen.has(path) || (parent !== undefined && !seen.has(parent));
  if (!isPath(path) || misplaced) throw new SnapshotError(`The dump's node ${path} is misplaced.`);
  seen.add(path);
  try {
    parseList(texts);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    throw new SnapshotError(`The dump's node ${path} has impossible permissions.`);
  }
  return { path, value, permissions: texts, generation };
}

function isPath(path: string): boolean {
  if (SPECIAL_PATHS.includes(path)) return true;
  try {
    return path.startsWith('/') && nodePath(path, { base: '', limit: undefined }) === path;
  } catch {
    return false;
  }
}

function parseList(texts: readonly string[]): PermissionList {
  const [owner, ...others] = texts.map(parseEntry);
  if (owner === undefined) throw new Refusal('EINVAL');
  return [owner, ...others];
}

function parseEntry(text: string): PermissionEntry {
  return text.startsWith('!') ? { ...parsePermission(text.slice(1)), ignored: true } : parsePermission(text);
}

function isRecord(data: unknown): data is Record<string, unknown> {
  return typeof data === 'object' && data !== null && !Array.isArray(data);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}
