/**
 * Status of one grant operation: `GNTST_*` of `public/grant_table.h`, spec `grant-tables.md` §2.2.
 *
 * Grant operations never throw for what a peer did; each element of a batch answers one of these.
 *
 * @packageDocumentation
 */

export const GrantStatus = {
  okay: 0,
  generalError: -1,
  badDomain: -2,
  badGrantRef: -3,
  badHandle: -4,
  badVirtualAddress: -5,
  badDeviceAddress: -6,
  noDeviceSpace: -7,
  permissionDenied: -8,
  badPage: -9,
  badCopyArgument: -10,
  addressTooBig: -11,
  again: -12,
  noSpace: -13,
} as const;

export type GrantStatus = (typeof GrantStatus)[keyof typeof GrantStatus];

const NAMES = [
  'GNTST_okay',
  'GNTST_general_error',
  'GNTST_bad_domain',
  'GNTST_bad_gntref',
  'GNTST_bad_handle',
  'GNTST_bad_virt_addr',
  'GNTST_bad_dev_addr',
  'GNTST_no_device_space',
  'GNTST_permission_denied',
  'GNTST_bad_page',
  'GNTST_bad_copy_arg',
  'GNTST_address_too_big',
  'GNTST_eagain',
  'GNTST_no_space',
] as const;

/** Xen's own name of a status, e.g. `GNTST_bad_gntref` for -3. */
export function grantStatusName(status: number): string {
  return NAMES[-status] ?? `GNTST_unknown(${status})`;
}
