import { DeviceError } from '@netchannel2/device-registry';
import { type GrantEntries, type GrantRef, NO_GRANT_REF } from '@netchannel2/xen';

/** Takes `count` references, all or none. @throws DeviceError `ENOSPC` when the grant table is full. */
export function takeGrantRefs(entries: GrantEntries, count: number): GrantRef[] {
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
