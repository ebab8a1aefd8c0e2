/**
 * Negative errno numbers a grant-table hypercall returns as a whole.
 *
 * @packageDocumentation
 */
export const EPERM = -1;
export const ESRCH = -3;
export const EAGAIN = -11;
export const ENOMEM = -12;
export const EFAULT = -14;
export const EBUSY = -16;
export const EINVAL = -22;
export const ERANGE = -34;
export const ENOSYS = -38;
export const EOPNOTSUPP = -95;
