/**
 * Every point of a connection's life, as xenstore and the rings show it, crossed with whatever can befall either end. Drivers,
 * registry and toolstack are the real ones; the backends live in a driver domain, which may die as any guest may.
 */
import type { Frame } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { type XenbusGuest, XenbusSite, type XenbusSiteOptions } from './xenbus-site';

/** Longer than all time-outs of a handshake, a close and a removal one after the other. */
const ALL_TIMEOUTS = 40_000;

interface Point {
  readonly what: string;
  readonly options?: XenbusSiteOptions;
  /** The device is on its way out: no event brings it back. */
  readonly leaving?: boolean;
  /** Goes there and calls `strike` once, when it is there. */
  readonly reach: (site: XenbusSite, strike: () => void) => Promise<void>;
}

/** The life of a device as its ends write it, from the toolstack's request to the toolstack's request. */
const LIFE = ['B:2', 'F:3', 'B:4', 'F:4', 'B:5', 'F:6', 'B:6'];

const settled = async (site: XenbusSite) => {
  await site.attach(site.subject);
  await site.expectTraffic();
};
const ignored = (work: Promise<unknown>) => work.catch(() => undefined);
const detach = (site: XenbusSite, force = false) =>
  site.toolstack.detach(site.subject.domain.id, 'vif2', 0, { force });

/** Strikes when an end has written a state, while its driver waits for nothing else. */
function atStep(step: string, way: (site: XenbusSite) => Promise<unknown>): Point['reach'] {
  return async (site, strike) => {
    let struck = false;
    site.wrote = (wrote) => {
      if (wrote !== step || struck) return;
      struck = true;
      strike();
    };
    await site.during(ignored(way(site)));
    site.wrote = undefined;
    expect(struck, `${step} is written on the way`).toBe(true);
  };
}

/** A guest whose virtual CPU stands still while the strike comes. */
function standing(who: (site: XenbusSite) => { domain: XenbusGuest['domain'] }): Point['reach'] {
  return async (site, strike) => {
    await settled(site);
    const { domain } = who(site);
    domain.runTurn = () => false;
    site.fill(60);
    await site.clock.settle();
    strike();
    Reflect.deleteProperty(domain, 'runTurn');
    if (site.runs(domain)) domain.run(() => undefined);
  };
}

const POINTS: readonly Point[] = [
  ...LIFE.slice(0, 4).map((step) => ({
    what: `${step} is written on the way up`,
    reach: atStep(step, (site) => site.attach(site.subject)),
  })),
  ...LIFE.slice(4).map((step) => ({
    what: `${step} is written as it is detached`,
    leaving: true,
    reach: atStep(step, async (site) => {
      await settled(site);
      await site.during(detach(site));
    }),
  })),
  ...['F:5', 'F:6'].map((step) => ({
    what: `${step} is written as the frontend’s user closes it`,
    leaving: true,
    reach: atStep(step, async (site) => {
      await settled(site);
      await site.during(site.subject.frontends.close());
    }),
  })),
  {
    what: 'both are idle',
    reach: async (site, strike) => {
      await settled(site);
      strike();
    },
  },
  {
    what: 'frames are written both ways',
    reach: async (site, strike) => {
      await settled(site);
      site.fill(20);
      strike();
    },
  },
  {
    what: 'the backend is amid a pass',
    reach: async (site, strike) => {
      await settled(site);
      once(site.back?.frames$, strike);
      site.fill(20);
      await site.clock.settle();
    },
  },
  {
    what: 'the frontend is amid a pass',
    reach: async (site, strike) => {
      await settled(site);
      once(site.front?.frames$, strike);
      site.fill(20);
      await site.clock.settle();
    },
  },
  { what: 'frames wait for a subject that stands still', reach: standing(({ subject }) => subject) },
  {
    what: 'its frames wait for a neighbour that stands still',
    reach: standing(({ neighbour }) => neighbour),
  },
  {
    what: 'frames wait for a driver domain that stands still',
    reach: standing(({ driver }) => ({ domain: driver })),
  },
  {
    what: 'the backend’s user holds frames, mapped and not',
    options: { guest: 1, maps: true },
    reach: async (site, strike) => {
      await settled(site);
      const held: Frame[] = [];
      const keeper = site.back?.frames$.subscribe((frame) => {
        if (held.length % 2 === 0) frame.uint8(frame.byteLength - 1);
        const lease = frame.retain();
        if (lease !== undefined) held.push(lease);
      });
      for (let number = 0; number < 4; number += 1) site.send(site.subject, site.neighbour, 1514, number);
      for (let turn = 0; held.length < 4 && turn < 100; turn += 1) await site.clock.advance(1);
      keeper?.unsubscribe();
      expect(held).toHaveLength(4);
      strike();
      await site.clock.advance(2000);
      for (const frame of held) frame.release();
    },
  },
];

function once(
  frames$: { subscribe(next: () => void): { unsubscribe(): void } } | undefined,
  then: () => void,
): void {
  let struck = false;
  const subscription = frames$?.subscribe(() => {
    if (struck) return;
    struck = true;
    then();
    queueMicrotask(() => subscription?.unsubscribe());
  });
}

interface Event {
  readonly what: string;
  /** The device is to be connected again some time later, by itself. */
  readonly survives?: boolean;
  readonly strike: (site: XenbusSite) => unknown;
}

const EVENTS: readonly Event[] = [
  { what: 'the frontend’s user closes it', strike: ({ subject }) => subject.frontends.close() },
  { what: 'the backend’s user closes it', strike: ({ backends }) => backends.close() },
  {
    what: 'both users close it',
    strike: ({ subject, backends }) => Promise.all([subject.frontends.close(), backends.close()]),
  },
  {
    what: 'the frontend’s driver is let go and taken back',
    survives: true,
    strike: async (site) => {
      await site.subject.frontends.close();
      site.bindSubject();
    },
  },
  {
    what: 'the backend’s driver is let go and taken back',
    survives: true,
    strike: async (site) => {
      await site.backends.close();
      site.backends = site.bindBackends();
    },
  },
  { what: 'the guest is destroyed', strike: (site) => site.destroySubject() },
  {
    what: 'the guest crashes, and is destroyed later',
    strike: (site) => {
      site.crashSubject();
      site.clock.schedule(() => site.destroySubject(), 3000);
    },
  },
  { what: 'the driver domain is destroyed', strike: (site) => site.destroyDriver() },
  {
    what: 'the driver domain crashes, and is destroyed later',
    strike: (site) => {
      site.crashDriver();
      site.clock.schedule(() => site.destroyDriver(), 3000);
    },
  },
  { what: 'it is detached', strike: (site) => ignored(detach(site)) },
  { what: 'it is detached by force', strike: (site) => ignored(detach(site, true)) },
  {
    what: 'its directories are removed',
    strike: async ({ dom0, driver, subject }) => {
      const guest = subject.domain.id;
      await ignored(dom0.store.remove(`/local/domain/${driver.id}/backend/vif2/${guest}`));
      await ignored(dom0.store.remove(`/local/domain/${guest}/device/vif2/0`));
    },
  },
  {
    what: 'the guest was suspended, and resumes',
    survives: true,
    strike: ({ subject }) => subject.frontends.resume(),
  },
  {
    what: 'the frontend starts over with state 1',
    survives: true,
    strike: ({ dom0, subject }) =>
      dom0.store.write(`/local/domain/${subject.domain.id}/device/vif2/0/state`, '1'),
  },
];

describe.each(POINTS)('when $what', ({ options, leaving = false, reach }) => {
  it.each(EVENTS)('$what', async ({ survives = false, strike }) => {
    const site = await XenbusSite.build(options);
    let done: unknown;
    let strikes = 0;
    await reach(site, () => {
      strikes += 1;
      done = strike(site);
    });
    expect(strikes).toBe(1);
    await site.clock.advance(ALL_TIMEOUTS);
    await done;
    site.forgetTheDead();
    if (survives && !leaving) {
      // An end that closed while the toolstack waited for it has made the toolstack give up, and take the device away.
      expect(await site.states()).toBe(site.refused ? 'undefined,undefined' : '4,4');
      if (!site.refused) await site.expectTraffic();
    }
    // The neighbour has not noticed.
    if (site.driverAlive && site.backends.devices.length > 0) {
      const [front] = site.neighbour.frontends.devices;
      expect([front?.linkState, front?.unfinished]).toEqual(['up', 0]);
      expect(site.neighbour.frontends.connections.map(({ error }) => error)).toEqual([undefined]);
    }
    await site.clear();
    expect(site.leaks()).toEqual([]);
    expect(site.clock.timers).toBe(0);
    // And the next devices work as the first did.
    await site.startAgain();
    await site.expectTraffic();
    expect(await site.finish()).toEqual([]);
  });
});

it('the life of a device is written in these steps', async () => {
  const site = await XenbusSite.build();
  const steps: string[] = [];
  site.wrote = (step) => steps.push(step);
  await settled(site);
  await site.during(detach(site));
  expect(steps).toEqual(LIFE);
  expect(await site.finish()).toEqual([]);
});
