import { type Errno, errnoNumber } from '@netchannel2/xen';

/** The negative number a hypercall answers for an errno. */
const negative = (errno: Errno): number => -errnoNumber(errno);

export const EPERM = negative('EPERM');
export const ENOENT = negative('ENOENT');
export const ESRCH = negative('ESRCH');
export const EAGAIN = negative('EAGAIN');
export const ENOMEM = negative('ENOMEM');
export const EACCES = negative('EACCES');
export const EFAULT = negative('EFAULT');
export const EBUSY = negative('EBUSY');
export const EEXIST = negative('EEXIST');
export const EINVAL = negative('EINVAL');
export const ENOSPC = negative('ENOSPC');
export const ENOSYS = negative('ENOSYS');
export const EOPNOTSUPP = negative('EOPNOTSUPP');
