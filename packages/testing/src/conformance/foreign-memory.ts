import { type Domain, domainId, GrantStatus, grantRef, PAGE_SIZE, type SharedPages } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrioFactory, knownInUse, mappingOf, required, withDomains } from './domain-trio';
import { bytesOf, copyOut, filledPages } from './page-bytes';

const NOBODY = domainId(77);
const BEYOND_ANY_TABLE = grantRef(0xfffffff0);

function sharedBy(granter: Domain, grantee: Domain, pages: number): SharedPages {
  const shared = required(granter.grants.share(grantee.id, pages, 'readwrite'), 'shared pages');
  for (let page = 0; page < pages; page += 1) {
    granter.memory.copyIn(shared.area, page * PAGE_SIZE, new Uint8Array(PAGE_SIZE).fill(page + 1));
  }
  return shared;
}

const firstOf = (shared: SharedPages) => required(shared.refs[0], 'a reference');

/** What every `ForeignMemory` must do: mappings, and copies that succeed or fail one by one. */
export function describeForeignMemory(name: string, factory: DomainTrioFactory): void {
  describeMappings(name, factory);
  describeCopies(name, factory);
}

function describeMappings(name: string, factory: DomainTrioFactory): void {
  describe(`mappings: ${name}`, () => {
    it(
      'lie side by side in the order of their references',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 4);
        const mapping = mappingOf(grantee.foreign.map(granter.id, shared.refs, 'readonly'));
        expect(mapping.area.pages).toHaveLength(4);
        expect(mapping.area.pages.map((page) => bytesOf(page, 0, 1)[0])).toEqual([1, 2, 3, 4]);
        expect(bytesOf(mapping.area, 2 * PAGE_SIZE - 1, 2)).toEqual(Uint8Array.of(2, 3));
        mapping.unmap();
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'read as empty once unmapped, and may be unmapped again',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 2);
        const mapping = mappingOf(grantee.foreign.map(granter.id, shared.refs, 'readwrite'));
        mapping.unmap();
        mapping.unmap();
        expect(mapping.area.byteLength).toBe(0);
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'of one grant live and end each on its own',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 1);
        const first = mappingOf(grantee.foreign.map(granter.id, shared.refs, 'readwrite'));
        const second = mappingOf(grantee.foreign.map(granter.id, shared.refs, 'readonly'));
        first.unmap();
        first.unmap();
        expect(bytesOf(second.area, 0, 1)).toEqual(Uint8Array.of(1));
        expect(shared.end()).toBe(knownInUse(granter, 1));
        second.unmap();
      }),
    );

    it.each([
      ['a domain that does not exist', NOBODY, GrantStatus.badDomain],
      ['a reference beyond the table', BEYOND_ANY_TABLE, GrantStatus.badGrantRef],
    ])('are refused by status for %s', async (_, odd, expected) => {
      await withDomains(factory, ({ granter, grantee }) => {
        const answer =
          expected === GrantStatus.badDomain
            ? grantee.foreign.map(NOBODY, [grantRef(8)], 'readonly')
            : grantee.foreign.map(granter.id, [grantRef(odd)], 'readonly');
        expect(answer).toBe(expected);
      })();
    });

    it(
      'are refused where nothing was granted',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 1);
        const unused = grantRef(firstOf(shared) + 5);
        expect(grantee.foreign.map(granter.id, [unused], 'readonly')).toBe(GrantStatus.generalError);
        expect(shared.end()).toBe(0);
        expect(grantee.foreign.map(granter.id, shared.refs, 'readonly')).toBe(GrantStatus.generalError);
      }),
    );

    it(
      'are all or nothing: one bad reference leaves no page mapped',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 2);
        const refs = [...shared.refs, BEYOND_ANY_TABLE];
        expect(grantee.foreign.map(granter.id, refs, 'readwrite')).toBe(GrantStatus.badGrantRef);
        expect(shared.end()).toBe(0);
      }),
    );
  });
}

function describeCopies(name: string, factory: DomainTrioFactory): void {
  describe(`grant copies: ${name}`, () => {
    it(
      'move the bytes they name, and no others',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 1);
        const own = filledPages(grantee, 1, 0xaa);
        const batch = grantee.foreign.createCopyBatch(4);
        expect([batch.capacity, batch.length]).toEqual([4, 0]);
        batch.addFromGrant(granter.id, firstOf(shared), 10, own, 100, 3);
        batch.addToGrant(own, 200, granter.id, firstOf(shared), 4095, 1);
        expect(batch.length).toBe(2);
        batch.submit();
        expect([batch.status(0), batch.status(1)]).toEqual([GrantStatus.okay, GrantStatus.okay]);
        expect(bytesOf(own, 99, 5)).toEqual(Uint8Array.of(0xaa, 1, 1, 1, 0xaa));
        expect(bytesOf(shared.area, 4094, 2)).toEqual(Uint8Array.of(1, 0xaa));
        grantee.memory.free(own);
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'succeed or fail each alone, with the status of their own',
      withDomains(factory, ({ granter, grantee, bystander, oneDomain }) => {
        const shared = sharedBy(granter, grantee, 2);
        const [good, other] = [firstOf(shared), required(shared.refs[1], 'a reference')];
        const forOther = sharedBy(granter, bystander, 1);
        const own = filledPages(grantee, 1, 0xaa);
        const batch = grantee.foreign.createCopyBatch(8);
        batch.addFromGrant(granter.id, good, 0, own, 0, 1);
        batch.addFromGrant(granter.id, BEYOND_ANY_TABLE, 0, own, 1, 1);
        batch.addFromGrant(NOBODY, good, 0, own, 2, 1);
        batch.addFromGrant(granter.id, firstOf(forOther), 0, own, 3, 1);
        batch.addFromGrant(granter.id, good, 4000, own, 4, 97);
        batch.addFromGrant(granter.id, good, 4095, own, 4, 1);
        batch.addFromGrant(granter.id, other, 0, own, 5, 1);
        batch.submit();
        expect(Array.from({ length: batch.length }, (_, index) => batch.status(index))).toEqual([
          GrantStatus.okay,
          GrantStatus.badGrantRef,
          GrantStatus.badDomain,
          oneDomain === true ? GrantStatus.okay : GrantStatus.generalError,
          GrantStatus.badCopyArgument,
          GrantStatus.okay,
          GrantStatus.okay,
        ]);
        const kept = oneDomain === true ? 1 : 0xaa;
        expect(bytesOf(own, 0, 7)).toEqual(Uint8Array.of(1, 0xaa, 0xaa, kept, 1, 2, 0xaa));
        grantee.memory.free(own);
        expect(shared.end() + forOther.end()).toBe(0);
      }),
    );

    it(
      'go from one grant into another',
      withDomains(factory, ({ granter, grantee, bystander }) => {
        const source = sharedBy(granter, grantee, 1);
        const target = sharedBy(bystander, grantee, 1);
        const batch = grantee.foreign.createCopyBatch(1);
        bystander.memory.copyIn(target.area, 0, new Uint8Array(PAGE_SIZE));
        batch.addBetweenGrants(granter.id, firstOf(source), 7, bystander.id, firstOf(target), 9, 2);
        batch.submit();
        expect(batch.status(0)).toBe(GrantStatus.okay);
        expect(bytesOf(target.area, 8, 4)).toEqual(Uint8Array.of(0, 1, 1, 0));
        expect(source.end() + target.end()).toBe(0);
      }),
    );

    it(
      'can be cleared and used again, full or empty',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 1);
        const own = filledPages(grantee, 1, 0);
        const batch = grantee.foreign.createCopyBatch(512);
        batch.submit();
        for (let round = 1; round <= 3; round += 1) {
          granter.memory.copyIn(shared.area, 0, new Uint8Array(512).fill(round));
          for (let index = 0; index < 512; index += 1) {
            batch.addFromGrant(granter.id, firstOf(shared), index, own, 511 - index, 1);
          }
          batch.submit();
          const statuses = Array.from({ length: 512 }, (_, index) => batch.status(index));
          expect(statuses.every((status) => status === GrantStatus.okay)).toBe(true);
          expect(bytesOf(own, 0, 513)).toEqual(Uint8Array.of(...new Uint8Array(512).fill(round), 0));
          batch.clear();
          expect(batch.length).toBe(0);
        }
        grantee.memory.free(own);
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'leave no use behind: the grant ends at once',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = sharedBy(granter, grantee, 1);
        for (let round = 0; round < 300; round += 1) {
          expect(copyOut(grantee, granter, firstOf(shared), round, 1).status).toBe(GrantStatus.okay);
        }
        expect(shared.end()).toBe(0);
      }),
    );
  });
}
