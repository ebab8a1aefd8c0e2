import type { DeferredWork, Domain } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type DomainTrioFactory, portOf, withDomains } from './domain-trio';

/** Work that writes down when it ran. */
function noting(log: string[], name: string, body: () => void = () => {}): DeferredWork {
  return {
    deferred: false,
    run() {
      log.push(name);
      body();
    },
  };
}

/** What `Domain.defer` must do: run once, soon, behind the handlers of the pass. */
export function describeDeferredWork(name: string, factory: DomainTrioFactory): void {
  describe(`deferred work: ${name}`, () => {
    it(
      'runs once however often it was deferred, and not on the spot',
      withDomains(factory, async ({ granter, settle }) => {
        const log: string[] = [];
        const work = noting(log, 'work');
        granter.defer(work);
        granter.defer(work);
        expect([log.length, work.deferred]).toEqual([0, true]);
        await settle();
        expect([log.length, work.deferred]).toEqual([1, false]);
      }),
    );

    it(
      'can be deferred again for ever with the same object, also while it runs',
      withDomains(factory, async ({ granter, settle }) => {
        const log: string[] = [];
        const work = noting(log, 'work', () => {
          if (log.length < 3) granter.defer(work);
        });
        granter.defer(work);
        await settle();
        expect(log).toHaveLength(3);
        granter.defer(work);
        await settle();
        expect(log).toHaveLength(4);
      }),
    );

    it(
      'runs in the order it was deferred, each piece of work on its own',
      withDomains(factory, async ({ granter, settle }) => {
        const log: string[] = [];
        const [first, second, third] = ['first', 'second', 'third'].map((each) => noting(log, each));
        for (const work of [second, first, third, first]) if (work !== undefined) granter.defer(work);
        await settle();
        expect(log).toEqual(['second', 'first', 'third']);
      }),
    );

    it(
      'comes behind the handlers of the pass that deferred it',
      withDomains(factory, async ({ granter, grantee, settle }) => {
        const log: string[] = [];
        const work = noting(log, 'work');
        const channels = [1, 2].map(() => {
          const near = portOf(granter.events.allocateUnbound(grantee.id));
          return { near, far: portOf(grantee.events.bindInterdomain(granter.id, near)) };
        });
        for (const { far } of channels) {
          grantee.events.listen(far, () => {
            log.push('handler');
            grantee.defer(work);
          });
        }
        await settle();
        expect(log).toEqual(['handler', 'handler', 'work']);
        for (const { near, far } of channels) {
          granter.events.close(near);
          grantee.events.close(far);
        }
      }),
    );

    it(
      'belongs to its own domain',
      withDomains(factory, async ({ granter, grantee, settle }) => {
        const log: string[] = [];
        const defer = (domain: Domain, text: string) => domain.defer(noting(log, text));
        defer(granter, 'granter');
        defer(grantee, 'grantee');
        await settle();
        expect([...log].sort()).toEqual(['grantee', 'granter']);
      }),
    );
  });
}
