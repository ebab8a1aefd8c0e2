import type {
  DomainId,
  GrantEntries,
  GrantPublications,
  GrantRef,
  GrantRevocations,
  GuestFrame,
} from '@netchannel2/xen';

/** Publications kept as work to be done, one by one. */
export class PlainPublications implements GrantPublications {
  private work: (() => void)[] = [];

  constructor(
    private readonly entries: GrantEntries,
    readonly capacity: number,
  ) {}

  get length(): number {
    return this.work.length;
  }

  addFullPage(ref: GrantRef, peer: DomainId, frame: GuestFrame, readonly: boolean): void {
    this.work.push(() => this.entries.publishFullPage(ref, peer, frame, readonly));
  }

  addSubPage(
    ref: GrantRef,
    peer: DomainId,
    frame: GuestFrame,
    offset: number,
    length: number,
    readonly: boolean,
  ): void {
    this.work.push(() => this.entries.publishSubPage(ref, peer, frame, offset, length, readonly));
  }

  addTransitive(ref: GrantRef, peer: DomainId, owner: DomainId, ownerRef: GrantRef, readonly: boolean): void {
    this.work.push(() => this.entries.publishTransitive(ref, peer, owner, ownerRef, readonly));
  }

  publish(): void {
    for (const publish of this.work.splice(0)) publish();
  }

  clear(): void {
    this.work = [];
  }

  end(): void {
    this.clear();
  }
}

export class PlainRevocations implements GrantRevocations {
  private readonly refs: GrantRef[] = [];

  constructor(
    private readonly entries: GrantEntries,
    readonly capacity: number,
  ) {}

  get length(): number {
    return this.refs.length;
  }

  add(ref: GrantRef): void {
    this.refs.push(ref);
  }

  revoke(first: number): number {
    const { refs, entries } = this;
    for (let number = first; number < refs.length; number += 1) {
      const ref = refs[number];
      if (ref !== undefined && !entries.revoke(ref)) return number;
    }
    return refs.length;
  }

  clear(): void {
    this.refs.length = 0;
  }

  end(): void {
    this.clear();
  }
}
