import { type GrantEntries, type GrantRef, NO_GRANT_REF } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrio, type DomainTrioFactory, mappingOf, required, withDomains } from './domain-trio';
import { filledPages } from './page-bytes';

/** Runs a test where the domain hands out references of its own table; elsewhere there is nothing to wait for. */
function withReferences(
  factory: DomainTrioFactory,
  body: (entries: GrantEntries, trio: DomainTrio) => void | Promise<void>,
): () => Promise<void> {
  return withDomains(factory, (trio) => {
    const { entries } = trio.granter.grants;
    return entries === undefined ? undefined : body(entries, trio);
  });
}

/** Takes all references but `left`. */
function takeAllBut(left: number, entries: GrantEntries, { granter }: DomainTrio): GrantRef[] {
  return Array.from({ length: granter.grants.freeRefs - left }, () => entries.allocate());
}

/** What `GrantEntries.whenFree` and `statistics` must do. */
export function describeGrantReferences(name: string, factory: DomainTrioFactory): void {
  describe(`grant references: ${name}`, () => {
    it(
      'serve a waiter at once where there are enough',
      withReferences(factory, (entries) => {
        let served = 0;
        entries.whenFree(5, () => {
          served += 1;
        });
        expect(served).toBe(1);
      }),
    );

    it(
      'serve waiters in order as references are freed, each once, and never one who gave up',
      withReferences(factory, (entries, trio) => {
        const taken = takeAllBut(0, entries, trio);
        expect(entries.allocate()).toBe(NO_GRANT_REF);
        const log: string[] = [];
        const wait = (count: number, who: string) =>
          entries.whenFree(count, () => {
            log.push(who);
          });
        wait(2, 'first');
        const giveUp = wait(1, 'second');
        wait(1, 'third');
        giveUp();
        const freeOne = () => entries.free(required(taken.pop(), 'a reference'));
        freeOne();
        expect(log).toEqual([]);
        freeOne();
        expect(log).toEqual(['first', 'third']);
        while (taken.length > 0) freeOne();
        expect(log).toEqual(['first', 'third']);
      }),
    );

    it(
      'count what was published, revoked, refused and deferred',
      withReferences(factory, async (entries, trio) => {
        const { granter, grantee, settle } = trio;
        const before = entries.statistics;
        const changed = () => {
          const now = entries.statistics;
          return {
            published: now.published - before.published,
            revoked: now.revoked - before.revoked,
            inUseAnswers: now.inUseAnswers - before.inUseAnswers,
            deferred: now.deferred,
            deferredEnded: now.deferredEnded - before.deferredEnded,
            exhausted: now.exhausted - before.exhausted,
            allocatedRefs: now.allocatedRefs - before.allocatedRefs,
            freeRefs: now.freeRefs - before.freeRefs,
          };
        };
        const area = filledPages(granter, 1, 7);
        const { frame } = required(area.pages[0], 'a page');
        const ref = entries.allocate();
        entries.publishFullPage(ref, grantee.id, frame, false);
        expect(entries.revoke(ref)).toBe(true);
        entries.publishFullPage(ref, grantee.id, frame, false);
        const mapping = mappingOf(grantee.foreign.map(granter.id, [ref], 'readwrite'));
        expect(entries.revoke(ref)).toBe(false);
        expect(changed()).toEqual({
          published: 2,
          revoked: 1,
          inUseAnswers: 1,
          deferred: 0,
          deferredEnded: 0,
          exhausted: 0,
          allocatedRefs: 1,
          freeRefs: -1,
        });
        entries.revokeDeferred(ref);
        expect(changed()).toMatchObject({ deferred: 1, deferredEnded: 0, allocatedRefs: 1 });
        mapping.unmap();
        await settle();
        expect(changed()).toMatchObject({
          revoked: 2,
          deferred: 0,
          deferredEnded: 1,
          allocatedRefs: 0,
          freeRefs: 0,
        });
        const taken = takeAllBut(0, entries, trio);
        expect(entries.allocate()).toBe(NO_GRANT_REF);
        expect(changed()).toMatchObject({
          exhausted: 1,
          allocatedRefs: taken.length,
          freeRefs: -taken.length,
        });
        for (const each of taken) entries.free(each);
        expect(changed()).toMatchObject({ exhausted: 1, allocatedRefs: 0, freeRefs: 0 });
        granter.memory.free(area);
      }),
    );
  });
}
