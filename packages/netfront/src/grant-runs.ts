import { DeviceError } from '@netchannel2/device-registry';
import {
  type GrantEntries,
  type GrantPublications,
  type GrantRef,
  type GrantRevocations,
  NO_GRANT_REF,
} from '@netchannel2/xen';

/** The grant references of a ring, one for each slot, and what publishes and revokes them in runs. */
export class GrantRuns {
  private constructor(
    private readonly entries: GrantEntries,
    /** `undefined` for a reference the backend would not let go of. */
    readonly refs: (GrantRef | undefined)[],
    readonly publications: GrantPublications,
    readonly revocations: GrantRevocations,
  ) {}

  /** @throws DeviceError `ENOSPC` when the grant table is full, `ENOMEM` when memory is short; nothing is held then. */
  static take(entries: GrantEntries, count: number): GrantRuns {
    const refs = takeGrantRefs(entries, count);
    const publications = entries.createPublications(count);
    const revocations = entries.createRevocations(count);
    if (publications !== undefined && revocations !== undefined)
      return new GrantRuns(entries, refs, publications, revocations);
    publications?.end();
    revocations?.end();
    for (const ref of refs) entries.free(ref);
    throw new DeviceError('ENOMEM', 'no memory for lists of grants');
  }

  /** The backend still uses what this reference grants: both are out of circulation until it lets go. */
  giveUp(index: number, ended: () => void): void {
    const ref = this.refs[index];
    if (ref === undefined) return;
    this.refs[index] = undefined;
    this.entries.revokeDeferred(ref, ended);
  }

  /** Frees the references, none of which grants anything any more. */
  end(): void {
    this.publications.end();
    this.revocations.end();
    for (const ref of this.refs.splice(0)) if (ref !== undefined) this.entries.free(ref);
  }
}

/** Takes `count` references, all or none. @throws DeviceError `ENOSPC` when the grant table is full. */
function takeGrantRefs(entries: GrantEntries, count: number): GrantRef[] {
  const refs: GrantRef[] = [];
  while (refs.length < count) {
    const ref = entries.allocate();
    if (ref === NO_GRANT_REF) {
      for (const taken of refs) entries.free(taken);
      throw new DeviceError('ENOSPC', `no ${count} free grant references for the rings' buffers`);
    }
    refs.push(ref);
  }
  return refs;
}
