/**
 * The errno names Xen's event channels, hypercalls and xenstore answer with, and their Linux numbers.
 *
 * @packageDocumentation
 */

const NUMBERS = {
  EPERM: 1,
  ENOENT: 2,
  ESRCH: 3,
  EIO: 5,
  E2BIG: 7,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EFAULT: 14,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EISDIR: 21,
  EINVAL: 22,
  ENOSPC: 28,
  EROFS: 30,
  ERANGE: 34,
  ENOSYS: 38,
  ENOTEMPTY: 39,
  EPROTO: 71,
  EOPNOTSUPP: 95,
  EISCONN: 106,
  ENOTCONN: 107,
  ETIMEDOUT: 110,
} as const;

/** An errno by name. Operations that answer `value | Errno` are told apart with `typeof answer === 'string'`. */
export type Errno = keyof typeof NUMBERS;

/** The positive Linux number of an errno: 22 for `EINVAL`. */
export function errnoNumber(errno: Errno): number {
  return NUMBERS[errno];
}

/** The name of a positive or negative errno number; unknown numbers read as `EINVAL`. */
export function errnoName(value: number): Errno {
  const magnitude = Math.abs(value);
  for (const [name, number] of Object.entries(NUMBERS)) {
    if (number === magnitude) return name as Errno;
  }
  return 'EINVAL';
}
