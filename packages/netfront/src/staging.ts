import {
  CtrlType,
  GREF_ENTRY_WORDS,
  GREF_LIST_ENTRIES_MAX,
  GREF_READONLY,
  writeGrefEntry,
} from '@netchannel2/netif';
import type { GrantRef } from '@netchannel2/xen';
import type { ControlChannel } from './control-channel';

/** Pages of a queue that are shared for as long as the connection lives. */
export interface StagedRefs {
  /** The backend only reads these. */
  readonly transmit: readonly GrantRef[];
  readonly receive: readonly GrantRef[];
}

/**
 * Has the backend map a queue's shared pages for good, as many as it takes; it copies through grants from and to the
 * rest. Answers how many it mapped.
 */
export async function mapStagedPages(
  control: ControlChannel,
  queue: number,
  refs: StagedRefs,
): Promise<number> {
  const capacity = await control.request(CtrlType.getGrefMappingSize, queue);
  const entries = [
    ...refs.transmit.map((ref) => [ref, GREF_READONLY] as const),
    ...refs.receive.map((ref) => [ref, 0] as const),
  ].slice(0, capacity);
  for (let start = 0; start < entries.length; start += GREF_LIST_ENTRIES_MAX) {
    const list = entries.slice(start, start + GREF_LIST_ENTRIES_MAX);
    await control.withPage(async (page) => {
      const { words, base } = page.area;
      list.forEach(([ref, flags], index) => {
        writeGrefEntry(words, (base >> 2) + index * GREF_ENTRY_WORDS, ref, flags);
      });
      await control.request(CtrlType.addGrefMapping, queue, page.refs[0], list.length);
    });
  }
  return entries.length;
}
