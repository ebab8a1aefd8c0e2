import { domainId } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { openXenHost } from './host-domain';
import { connectHostStore } from './host-store';
import { GNTALLOC, GNTDEV, openFailure, requireXen } from './native/device-errors';
import { SharedLibrary } from './native/shared-library';
import { XenHostError } from './xen-host-error';

describe('what is missing is said plainly', () => {
  it('a library: the package to install', () => {
    const library = new SharedLibrary('libxen-of-nobody.so.1', 'libxen-of-nobody1');
    expect(() => library.func('int f(void)')).toThrow(XenHostError);
    expect(() => library.func('int f(void)')).toThrow(/Install the package libxen-of-nobody1/);
  });

  it('a function: the library is too old', () => {
    const library = new SharedLibrary('libc.so.6', 'libc6');
    expect(() => library.func('int xengnttab_of_tomorrow(void)')).toThrow(/too old.*newer libc6/);
  });

  it('a device: the module to load', () => {
    expect(openFailure(GNTALLOC, 2).message).toContain('modprobe xen-gntalloc');
    expect(openFailure(GNTDEV, 19).message).toContain('modprobe xen-gntdev');
  });

  it('a permission: the device to open up', () => {
    expect(openFailure(GNTDEV, 13).message).toMatch(/No permission to open \/dev\/xen\/gntdev\. Run as root/);
    expect(openFailure(GNTDEV, 12).message).toBe('/dev/xen/gntdev cannot be opened: ENOMEM.');
  });

  it('Xen itself', () => {
    expect(() => requireXen('xen')).not.toThrow();
    expect(() => requireXen(undefined)).toThrow(/no Xen domain/);
    expect(() => requireXen('kvm')).toThrow(/no Xen domain/);
  });

  it('xenstored', async () => {
    await expect(connectHostStore({ socketPath: '/nowhere/socket' })).rejects.toThrow(
      'Nobody serves /nowhere/socket: is xenstored running?',
    );
  });

  it('the caller’s own mistakes', async () => {
    await expect(openXenHost({ domid: domainId(0), memoryPages: 0 })).rejects.toThrow(RangeError);
  });
});
