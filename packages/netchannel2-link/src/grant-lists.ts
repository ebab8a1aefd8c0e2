import type { DomainId, GrantPublications, GrantRef, GrantRevocations, MemoryArea } from '@netchannel2/xen';
import type { LinkBlock } from './link-block';

/** Bytes of a publication in its list. */
const PUBLICATION_BYTES = 16;

/** Lists of grants that kernels write into, where they lie in memory that kernels reach. */
export class GrantLists {
  private constructor(
    readonly block: LinkBlock,
    private readonly peer: DomainId,
    readonly publications: GrantPublications,
    readonly revocations: GrantRevocations,
    private readonly publicationList: MemoryArea,
    private readonly revocationList: MemoryArea,
  ) {}

  /** @returns `undefined` where kernels cannot do it. */
  static create(
    block: LinkBlock | undefined,
    peer: DomainId,
    publications: GrantPublications | undefined,
    revocations: GrantRevocations | undefined,
  ): GrantLists | undefined {
    if (block === undefined || publications?.list === undefined || revocations?.list === undefined)
      return undefined;
    return new GrantLists(block, peer, publications, revocations, publications.list, revocations.list);
  }

  /** Address of the next publication, once there is room for `count`: those that were added are published where there is none. */
  nextPublications(count: number): number {
    const { publications } = this;
    if (publications.length + count > publications.capacity) publications.publish();
    return this.publicationList.base + publications.length * PUBLICATION_BYTES;
  }

  /** Address of the first revocation. */
  get revocationBase(): number {
    return this.revocationList.base;
  }

  /** Grant `part` of packets `id` has a reference of its own. */
  setReference(id: number, part: number, ref: GrantRef): void {
    this.block.setModels(id, part, ref, this.peer, this.publications, this.revocations);
  }
}
