/**
 * What requests do to nodes: access checks, creation with parents, recursive removal (spec §5 and §6).
 *
 * @packageDocumentation
 */
import type { Errno } from '@netchannel2/xen';
import { ChildNames, type StoreNode, type StoreView } from './node-tree';
import { childPath, nodeName, parentPath } from './paths';
import {
  accessOf,
  allows,
  CHANGE_PERMISSIONS,
  type Identity,
  type PermissionList,
  READ,
  WRITE,
  withOwner,
} from './permissions';
import { exceeds, type Quotas } from './quotas';
import { refuse } from './refusal';

/** Who acts, on what, within which limits. */
export interface NodeAccess {
  readonly view: StoreView;
  readonly identity: Identity;
  /** Applied to unprivileged callers only. */
  readonly quotas: Quotas;
}

const NODE_BYTES = 24;
const PERMISSION_BYTES = 8;

/** The node if the caller has the `needed` rights on it, else why not: a missing node may be disguised as `EACCES`. */
function lookUp(access: NodeAccess, path: string, needed: number): StoreNode | Errno {
  const { view, identity } = access;
  const node = view.get(path);
  if (node !== undefined && allows(identity, node.permissions, needed)) return node;
  for (let parent = parentPath(path); parent !== undefined; parent = parentPath(parent)) {
    const ancestor = view.get(parent);
    if (ancestor === undefined) continue;
    if (!allows(identity, ancestor.permissions, needed)) return 'EACCES';
    break;
  }
  return node === undefined ? 'ENOENT' : 'EACCES';
}

function require(access: NodeAccess, path: string, needed: number): StoreNode {
  const node = lookUp(access, path, needed);
  return typeof node === 'string' ? refuse(node) : node;
}

/** The node, for an operation that reads its value, child list or permissions. */
export function readNode(access: NodeAccess, path: string): StoreNode {
  return require(access, path, READ);
}

/** WRITE. */
export function writeNode(access: NodeAccess, path: string, value: string): void {
  const node = lookUp(access, path, WRITE);
  if (typeof node === 'string') {
    if (node !== 'ENOENT') refuse(node);
    createNode(access, path, value);
  } else {
    const { view } = access;
    const written = { ...node, value, generation: view.nextGeneration() };
    checkSize(access, written);
    view.put(path, written);
  }
  access.view.changed(path, false);
}

/** MKDIR. */
export function makeDirectory(access: NodeAccess, path: string): void {
  const node = lookUp(access, path, WRITE);
  if (typeof node !== 'string') return;
  if (node !== 'ENOENT') refuse(node);
  createNode(access, path, '');
  access.view.changed(path, false);
}

/** RM, with everything below. */
export function removeNode(access: NodeAccess, path: string): void {
  if (path === '/') refuse('EINVAL');
  const { view } = access;
  const parent = parentPath(path);
  const node = lookUp(access, path, WRITE);
  if (typeof node === 'string') {
    const parentExists = parent !== undefined && view.get(parent) !== undefined;
    if (node === 'ENOENT' && parentExists) return;
    refuse(node);
  }
  removeTree(view, path, true);
}

/** Takes a node and all below it out of the tree and of its parent's child list. */
export function removeTree(view: StoreView, path: string, reported: boolean): void {
  const parent = parentPath(path);
  const parentNode = parent === undefined ? undefined : view.get(parent);
  const gone = descendantsFirst(view, path);
  for (const each of gone) {
    if (reported) view.changed(each, each !== path);
    view.nextGeneration();
    view.delete(each);
  }
  if (parent === undefined || parentNode === undefined) return;
  const children = parentNode.children.without(nodeName(path));
  view.put(parent, { ...parentNode, children, generation: view.nextGeneration() });
}

/** SET_PERMS. */
export function setPermissions(access: NodeAccess, path: string, permissions: PermissionList): void {
  const { view, identity } = access;
  const node = require(access, path, CHANGE_PERMISSIONS);
  const before = node.permissions;
  if (!identity.privileged && permissions[0].domid !== before[0].domid) refuse('EPERM');
  const changed = { ...node, permissions, generation: view.nextGeneration() };
  checkSize(access, changed);
  view.put(path, changed);
  view.changed(path, false, before);
}

/** Creates a node and the parents it lacks; they inherit the permissions of the nearest ancestor. */
function createNode(access: NodeAccess, path: string, value: string): void {
  const { view, identity } = access;
  const missing: string[] = [];
  let nearest = path;
  let ancestor: StoreNode | undefined;
  do {
    missing.push(nearest);
    const parent = parentPath(nearest);
    if (parent === undefined) refuse('ENOENT');
    nearest = parent;
    ancestor = view.get(nearest);
  } while (ancestor === undefined);

  const inherited = ancestor.permissions;
  const permissions = identity.privileged ? inherited : withOwner(inherited, identity.domid);
  const owner = permissions[0].domid;
  const owned = view.ownedNodes(owner) + missing.length;
  if (!identity.privileged && exceeds(owned, access.quotas.nodes)) refuse('ENOSPC');

  const top = missing.at(-1) ?? path;
  const grown = ancestor.children.byteLength + nodeName(top).length + 1;
  checkSize(access, ancestor, grown);
  const nodes: StoreNode[] = missing.map((place, index) => {
    const below = missing[index - 1];
    const node = {
      value: place === path ? value : '',
      permissions,
      children: new ChildNames(below === undefined ? [] : [nodeName(below)]),
      generation: view.nextGeneration(),
    };
    checkSize(access, node);
    return node;
  });

  const children = ancestor.children.with(nodeName(top));
  view.put(nearest, { ...ancestor, children, generation: view.nextGeneration() });
  for (const [index, place] of missing.entries()) {
    const node = nodes[index];
    if (node !== undefined) view.put(place, node);
  }
}

function checkSize(access: NodeAccess, node: StoreNode, childBytes = node.children.byteLength): void {
  if (access.identity.privileged) return;
  const size = NODE_BYTES + node.permissions.length * PERMISSION_BYTES + node.value.length + childBytes;
  if (exceeds(size, access.quotas['node-size'])) refuse('ENOSPC');
}

/** A node and all below it, every node behind its descendants. */
function descendantsFirst(view: StoreView, path: string): string[] {
  const order: string[] = [];
  const open = [path];
  for (let place = open.pop(); place !== undefined; place = open.pop()) {
    order.push(place);
    const node = view.get(place);
    if (node === undefined) continue;
    for (const name of node.children) open.push(childPath(place, name));
  }
  return order.reverse();
}

/** Whether one of the lists lets the caller read. */
export function mayRead(identity: Identity, lists: readonly PermissionList[]): boolean {
  return lists.some((permissions) => (accessOf(identity, permissions) & READ) !== 0);
}
