/**
 * Why a Xen host cannot be used as it is. The message names what to provide: a package, a device, a kernel module, a right.
 */
export class XenHostError extends Error {
  override readonly name = 'XenHostError';
}
