import { GrantStatus, PAGE_SIZE } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrioFactory, knownInUse, mappingOf, required, withDomains } from './domain-trio';
import { bytesOf, copyInto, copyOut } from './page-bytes';

/** Refs 0 to 7 are the toolstack's (spec grant-tables.md §1.4). */
const FIRST_ORDINARY_REF = 8;

/** What `GrantTable.share` must do everywhere, also where a domain cannot write its own entries. */
export function describeSharedPages(name: string, factory: DomainTrioFactory): void {
  describe(`shared pages: ${name}`, () => {
    it(
      'gives the peer zeroed pages that both see, in order, under references of their own',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = required(granter.grants.share(grantee.id, 3, 'readwrite'), 'shared pages');
        expect(shared.refs).toHaveLength(3);
        expect(new Set(shared.refs).size).toBe(3);
        expect(Math.min(...shared.refs)).toBeGreaterThanOrEqual(FIRST_ORDINARY_REF);
        const mapping = mappingOf(grantee.foreign.map(granter.id, shared.refs, 'readwrite'));
        expect(mapping.owner).toBe(granter.id);
        expect(mapping.area.byteLength).toBe(3 * PAGE_SIZE);
        expect(bytesOf(mapping.area, 0, 3 * PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
        for (const page of [0, 1, 2]) {
          granter.memory.copyIn(shared.area, page * PAGE_SIZE, Uint8Array.of(page + 1));
          grantee.memory.copyIn(mapping.area, page * PAGE_SIZE + 1, Uint8Array.of(page + 11));
          expect(bytesOf(mapping.area, page * PAGE_SIZE, 2)).toEqual(Uint8Array.of(page + 1, page + 11));
          expect(bytesOf(shared.area, page * PAGE_SIZE, 2)).toEqual(Uint8Array.of(page + 1, page + 11));
        }
        mapping.unmap();
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'lets a peer only read what is shared read-only',
      withDomains(factory, ({ granter, grantee }) => {
        const shared = required(granter.grants.share(grantee.id, 1, 'readonly'), 'a shared page');
        const ref = required(shared.refs[0], 'a reference');
        expect(grantee.foreign.map(granter.id, shared.refs, 'readwrite')).toBe(GrantStatus.generalError);
        expect(copyInto(grantee, granter, ref, 0, Uint8Array.of(1))).toBe(GrantStatus.generalError);
        expect(copyOut(grantee, granter, ref, 0, 8).status).toBe(GrantStatus.okay);
        mappingOf(grantee.foreign.map(granter.id, shared.refs, 'readonly')).unmap();
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'keeps a third domain out',
      withDomains(factory, ({ granter, grantee, bystander, oneDomain }) => {
        if (oneDomain === true) return;
        const shared = required(granter.grants.share(grantee.id, 1, 'readwrite'), 'a shared page');
        const ref = required(shared.refs[0], 'a reference');
        expect(bystander.foreign.map(granter.id, shared.refs, 'readonly')).toBe(GrantStatus.generalError);
        expect(copyOut(bystander, granter, ref, 0, 8).status).toBe(GrantStatus.generalError);
        expect(shared.end()).toBe(0);
      }),
    );

    it(
      'ends: pages and references come back, and the old references open nothing',
      withDomains(factory, ({ granter, grantee }) => {
        const { freeRefs } = granter.grants;
        const { freePages } = granter.memory;
        const shared = required(granter.grants.share(grantee.id, 4, 'readwrite'), 'shared pages');
        expect(granter.grants.freeRefs).toBe(freeRefs - 4);
        expect(granter.memory.freePages).toBe(freePages - 4);
        expect(shared.end()).toBe(0);
        expect(granter.grants.freeRefs).toBe(freeRefs);
        expect(granter.memory.freePages).toBe(freePages);
        expect(grantee.foreign.map(granter.id, shared.refs, 'readonly')).toBe(GrantStatus.generalError);
      }),
    );

    it(
      'keeps pages and references out of circulation while the peer holds a mapping, and takes them back afterwards',
      withDomains(factory, async ({ granter, grantee, settle }) => {
        const { freeRefs } = granter.grants;
        const { freePages } = granter.memory;
        const shared = required(granter.grants.share(grantee.id, 2, 'readwrite'), 'shared pages');
        granter.memory.copyIn(shared.area, 0, Uint8Array.of(42));
        const mapping = mappingOf(grantee.foreign.map(granter.id, shared.refs.slice(0, 1), 'readwrite'));
        expect(shared.end()).toBe(knownInUse(granter, 1));
        const other = required(granter.grants.share(grantee.id, 2, 'readwrite'), 'shared pages');
        expect(other.refs).not.toContain(shared.refs[0]);
        granter.memory.copyIn(other.area, 0, new Uint8Array(2 * PAGE_SIZE).fill(0xee));
        await settle();
        expect(bytesOf(mapping.area, 0, 1)).toEqual(Uint8Array.of(42));
        expect(other.end()).toBe(0);
        mapping.unmap();
        await settle();
        expect(granter.grants.freeRefs).toBe(freeRefs);
        expect(granter.memory.freePages).toBe(freePages);
      }),
    );

    it(
      'answers undefined, and takes nothing, where pages or references do not suffice',
      withDomains(factory, ({ granter, grantee }) => {
        const { freeRefs } = granter.grants;
        const { freePages } = granter.memory;
        const tooMany = Math.min(freeRefs, freePages) + 1;
        expect(granter.grants.share(grantee.id, tooMany, 'readonly')).toBeUndefined();
        expect(granter.grants.freeRefs).toBe(freeRefs);
        expect(granter.memory.freePages).toBe(freePages);
      }),
    );
  });
}
