import type { DomainId, GrantPublications, GrantRef, GrantRevocations, MemoryArea } from '@netchannel2/xen';
import type { LinkBlock } from './link-block';

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

  /** Address of the first publication. */
  get publicationBase(): number {
    return this.publicationList.base;
  }

  /** Address of the first revocation. */
  get revocationBase(): number {
    return this.revocationList.base;
  }

  /** The first grant of packets `id` has a reference of its own. */
  setReference(id: number, ref: GrantRef): void {
    this.block.setModels(id, ref, this.peer, this.publications, this.revocations);
  }
}
