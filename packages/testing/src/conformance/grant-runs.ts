import { type GrantEntries, type GrantRef, GrantStatus, type Page } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrio, type DomainTrioFactory, mappingOf, required, withDomains } from './domain-trio';
import { copyInto, copyOut, filledPages } from './page-bytes';

const COUNT = 5;
const CAPACITY = 300;

interface Run extends DomainTrio {
  readonly entries: GrantEntries;
  readonly refs: GrantRef[];
  readonly pages: readonly Page[];
}

/** Some pages and references, given back afterwards; nothing where the domain has no entries of its own. */
function withRun(factory: DomainTrioFactory, body: (run: Run) => void): () => Promise<void> {
  return withDomains(factory, (trio) => {
    const { granter } = trio;
    const { entries } = granter.grants;
    if (entries === undefined) return;
    const free = [granter.grants.freeRefs, granter.memory.freePages];
    const area = filledPages(granter, COUNT, 7);
    const refs = Array.from({ length: COUNT }, () => entries.allocate());
    body({ ...trio, entries, refs, pages: area.pages });
    for (const ref of refs) entries.free(ref);
    granter.memory.free(area);
    expect([granter.grants.freeRefs, granter.memory.freePages]).toEqual(free);
  });
}

/** What runs of publications and revocations must do: the same as one by one. */
export function describeGrantRuns(name: string, factory: DomainTrioFactory): void {
  describe(`runs of grant entries: ${name}`, () => {
    it.each([0, -1, 1.5])('refuse a capacity of %s by name', async (capacity) => {
      await withRun(factory, ({ entries }) => {
        expect(() => entries.createPublications(capacity)).toThrow(RangeError);
        expect(() => entries.createRevocations(capacity)).toThrow(RangeError);
      })();
    });

    it(
      'open pages when they are published, not before, and close them all',
      withRun(factory, ({ entries, refs, pages, granter, grantee, bystander }) => {
        const publications = required(entries.createPublications(CAPACITY), 'a run');
        const revocations = required(entries.createRevocations(CAPACITY), 'a run');
        const { published, revoked } = entries.statistics;
        refs.forEach((ref, index) => {
          const { frame } = required(pages[index], 'a page');
          publications.addFullPage(ref, grantee.id, frame, index % 2 === 0);
        });
        expect(publications.length).toBe(COUNT);
        for (const ref of refs)
          expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        publications.publish();
        expect(publications.length).toBe(0);
        refs.forEach((ref, index) => {
          expect(copyOut(grantee, granter, ref, 4092, 4).status).toBe(GrantStatus.okay);
          expect(copyOut(bystander, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
          const written = copyInto(grantee, granter, ref, 0, Uint8Array.of(1));
          expect(written).toBe(index % 2 === 0 ? GrantStatus.generalError : GrantStatus.okay);
        });
        for (const ref of refs) revocations.add(ref);
        expect(revocations.revoke(0)).toBe(COUNT);
        for (const ref of refs)
          expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        expect(entries.statistics).toMatchObject({ published: published + COUNT, revoked: revoked + COUNT });
        publications.end();
        revocations.end();
      }),
    );

    it(
      'publish nothing that was cleared, and nothing twice',
      withRun(factory, ({ entries, refs, pages, granter, grantee }) => {
        const publications = required(entries.createPublications(1), 'a run');
        const ref = required(refs[0], 'a reference');
        publications.addFullPage(ref, grantee.id, required(pages[0], 'a page').frame, true);
        publications.clear();
        publications.publish();
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        publications.addFullPage(ref, grantee.id, required(pages[0], 'a page').frame, true);
        publications.publish();
        expect(entries.revoke(ref)).toBe(true);
        publications.publish();
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        publications.end();
      }),
    );

    it(
      'have the kinds the table version has',
      withRun(factory, ({ entries, refs, pages, granter, grantee, bystander }) => {
        const publications = required(entries.createPublications(COUNT), 'a run');
        const [subPage, transitive, inner] = refs as [GrantRef, GrantRef, GrantRef];
        const { frame } = required(pages[0], 'a page');
        if (!entries.version2) {
          expect(() => publications.addSubPage(subPage, grantee.id, frame, 0, 1, true)).toThrow('version 2');
          expect(() => publications.addTransitive(subPage, grantee.id, bystander.id, inner, true)).toThrow(
            'version 2',
          );
        } else {
          publications.addSubPage(subPage, grantee.id, frame, 100, 20, true);
          publications.addTransitive(transitive, grantee.id, bystander.id, inner, true);
          publications.publish();
          expect(copyOut(grantee, granter, subPage, 100, 20).status).toBe(GrantStatus.okay);
          expect(copyOut(grantee, granter, subPage, 99, 20).status).not.toBe(GrantStatus.okay);
          expect(copyInto(grantee, granter, subPage, 100, Uint8Array.of(1))).not.toBe(GrantStatus.okay);
          expect(entries.revoke(subPage)).toBe(true);
          expect(entries.revoke(transitive)).toBe(true);
        }
        publications.end();
      }),
    );

    it(
      'take entries in that were written where they lie, from models',
      withRun(factory, ({ entries, refs, pages, granter, grantee }) => {
        const publications = required(entries.createPublications(COUNT), 'a run');
        const revocations = required(entries.createRevocations(COUNT), 'a run');
        const { list: published } = publications;
        const { list: revoked } = revocations;
        const end = () => {
          publications.end();
          revocations.end();
        };
        if (!entries.version2 || published === undefined || revoked === undefined) return end();
        const [added, ...rest] = refs as [GrantRef, ...GrantRef[]];
        const frameOf = (index: number) => required(pages[index], 'a page').frame;
        publications.addSubPage(added, grantee.id, frameOf(0), 8, 16, true);
        revocations.add(added);
        rest.forEach((ref, index) => {
          const at = (published.base >> 2) + 4 * (index + 1);
          publications.modelSubPage?.(ref, grantee.id, true, published.words, at);
          published.words[at + 1] = 8 | (16 << 16);
          published.words[at + 2] = frameOf(index + 1);
          revocations.model?.(ref, revoked.words, (revoked.base >> 2) + 2 * (index + 1));
        });
        publications.append?.(rest.length);
        revocations.append?.(rest.length);
        expect([publications.length, revocations.length]).toEqual([COUNT, COUNT]);
        expect(() => publications.append?.(1)).toThrow(RangeError);
        expect(() => revocations.append?.(1)).toThrow(RangeError);
        publications.publish();
        for (const ref of refs) {
          expect(copyOut(grantee, granter, ref, 8, 16).status).toBe(GrantStatus.okay);
          expect(copyOut(grantee, granter, ref, 7, 16).status).not.toBe(GrantStatus.okay);
          expect(copyInto(grantee, granter, ref, 8, Uint8Array.of(1))).not.toBe(GrantStatus.okay);
        }
        expect(revocations.revoke(0)).toBe(COUNT);
        for (const ref of refs)
          expect(copyOut(grantee, granter, ref, 8, 16).status).toBe(GrantStatus.generalError);
        return end();
      }),
    );

    it(
      'have a model of a transitive grant that differs from the other in its last word',
      withRun(factory, ({ entries, refs, grantee, bystander }) => {
        const publications = required(entries.createPublications(COUNT), 'a run');
        const { list, modelTransitive } = publications;
        const [ref, inner] = refs as [GrantRef, GrantRef];
        const words = new Int32Array(12);
        if (list === undefined || modelTransitive === undefined) return publications.end();
        if (!entries.version2)
          expect(() => publications.modelTransitive?.(ref, grantee.id, true, words, 0)).toThrow('version 2');
        else {
          publications.modelSubPage?.(ref, grantee.id, true, words, 0);
          publications.modelTransitive?.(ref, grantee.id, true, words, 4);
          expect(words.slice(4, 7)).toEqual(words.slice(0, 3));
          words.set([bystander.id, inner], 5);
          publications.addTransitive(ref, grantee.id, bystander.id, inner, true);
          expect(words.slice(4, 8)).toEqual(list.words.slice(list.base >> 2, (list.base >> 2) + 4));
          publications.addTransitive(ref, grantee.id, bystander.id, inner, false);
          publications.modelTransitive?.(ref, grantee.id, false, words, 8);
          expect(words[11]).toBe(list.words[(list.base >> 2) + 7]);
          publications.clear();
        }
        return publications.end();
      }),
    );

    it(
      'name the grants in use, one after the other, and revoke the rest',
      withRun(factory, ({ entries, refs, pages, granter, grantee }) => {
        refs.forEach((ref, index) => {
          entries.publishFullPage(ref, grantee.id, required(pages[index], 'a page').frame, true);
        });
        const used = [1, COUNT - 1];
        const mappings = used.map((index) =>
          mappingOf(grantee.foreign.map(granter.id, [required(refs[index], 'a reference')], 'readonly')),
        );
        const revocations = required(entries.createRevocations(COUNT), 'a run');
        for (const ref of refs) revocations.add(ref);
        const answers: number[] = [];
        for (let at = revocations.revoke(0); at < COUNT; at = revocations.revoke(at + 1)) answers.push(at);
        expect(answers).toEqual(used);
        for (const mapping of mappings) mapping.unmap();
        revocations.clear();
        for (const index of used) revocations.add(required(refs[index], 'a reference'));
        expect(revocations.revoke(0)).toBe(used.length);
        for (const ref of refs)
          expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        revocations.end();
      }),
    );
  });
}
