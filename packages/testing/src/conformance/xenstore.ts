import type { DomainId, XenStore } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';

/** A fresh xenstore as dom0 and as a guest see it. */
export interface StorePair {
  /** dom0's connection, which may do everything. */
  readonly privileged: XenStore;
  /** A guest's. Its home `/local/domain/<id>` exists and may be read by the guest. */
  readonly guest: XenStore;
  readonly guestId: DomainId;
  /** Delivers events that are under way. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export type StorePairFactory = () => StorePair | Promise<StorePair>;

export interface XenStoreSuiteOptions {
  /** Both connections are dom0's, as a real daemon's socket gives them: what is refused to guests cannot be seen. */
  readonly guestIsPrivileged?: boolean;
}

type StoreTest = (pair: StorePair & { readonly home: string }) => Promise<void>;

/** What every `XenStore` must do (spec xenstore.md §§3–8), as far as drivers and toolstacks lean on it. */
export function describeXenStore(
  name: string,
  factory: StorePairFactory,
  { guestIsPrivileged = false }: XenStoreSuiteOptions = {},
): void {
  const withStore = (body: StoreTest) => async () => {
    const pair = await factory();
    const home = `/local/domain/${pair.guestId}`;
    await pair.privileged.write(`${home}/data`, '');
    await pair.privileged.setPermissions(`${home}/data`, [{ domid: pair.guestId, access: 'none' }]);
    try {
      await body({ ...pair, home });
    } finally {
      await pair.close();
    }
  };

  describeNodes(name, withStore);
  if (!guestIsPrivileged) describePermissions(name, withStore);
  describeWatches(name, withStore, guestIsPrivileged);
  describeTransactions(name, withStore);
}

type WithStore = (body: StoreTest) => () => Promise<void>;

function describeNodes(name: string, withStore: WithStore): void {
  describe(`xenstore nodes: ${name}`, () => {
    it(
      'read what was written, text and bytes',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/text', 'häuser');
        expect(await privileged.read('/test/text')).toBe('häuser');
        await privileged.write('/test/bytes', Uint8Array.of(0, 255, 10));
        expect(await privileged.readBytes('/test/bytes')).toEqual(Uint8Array.of(0, 255, 10));
        await privileged.write('/test/text', '');
        expect(await privileged.read('/test/text')).toBe('');
      }),
    );

    it(
      'make the directories above them, empty',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/a/b', '1');
        expect(await privileged.read('/test/a')).toBe('');
        await privileged.makeDirectory('/test/c');
        await privileged.makeDirectory('/test/a');
        expect(await privileged.list('/test')).toEqual(['a', 'c']);
        expect(await privileged.read('/test/a/b')).toBe('1');
      }),
    );

    it(
      'list their children in the order they came to be',
      withStore(async ({ privileged }) => {
        for (const child of ['b', 'a', 'c']) await privileged.write(`/test/${child}`, '');
        await privileged.remove('/test/a');
        await privileged.write('/test/a', '');
        expect(await privileged.list('/test')).toEqual(['b', 'c', 'a']);
        expect(await privileged.list('/test/a')).toEqual([]);
      }),
    );

    it(
      'list a thousand children as well as one',
      withStore(async ({ privileged }) => {
        const names = Array.from(
          { length: 1000 },
          (_, index) => `child-number-${String(index).padStart(6, '0')}`,
        );
        // Requests of one connection are served in their order.
        await Promise.all(names.map((child) => privileged.write(`/test/${child}`, '')));
        expect(await privileged.list('/test')).toEqual(names);
      }),
    );

    it(
      'go with all that lies below them',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/a/b/c', '1');
        await privileged.remove('/test/a');
        expect(await privileged.tryRead('/test/a/b/c')).toBeUndefined();
        expect(await privileged.list('/test')).toEqual([]);
        await privileged.remove('/test/a');
      }),
    );

    it(
      'refuse with the name of the wire',
      withStore(async ({ privileged }) => {
        await privileged.makeDirectory('/test');
        const refused = (promise: Promise<unknown>, code: string) =>
          expect(promise).rejects.toMatchObject({ name: 'XenStoreError', code });
        await refused(privileged.read('/test/none'), 'ENOENT');
        await refused(privileged.list('/test/none'), 'ENOENT');
        await refused(privileged.remove('/none/none'), 'ENOENT');
        await refused(privileged.remove('/'), 'EINVAL');
        await refused(privileged.write('/bad path', '1'), 'EINVAL');
        await refused(privileged.write('/a//b', '1'), 'EINVAL');
        await refused(privileged.write('/a/', '1'), 'EINVAL');
        await refused(privileged.read(`/${'a'.repeat(3100)}`), 'EINVAL');
      }),
    );

    it(
      'may be named relative to the caller’s own home',
      withStore(async ({ guest, privileged, home }) => {
        await guest.write('data/key', 'value');
        expect(await privileged.read(`${home}/data/key`)).toBe('value');
        expect(await guest.read(`${home}/data/key`)).toBe('value');
        expect(await guest.list('data')).toEqual(['key']);
      }),
    );
  });
}

function describePermissions(name: string, withStore: WithStore): void {
  describe(`xenstore permissions: ${name}`, () => {
    it(
      'pass from parent to child, with the guest as owner of what it creates',
      withStore(async ({ guest, guestId, home }) => {
        await guest.write('data/key', '1');
        expect(await guest.getPermissions(`${home}/data/key`)).toEqual([{ domid: guestId, access: 'none' }]);
      }),
    );

    it(
      'keep a guest to its own',
      withStore(async ({ guest, privileged, home }) => {
        await privileged.write('/secret/key', '1');
        await privileged.setPermissions('/secret/key', [{ domid: 0 as DomainId, access: 'none' }]);
        const denied = { name: 'XenStoreError', code: 'EACCES' };
        await expect(guest.read('/secret/key')).rejects.toMatchObject(denied);
        await expect(guest.write('/secret/key', '2')).rejects.toMatchObject(denied);
        await expect(guest.write(`${home}/new`, '2')).rejects.toMatchObject(denied);
        expect(await guest.tryRead('/secret/key')).toBeUndefined();
        expect(await privileged.read('/secret/key')).toBe('1');
      }),
    );

    it(
      'open a node to those they list',
      withStore(async ({ guest, guestId, privileged }) => {
        await privileged.write('/test/key', '1');
        const list = [
          { domid: 0 as DomainId, access: 'none' },
          { domid: guestId, access: 'read' },
        ] as const;
        await privileged.setPermissions('/test/key', list);
        expect(await privileged.getPermissions('/test/key')).toEqual(list);
        expect(await guest.read('/test/key')).toBe('1');
        await expect(guest.write('/test/key', '2')).rejects.toMatchObject({ code: 'EACCES' });
      }),
    );

    it(
      'do not let a guest give its nodes away',
      withStore(async ({ guest }) => {
        await guest.write('data/key', '1');
        const toDom0 = [{ domid: 0 as DomainId, access: 'none' }] as const;
        await expect(guest.setPermissions('data/key', toDom0)).rejects.toMatchObject({ code: 'EPERM' });
      }),
    );
  });
}

function describeWatches(name: string, withStore: WithStore, guestIsPrivileged: boolean): void {
  const collect = (store: XenStore, path: string) => {
    const events: string[] = [];
    const subscription = store.watch(path).subscribe((event) => events.push(event.path));
    return { events, stop: () => subscription.unsubscribe() };
  };

  describe(`xenstore watches: ${name}`, () => {
    it(
      'fire once at once, also on what does not exist yet',
      withStore(async ({ privileged, settle }) => {
        const watch = collect(privileged, '/test/none');
        await settle();
        expect(watch.events).toEqual(['/test/none']);
        watch.stop();
      }),
    );

    it(
      'tell of every change at or below, by anybody',
      withStore(async ({ privileged, guest, home, settle }) => {
        const watch = collect(privileged, `${home}/data`);
        await settle();
        watch.events.length = 0;
        await guest.write('data', '1');
        await guest.write('data/a/b', '1');
        await guest.remove('data/a');
        await privileged.write(`${home}/other`, '1');
        await settle();
        expect(new Set(watch.events)).toEqual(
          new Set([`${home}/data`, `${home}/data/a/b`, `${home}/data/a`]),
        );
        expect(watch.events.at(-1)).toBe(`${home}/data/a`);
        watch.stop();
      }),
    );

    it(
      'answer in the form they were asked: relative stays relative',
      withStore(async ({ privileged, guest, home, settle }) => {
        const watch = collect(guest, 'data');
        await settle();
        await privileged.write(`${home}/data/key`, '1');
        await settle();
        expect(watch.events).toEqual(['data', 'data/key']);
        watch.stop();
      }),
    );

    it(
      'begin with the subscription and end with it',
      withStore(async ({ privileged, settle }) => {
        await privileged.write('/test/key', '1');
        const observable = privileged.watch('/test/key');
        const events: string[] = [];
        await settle();
        const subscription = observable.subscribe((event) => events.push(event.path));
        await settle();
        subscription.unsubscribe();
        await privileged.write('/test/key', '2');
        await settle();
        expect(events).toEqual(['/test/key']);
      }),
    );

    it(
      'are independent of each other, on the same path too',
      withStore(async ({ privileged, settle }) => {
        const first = collect(privileged, '/test/key');
        const second = collect(privileged, '/test/key');
        await settle();
        first.stop();
        await privileged.write('/test/key', '1');
        await settle();
        expect(first.events).toHaveLength(1);
        expect(second.events).toEqual(['/test/key', '/test/key']);
        second.stop();
      }),
    );

    if (guestIsPrivileged) return;
    it(
      'do not show a guest what it may not read',
      withStore(async ({ privileged, guest, settle }) => {
        await privileged.makeDirectory('/secret');
        await privileged.setPermissions('/secret', [{ domid: 0 as DomainId, access: 'none' }]);
        const watch = collect(guest, '/secret');
        await privileged.write('/secret/key', '1');
        await settle();
        expect(watch.events).toEqual(['/secret']);
        watch.stop();
      }),
    );
  });
}

function describeTransactions(name: string, withStore: WithStore): void {
  describe(`xenstore transactions: ${name}`, () => {
    it(
      'show their changes inside at once, outside all together at the end',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/a', '1');
        const inside = await privileged.transaction(async (transaction) => {
          await transaction.write('/test/a', '2');
          await transaction.write('/test/b', '2');
          expect(await privileged.read('/test/a')).toBe('1');
          expect(await privileged.tryRead('/test/b')).toBeUndefined();
          return transaction.read('/test/a');
        });
        expect(inside).toBe('2');
        expect(await privileged.read('/test/a')).toBe('2');
        expect(await privileged.read('/test/b')).toBe('2');
      }),
    );

    it(
      'leave nothing behind when their body throws, and pass the error on',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/a', '1');
        const broken = privileged.transaction(async (transaction) => {
          await transaction.write('/test/a', '2');
          throw new Error('changed my mind');
        });
        await expect(broken).rejects.toThrow('changed my mind');
        expect(await privileged.read('/test/a')).toBe('1');
      }),
    );

    it(
      'run again when somebody else changed what they read',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/counter', '1');
        let runs = 0;
        await privileged.transaction(async (transaction) => {
          runs += 1;
          const value = Number(await transaction.read('/test/counter'));
          if (runs === 1) await privileged.write('/test/counter', '10');
          await transaction.write('/test/counter', String(value + 1));
        });
        expect(runs).toBe(2);
        expect(await privileged.read('/test/counter')).toBe('11');
      }),
    );

    it(
      'give up with EAGAIN after the attempts they were given',
      withStore(async ({ privileged }) => {
        let runs = 0;
        const hopeless = privileged.transaction(
          async (transaction) => {
            runs += 1;
            await transaction.tryRead('/test/key');
            await privileged.write('/test/key', String(runs));
            await transaction.write('/test/other', '1');
          },
          { attempts: 3 },
        );
        await expect(hopeless).rejects.toMatchObject({ name: 'XenStoreError', code: 'EAGAIN' });
        expect(runs).toBe(3);
        expect(await privileged.tryRead('/test/other')).toBeUndefined();
      }),
    );

    it(
      'count a failed read among what they saw',
      withStore(async ({ privileged }) => {
        await privileged.makeDirectory('/test');
        let runs = 0;
        await privileged.transaction(async (transaction) => {
          runs += 1;
          const seen = await transaction.tryRead('/test/flag');
          if (runs === 1) await privileged.write('/test/flag', 'set');
          await transaction.write('/test/seen', seen ?? 'missing');
        });
        expect(await privileged.read('/test/seen')).toBe('set');
      }),
    );

    it(
      'let two that touch different nodes both commit',
      withStore(async ({ privileged }) => {
        await privileged.write('/test/a', '1');
        await privileged.write('/test/b', '1');
        let runs = 0;
        await privileged.transaction(async (outer) => {
          runs += 1;
          await outer.write('/test/a', '2');
          await privileged.transaction((inner) => inner.write('/test/b', '2'));
        });
        expect(runs).toBe(1);
        expect([await privileged.read('/test/a'), await privileged.read('/test/b')]).toEqual(['2', '2']);
      }),
    );

    it(
      'fire each watch once, after the commit',
      withStore(async ({ privileged, settle }) => {
        const events: string[] = [];
        const subscription = privileged.watch('/test').subscribe((event) => events.push(event.path));
        await settle();
        await privileged.transaction(async (transaction) => {
          await transaction.write('/test/a', '1');
          await transaction.write('/test/a', '2');
          await settle();
          expect(events).toEqual(['/test']);
        });
        await settle();
        expect(events).toEqual(['/test', '/test/a']);
        subscription.unsubscribe();
      }),
    );
  });
}
