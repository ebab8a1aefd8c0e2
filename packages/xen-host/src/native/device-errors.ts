import { readFileSync } from 'node:fs';
import { errnoName } from '@netchannel2/xen';
import { XenHostError } from '../xen-host-error';

/** A device of the kernel that a library opens. */
export interface KernelDevice {
  readonly path: string;
  /** The kernel module that makes it. */
  readonly module: string;
}

export const GNTDEV: KernelDevice = { path: '/dev/xen/gntdev', module: 'xen-gntdev' };
export const GNTALLOC: KernelDevice = { path: '/dev/xen/gntalloc', module: 'xen-gntalloc' };
export const EVTCHN: KernelDevice = { path: '/dev/xen/evtchn', module: 'xen-evtchn' };

/** @throws XenHostError where this is no Xen domain. */
export function requireXen(hypervisorType: string | undefined): void {
  if (hypervisorType === 'xen') return;
  throw new XenHostError(
    'This machine is no Xen domain (/sys/hypervisor/type does not say xen). Boot it under Xen, or use the simulated Xen.',
  );
}

/** Why `device` could not be opened, and what to do about it. */
export function openFailure(device: KernelDevice, errno: number): XenHostError {
  const code = errnoName(errno);
  if (code === 'ENOENT' || code === 'ENODEV') {
    return new XenHostError(
      `${device.path} does not exist. Load the kernel module: modprobe ${device.module}.`,
    );
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new XenHostError(
      `No permission to open ${device.path}. Run as root, or give this user read and write access to the device.`,
    );
  }
  return new XenHostError(`${device.path} cannot be opened: ${code}.`);
}

/** The hypervisor the running kernel says it runs on. */
export function hypervisorType(): string | undefined {
  try {
    return readFileSync('/sys/hypervisor/type', 'utf8').trim();
  } catch {
    return undefined;
  }
}
