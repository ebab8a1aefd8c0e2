/** A process may be given a bound of what it maps. */
import { domainId, GrantStatus } from '@netchannel2/xen';
import { openXenHost, processMemory, XenHostError } from '@netchannel2/xen-host';
import { XenStoreClient, XenStoreServer } from '@netchannel2/xenstore';
import { describe, expect, it } from 'vitest';
import { InProcessXen } from './in-process-xen';

describe('maximumMappings', () => {
  const open = (xen: InProcessXen, server: XenStoreServer, domid: number, maximumMappings?: number) =>
    openXenHost({
      domid: domainId(domid),
      store: new XenStoreClient(server.connect({ domid, privileged: true })),
      memoryPages: 64,
      libraries: xen.domain(domid),
      ...(maximumMappings === undefined ? {} : { maximumMappings }),
    });

  it('refuses what lies beyond by a status, and takes it again once there is room', async () => {
    const xen = new InProcessXen(processMemory());
    const server = new XenStoreServer();
    const granter = await open(xen, server, 1);
    const mapper = await open(xen, server, 2, 2);
    const pages = granter.grants.share(mapper.id, 3, 'readwrite');
    const refs = pages?.refs ?? [];
    expect(mapper.foreign.map(granter.id, refs, 'readonly')).toBe(GrantStatus.generalError);
    const two = mapper.foreign.map(granter.id, refs.slice(0, 2), 'readonly');
    expect(two).not.toBeTypeOf('number');
    expect(() => mapper.foreign.setMaximum(1)).toThrow(XenHostError);
    if (typeof two !== 'number') two.unmap();
    const last = mapper.foreign.map(granter.id, refs.slice(2), 'readonly');
    expect(last).not.toBeTypeOf('number');
    if (typeof last !== 'number') last.unmap();
    pages?.end();
    expect(xen.left).toBe(0);
    for (const host of [granter, mapper]) host.close();
    server.close();
    xen.close();
  });

  it('is a whole number from 1', async () => {
    const xen = new InProcessXen(processMemory());
    const server = new XenStoreServer();
    for (const bound of [0, -1, 1.5, Number.NaN, 2 ** 32]) {
      await expect(open(xen, server, 1, bound)).rejects.toThrow(/maximumMappings/);
    }
    server.close();
    xen.close();
  });
});
