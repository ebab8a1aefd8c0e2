/**
 * Node paths: which are legal, and how relative ones resolve (spec §4).
 *
 * @packageDocumentation
 */
import { refuse } from './refusal';
import { ABSOLUTE_PATH_MAX, RELATIVE_PATH_MAX } from './wire';

const ABSOLUTE = /^\/(?:[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*)?$/;
const SPECIAL = /^@[A-Za-z0-9\-_@]+(?:\/[A-Za-z0-9\-_@]+)*$/;
const DOMAIN_PREFIX = /^\/local\/domain\/[0-9]+\//;

/** Whose path it is and what that caller may use. */
export interface PathRules {
  /** What relative paths are below: `/local/domain/<domid>`. */
  readonly base: string;
  /** Longest path below `/local/domain/<n>/`, in bytes; `undefined` for callers without that limit. */
  readonly limit: number | undefined;
}

/** `/local/domain/<domid>`. */
export function domainPath(domid: number): string {
  return `/local/domain/${domid}`;
}

/** The absolute path of a node, or `EINVAL`. */
export function nodePath(raw: string, rules: PathRules): string {
  const relative = !raw.startsWith('/');
  if (relative && (raw.length === 0 || raw.startsWith('@') || raw.length > RELATIVE_PATH_MAX))
    refuse('EINVAL');
  const path = relative ? `${rules.base}/${raw}` : raw;
  if (path.length > ABSOLUTE_PATH_MAX || !ABSOLUTE.test(path)) refuse('EINVAL');
  if (rules.limit !== undefined && path.length > rules.limit) {
    const prefix = DOMAIN_PREFIX.exec(path)?.[0].length ?? 0;
    if (path.length - prefix > rules.limit) refuse('EINVAL');
  }
  return path;
}

/** As {@link nodePath}, and accepts the `@` paths that stand for events of the system. */
export function nodeOrSpecialPath(raw: string, rules: PathRules): string {
  if (!raw.startsWith('@')) return nodePath(raw, rules);
  if (raw.length > RELATIVE_PATH_MAX || !SPECIAL.test(raw)) refuse('EINVAL');
  return raw;
}

export function isSpecial(path: string): boolean {
  return path.startsWith('@');
}

/** The path a node's parent has; `undefined` for `/` and for special paths. */
export function parentPath(path: string): string | undefined {
  if (path === '/' || isSpecial(path)) return undefined;
  const slash = path.lastIndexOf('/');
  return slash === 0 ? '/' : path.slice(0, slash);
}

/** The last component of a path. */
export function nodeName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The path of a child. */
export function childPath(parent: string, name: string): string {
  return parent === '/' ? `/${name}` : `${parent}/${name}`;
}
