import { Machine } from '@netchannel2/hypervisor';
import type { Domain, DomainId, GrantEntries, GrantRef, GuestFrame, PageArea } from '@netchannel2/xen';

export type GrantTableVersion = 1 | 2;

/** A machine with a dom0 and a guest that grants pages, all domains with a table of one version. */
export class Granter {
  readonly machine: Machine;
  readonly dom0: Domain;
  readonly guest: Domain;
  readonly entries: GrantEntries;
  private readonly area: PageArea;

  constructor(version: GrantTableVersion) {
    this.machine = Machine.boot({ memoryBytes: 64 << 20 });
    this.dom0 = this.machine.createDomain({ memoryPages: 512, grantTableVersion: version });
    this.guest = this.machine.createDomain({ memoryPages: 512, grantTableVersion: version });
    const area = this.guest.memory.allocate(64);
    const { entries } = this.guest.grants;
    if (area === undefined || entries === undefined) throw new Error('no memory for the benchmark');
    this.area = area;
    this.entries = entries;
  }

  /** One of the guest's pages, by any number. */
  frame(index: number): GuestFrame {
    const page = this.area.pages[index % this.area.pages.length];
    if (page === undefined) throw new Error('an area has pages');
    return page.frame;
  }

  /** Grants `count` pages to a domain, for reading and writing. */
  grantTo(domid: DomainId, count: number): GrantRef[] {
    return Array.from({ length: count }, (_, index) => {
      const ref = this.entries.allocate();
      this.entries.publishFullPage(ref, domid, this.frame(index), false);
      return ref;
    });
  }
}
