import { type Domain, type GrantEntries, GrantStatus, NO_GRANT_REF } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrio, type DomainTrioFactory, mappingOf, required, withDomains } from './domain-trio';
import { describeGrantReferences } from './grant-references';
import { describeGrantRuns } from './grant-runs';
import { bytesOf, copyInto, copyOut, filledPages } from './page-bytes';

type EntriesTest = (entries: GrantEntries, trio: DomainTrio) => void | Promise<void>;

/**
 * Runs a test where the domain writes its own entries. Where it does not, the test is that the domain says so: it must
 * not claim kinds of grants that only entries can make.
 */
function withEntries(factory: DomainTrioFactory, body: EntriesTest): () => Promise<void> {
  return withDomains(factory, (trio) => {
    const { grants, capabilities } = trio.granter;
    if (grants.entries !== undefined) return body(grants.entries, trio);
    expect(capabilities).toMatchObject({ subPageGrants: false, transitiveGrants: false });
    return undefined;
  });
}

const pageOf = (domain: Domain, fill: number) => {
  const area = filledPages(domain, 1, fill);
  return { area, page: required(area.pages[0], 'a page') };
};

/** What `GrantTable` and `GrantEntries` must do: references, full-page entries, revocation (spec grant-tables.md §5). */
export function describeGrantEntries(name: string, factory: DomainTrioFactory): void {
  describe(`grant entries: ${name}`, () => {
    it(
      'have the kinds the table version has',
      withEntries(factory, (entries, { granter }) => {
        expect(entries.version2).toBe(granter.grants.version === 2);
        if (!entries.version2) {
          expect(granter.capabilities).toMatchObject({ subPageGrants: false, transitiveGrants: false });
        }
      }),
    );

    it(
      'hand out each free reference once, and say when there are no more',
      withEntries(factory, (entries, { granter }) => {
        const { freeRefs } = granter.grants;
        const taken = Array.from({ length: freeRefs }, () => entries.allocate());
        expect(taken).not.toContain(NO_GRANT_REF);
        expect(new Set(taken).size).toBe(freeRefs);
        expect(granter.grants.freeRefs).toBe(0);
        expect(entries.allocate()).toBe(NO_GRANT_REF);
        for (const ref of taken) entries.free(ref);
        expect(granter.grants.freeRefs).toBe(freeRefs);
      }),
    );

    it(
      'open a whole page to their peer, and to nobody before and after',
      withEntries(factory, (entries, { granter, grantee, bystander }) => {
        const { area, page } = pageOf(granter, 7);
        const ref = entries.allocate();
        expect(copyOut(grantee, granter, ref, 0, 4).status).toBe(GrantStatus.generalError);
        entries.publishFullPage(ref, grantee.id, page.frame, false);
        expect(copyOut(grantee, granter, ref, 4092, 4)).toEqual({
          status: GrantStatus.okay,
          bytes: new Uint8Array(4).fill(7),
        });
        expect(copyInto(grantee, granter, ref, 100, Uint8Array.of(1, 2))).toBe(GrantStatus.okay);
        expect(bytesOf(area, 99, 4)).toEqual(Uint8Array.of(7, 1, 2, 7));
        expect(copyOut(bystander, granter, ref, 0, 4).status).toBe(GrantStatus.generalError);
        expect(entries.inUse(ref)).toBe(false);
        expect(entries.revoke(ref)).toBe(true);
        expect(copyOut(grantee, granter, ref, 0, 4).status).toBe(GrantStatus.generalError);
        entries.free(ref);
        granter.memory.free(area);
      }),
    );

    it(
      'refuse writing through a read-only entry',
      withEntries(factory, (entries, { granter, grantee }) => {
        const { area, page } = pageOf(granter, 7);
        const ref = entries.allocate();
        entries.publishFullPage(ref, grantee.id, page.frame, true);
        expect(copyInto(grantee, granter, ref, 0, Uint8Array.of(1))).toBe(GrantStatus.generalError);
        expect(grantee.foreign.map(granter.id, [ref], 'readwrite')).toBe(GrantStatus.generalError);
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.okay);
        expect(bytesOf(area, 0, 1)).toEqual(Uint8Array.of(7));
        expect(entries.revoke(ref)).toBe(true);
        entries.free(ref);
        granter.memory.free(area);
      }),
    );

    it(
      'can name another peer and page under the same reference once revoked',
      withEntries(factory, (entries, { granter, grantee, bystander }) => {
        const first = pageOf(granter, 1);
        const second = pageOf(granter, 2);
        const ref = entries.allocate();
        entries.publishFullPage(ref, grantee.id, first.page.frame, true);
        expect(entries.revoke(ref)).toBe(true);
        entries.publishFullPage(ref, bystander.id, second.page.frame, true);
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        expect(copyOut(bystander, granter, ref, 0, 1).bytes).toEqual(Uint8Array.of(2));
        expect(entries.revoke(ref)).toBe(true);
        entries.free(ref);
        granter.memory.free(first.area);
        granter.memory.free(second.area);
      }),
    );

    it(
      'are not ended while mapped: version 1 stays valid, version 2 is closed to new uses once idle',
      withEntries(factory, (entries, { granter, grantee }) => {
        const { area, page } = pageOf(granter, 7);
        const ref = entries.allocate();
        entries.publishFullPage(ref, grantee.id, page.frame, false);
        const mapping = mappingOf(grantee.foreign.map(granter.id, [ref], 'readwrite'));
        expect(entries.inUse(ref)).toBe(true);
        expect(entries.revoke(ref)).toBe(false);
        expect(bytesOf(mapping.area, 0, 1)).toEqual(Uint8Array.of(7));
        mapping.unmap();
        expect(entries.inUse(ref)).toBe(false);
        const expected = entries.version2 ? GrantStatus.generalError : GrantStatus.okay;
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(expected);
        expect(entries.revoke(ref)).toBe(true);
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        entries.free(ref);
        granter.memory.free(area);
      }),
    );

    it(
      'revoke later what is in use now, and then free the reference',
      withEntries(factory, async (entries, { granter, grantee, settle }) => {
        const { freeRefs } = granter.grants;
        const { area, page } = pageOf(granter, 7);
        const ref = entries.allocate();
        entries.publishFullPage(ref, grantee.id, page.frame, false);
        const mapping = mappingOf(grantee.foreign.map(granter.id, [ref], 'readwrite'));
        let ended = 0;
        expect(entries.revoke(ref)).toBe(false);
        entries.revokeDeferred(ref, () => {
          ended += 1;
        });
        await settle();
        expect(ended).toBe(0);
        expect(granter.grants.freeRefs).toBe(freeRefs - 1);
        mapping.unmap();
        await settle();
        expect(ended).toBe(1);
        expect(granter.grants.freeRefs).toBe(freeRefs);
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        granter.memory.free(area);
      }),
    );
  });
}

/** Sub-page entries: copies inside the window only, never a mapping; refused by name on a version 1 table. */
export function describeSubPageGrants(name: string, factory: DomainTrioFactory): void {
  describe(`sub-page grants: ${name}`, () => {
    it(
      'open exactly their range to copies',
      withEntries(factory, (entries, { granter, grantee }) => {
        const { area, page } = pageOf(granter, 7);
        const ref = entries.allocate();
        if (!entries.version2) {
          expect(granter.capabilities.subPageGrants).toBe(false);
          expect(() => entries.publishSubPage(ref, grantee.id, page.frame, 100, 50, true)).toThrow(
            /version 2/i,
          );
          expect(copyOut(grantee, granter, ref, 100, 50).status).toBe(GrantStatus.generalError);
        } else {
          expect(granter.capabilities.subPageGrants).toBe(true);
          entries.publishSubPage(ref, grantee.id, page.frame, 100, 50, false);
          const statusAt = (offset: number, length: number) =>
            copyOut(grantee, granter, ref, offset, length).status;
          expect(copyOut(grantee, granter, ref, 100, 50).bytes).toEqual(new Uint8Array(50).fill(7));
          expect(statusAt(149, 1)).toBe(GrantStatus.okay);
          expect(statusAt(99, 1)).toBe(GrantStatus.generalError);
          expect(statusAt(149, 2)).toBe(GrantStatus.generalError);
          expect(statusAt(150, 1)).toBe(GrantStatus.generalError);
          expect(statusAt(0, 4096)).toBe(GrantStatus.generalError);
          expect(copyInto(grantee, granter, ref, 148, Uint8Array.of(1, 2, 3))).toBe(GrantStatus.generalError);
          expect(copyInto(grantee, granter, ref, 148, Uint8Array.of(1, 2))).toBe(GrantStatus.okay);
          expect(bytesOf(area, 147, 4)).toEqual(Uint8Array.of(7, 1, 2, 7));
        }
        expect(entries.revoke(ref)).toBe(true);
        entries.free(ref);
        granter.memory.free(area);
      }),
    );

    it(
      'cannot be mapped, however wide',
      withEntries(factory, (entries, { granter, grantee }) => {
        if (!entries.version2) {
          expect(granter.capabilities.subPageGrants).toBe(false);
          return;
        }
        const { area, page } = pageOf(granter, 7);
        const ref = entries.allocate();
        entries.publishSubPage(ref, grantee.id, page.frame, 0, 4096, true);
        expect(grantee.foreign.map(granter.id, [ref], 'readonly')).toBe(GrantStatus.generalError);
        expect(entries.revoke(ref)).toBe(true);
        entries.free(ref);
        granter.memory.free(area);
      }),
    );
  });
}

/** Transitive entries: one step on to another domain's grant; refused by name where there are none. */
export function describeTransitiveGrants(name: string, factory: DomainTrioFactory): void {
  describe(`transitive grants: ${name}`, () => {
    const withTransitive = (
      body: (entries: GrantEntries, trio: DomainTrio, source: GrantEntries) => void,
    ): (() => Promise<void>) =>
      withEntries(factory, (entries, trio) => {
        const source = required(trio.bystander.grants.entries, 'entries of the domain behind the granter');
        if (trio.granter.capabilities.transitiveGrants) return body(entries, trio, source);
        const ref = entries.allocate();
        if (!entries.version2) {
          const { grantee, bystander } = trio;
          expect(() => entries.publishTransitive(ref, grantee.id, bystander.id, ref, true)).toThrow(
            /version 2/i,
          );
        }
        expect(copyOut(trio.grantee, trio.granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        entries.free(ref);
        return undefined;
      });

    it(
      'let the grantee copy from a page behind the granter, and map nothing',
      withTransitive((entries, { granter, grantee, bystander }, source) => {
        const { area, page } = pageOf(bystander, 9);
        const inner = source.allocate();
        source.publishFullPage(inner, granter.id, page.frame, true);
        const ref = entries.allocate();
        entries.publishTransitive(ref, grantee.id, bystander.id, inner, true);
        expect(copyOut(grantee, granter, ref, 8, 4).bytes).toEqual(new Uint8Array(4).fill(9));
        expect(copyInto(grantee, granter, ref, 8, Uint8Array.of(1))).toBe(GrantStatus.generalError);
        expect(grantee.foreign.map(granter.id, [ref], 'readonly')).toBe(GrantStatus.generalError);
        expect(source.inUse(inner)).toBe(false);
        expect(source.revoke(inner)).toBe(true);
        expect(copyOut(grantee, granter, ref, 8, 4).status).toBe(GrantStatus.generalError);
        expect(entries.revoke(ref)).toBe(true);
        entries.free(ref);
        source.free(inner);
        bystander.memory.free(area);
      }),
    );

    it(
      'inherit the window of the grant they name, and need it to name the granter',
      withTransitive((entries, { granter, grantee, bystander }, source) => {
        const { area, page } = pageOf(bystander, 9);
        const inner = source.allocate();
        const ref = entries.allocate();
        if (source.version2) {
          source.publishSubPage(inner, granter.id, page.frame, 100, 50, true);
          entries.publishTransitive(ref, grantee.id, bystander.id, inner, true);
          expect(copyOut(grantee, granter, ref, 100, 50).status).toBe(GrantStatus.okay);
          expect(copyOut(grantee, granter, ref, 99, 2).status).toBe(GrantStatus.generalError);
          expect(entries.revoke(ref) && source.revoke(inner)).toBe(true);
        }
        source.publishFullPage(inner, grantee.id, page.frame, true);
        entries.publishTransitive(ref, grantee.id, bystander.id, inner, true);
        expect(copyOut(grantee, granter, ref, 100, 50).status).toBe(GrantStatus.generalError);
        expect(entries.revoke(ref) && source.revoke(inner)).toBe(true);
        entries.free(ref);
        source.free(inner);
        bystander.memory.free(area);
      }),
    );

    it(
      'go one step only',
      withTransitive((entries, { granter, grantee, bystander }, source) => {
        if (!bystander.capabilities.transitiveGrants) return;
        const { area, page } = pageOf(grantee, 5);
        const last = required(grantee.grants.entries, 'entries of the grantee');
        const end = last.allocate();
        last.publishFullPage(end, bystander.id, page.frame, true);
        const middle = source.allocate();
        source.publishTransitive(middle, granter.id, grantee.id, end, true);
        const ref = entries.allocate();
        entries.publishTransitive(ref, grantee.id, bystander.id, middle, true);
        expect(copyOut(grantee, granter, ref, 0, 1).status).toBe(GrantStatus.generalError);
        expect(entries.revoke(ref) && source.revoke(middle) && last.revoke(end)).toBe(true);
        entries.free(ref);
        source.free(middle);
        last.free(end);
        grantee.memory.free(area);
      }),
    );
  });
}

/** All that a grant table must do. */
export function describeGrantTable(name: string, factory: DomainTrioFactory): void {
  describeGrantEntries(name, factory);
  describeGrantReferences(name, factory);
  describeGrantRuns(name, factory);
  describeSubPageGrants(name, factory);
  describeTransitiveGrants(name, factory);
}
