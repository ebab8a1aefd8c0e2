/**
 * Permission lists of nodes (spec §5).
 *
 * @packageDocumentation
 */
import { DOMID_ANY } from '@netchannel2/xen';
import { refuse } from './refusal';

export const READ = 1;
export const WRITE = 2;
const OWNER = 4;
const ALL = READ | WRITE | OWNER;
/** What SET_PERMS asks for. */
export const CHANGE_PERMISSIONS = WRITE | OWNER;

export interface PermissionEntry {
  readonly domid: number;
  /** {@link READ} and {@link WRITE} bits. */
  readonly access: number;
  /** Named a domain that did not exist: kept for GET_PERMS, grants nothing, not even to a later domain. */
  readonly ignored: boolean;
}

/** The first entry names the owner; its access is that of everybody unlisted. Never empty, never changed. */
export type PermissionList = readonly [PermissionEntry, ...PermissionEntry[]];

/** Whose access is asked for. */
export interface Identity {
  readonly domid: number;
  readonly privileged: boolean;
  /** The domain this one also acts as (SET_TARGET). */
  readonly target: number | undefined;
}

const LETTERS = ['n', 'r', 'w', 'b'] as const;
const ENTRY = /^([nrwb])(0[xX][0-9a-fA-F]+|[0-9]+)$/;

/** Only the owner, and nobody else. */
export function ownedBy(domid: number): PermissionList {
  return [{ domid, access: 0, ignored: false }];
}

/** One entry from its text, such as `r5`; `EINVAL` where it is none. Domids may be decimal, octal or hexadecimal. */
export function parsePermission(text: string): PermissionEntry {
  const match = ENTRY.exec(text);
  if (match === null) refuse('EINVAL');
  const [, letter, digits] = match;
  const octal = digits !== undefined && /^0[0-7]+$/.test(digits);
  const domid = octal ? Number.parseInt(digits, 8) : Number(digits);
  if (!Number.isInteger(domid) || domid > 0xffff) refuse('EINVAL');
  return { domid, access: LETTERS.indexOf(letter as (typeof LETTERS)[number]), ignored: false };
}

/** The payload of GET_PERMS: each entry and a NUL. */
export function formatPermissions(permissions: PermissionList): string {
  let text = '';
  for (const { domid, access } of permissions) text += `${LETTERS[access]}${domid}\0`;
  return text;
}

/** The rights of a caller on a node, as {@link READ}, {@link WRITE} and owner bits. */
export function accessOf(identity: Identity, permissions: PermissionList): number {
  if (identity.privileged) return ALL;
  const [owner] = permissions;
  const { domid, target } = identity;
  if (owner.domid === domid || owner.domid === target) return ALL;
  for (let index = 1; index < permissions.length; index++) {
    const entry = permissions[index];
    if (entry === undefined || entry.ignored) continue;
    if (entry.domid === domid || entry.domid === target || entry.domid === DOMID_ANY) return entry.access;
  }
  return owner.access;
}

export function allows(identity: Identity, permissions: PermissionList, needed: number): boolean {
  return (accessOf(identity, permissions) & needed) === needed;
}

/** The list with another owner. */
export function withOwner(permissions: PermissionList, domid: number): PermissionList {
  const [owner, ...others] = permissions;
  return owner.domid === domid ? permissions : [{ ...owner, domid, ignored: false }, ...others];
}

/** The list without the entries that name `domid`, the owner's excepted; the same object when none does. */
export function withoutDomain(permissions: PermissionList, domid: number): PermissionList {
  const [owner, ...others] = permissions;
  if (!others.some((entry) => entry.domid === domid)) return permissions;
  return [owner, ...others.filter((entry) => entry.domid !== domid)];
}
