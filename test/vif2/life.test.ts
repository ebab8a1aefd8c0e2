/** Whatever happens to a connection, and whenever: nothing is left behind, and the next one works. */
import { bindBackends, bindFrontends, Toolstack, XenbusState } from '@netchannel2/device-registry';
import { Machine } from '@netchannel2/hypervisor';
import { netback2Driver } from '@netchannel2/netback2';
import { netfront2Driver } from '@netchannel2/netfront2';
import { VirtualClock } from '@netchannel2/testing';
import type { EventChannelPort, SharedPages } from '@netchannel2/xen';
import { describe, expect, it } from 'vitest';
import { numberedFrame, type Vif2Pair, vif2Pair } from './vif2-pair';

/** Runs something when a step of the handshake is done, and lets the handshake go no further. */
function stopAfter(step: (...args: never[]) => unknown, then: () => Promise<void>) {
  return async (...args: never[]) => {
    await step(...args);
    await then();
    throw new Error('stopped');
  };
}

/** What a test changes of a frontend's rings behind its back. */
interface RingMemory {
  readonly control: SharedPages;
  readonly port: EventChannelPort;
}

type At = (pair: Vif2Pair, event: () => Promise<void>) => Promise<void>;

/** Gets a pair to some point of its connection's life, and has the event happen there. */
const POINTS: Record<string, At> = {
  'features are offered': async (pair, event) => {
    Object.assign(pair.back, { features: stopAfter(pair.back.features.bind(pair.back), event) });
    await expect(pair.device.connect()).rejects.toThrow('stopped');
    Reflect.deleteProperty(pair.back, 'features');
  },
  'the frontend has made its rings': async (pair, event) => {
    Object.assign(pair.front, { prepare: stopAfter(pair.front.prepare.bind(pair.front), event) });
    await expect(pair.device.connect()).rejects.toThrow('stopped');
    Reflect.deleteProperty(pair.front, 'prepare');
  },
  'the backend has mapped them': async (pair, event) => {
    Object.assign(pair.back, { connect: stopAfter(pair.back.connect.bind(pair.back), event) });
    await expect(pair.device.connect()).rejects.toThrow('stopped');
    Reflect.deleteProperty(pair.back, 'connect');
  },
  'both ends have started': async (pair, event) => {
    await pair.device.connect();
    await event();
  },
  idle: async (pair, event) => {
    await pair.device.connect();
    await pair.settle();
    await event();
  },
  'frames are written': async (pair, event) => {
    await pair.device.connect();
    await pair.settle();
    fill(pair, 10);
    await event();
  },
  'frames wait for a guest that stands still': async (pair, event) => {
    await pair.device.connect();
    await pair.settle();
    pair.guest.runTurn = () => false;
    fill(pair, 1000);
    await pair.settle();
    await event();
    Reflect.deleteProperty(pair.guest, 'runTurn');
  },
  'frames wait for a host that stands still': async (pair, event) => {
    await pair.device.connect();
    await pair.settle();
    pair.host.runTurn = () => false;
    fill(pair, 1000);
    await pair.settle();
    await event();
    Reflect.deleteProperty(pair.host, 'runTurn');
  },
  'a frame is being emitted': async (pair, event) => {
    await pair.device.connect();
    await pair.settle();
    let happened: Promise<void> | undefined;
    const subscription = pair.back.frames$.subscribe(() => {
      happened ??= event();
    });
    fill(pair, 10);
    await pair.settle();
    await happened;
    subscription.unsubscribe();
  },
  'the frontend is closing': async (pair, event) => {
    await pair.device.connect();
    await pair.settle();
    fill(pair, 10);
    pair.front.closing();
    await event();
  },
};

const fill = (pair: Vif2Pair, count: number) => {
  for (let index = 0; index < count; index += 1) {
    const frame = numberedFrame(index % 2 === 0 ? 1514 : 60, index);
    if (!pair.front.send(frame) || !pair.back.send(frame)) return;
  }
};

const EVENTS: Record<string, (pair: Vif2Pair) => Promise<void>> = {
  'the frontend lets go': (pair) => pair.clock.during(pair.front.disconnect()),
  'the backend lets go': (pair) => pair.clock.during(pair.back.disconnect()),
  'the frontend lets go twice': async (pair) => {
    await pair.clock.during(pair.front.disconnect());
    await pair.clock.during(pair.front.disconnect());
  },
  'a user keeps a frame': async (pair) => {
    const subscription = pair.back.frames$.subscribe((frame) => {
      const lease = frame.retain();
      pair.clock.schedule(() => lease?.release(), 50);
    });
    await pair.settle();
    pair.clock.schedule(() => subscription.unsubscribe(), 50);
  },
  'the frontend breaks the rules': async (pair) => {
    const { rings } = pair.front as unknown as { rings?: RingMemory };
    if (rings === undefined) return;
    const { area } = rings.control;
    Atomics.store(area.words, area.base >> 2, 1 << 20);
    pair.guest.events.notify(rings.port);
  },
  'time passes': (pair) => pair.clock.advance(12_000),
};

describe.each(Object.keys(POINTS))('when %s', (point) => {
  it.each(Object.keys(EVENTS))('and %s', async (event) => {
    const pair = vif2Pair();
    await pair.device.connect();
    await pair.settle();
    await pair.device.disconnect();
    await pair.settle();
    const resources = pair.resources();
    await POINTS[point]?.(pair, async () => EVENTS[event]?.(pair));
    await pair.settle();
    await pair.clock.during(pair.back.disconnect());
    await pair.clock.during(pair.front.disconnect());
    await pair.device.disconnect();
    // Revokes of grants that were in use, leases of users.
    await pair.clock.advance(1000);
    expect(pair.resources()).toEqual(resources);
    expect(pair.machine.leaks()).toEqual([]);
    expect(pair.clock.timers).toBe(0);
    let received = 0;
    pair.back.frames$.subscribe(() => (received += 1));
    await pair.device.connect();
    await pair.settle();
    expect(pair.front.send(numberedFrame(1514, 1))).toBe(true);
    await pair.settle();
    expect(received).toBe(1);
    await pair.device.remove();
    pair.machine.shutdown();
  });

  it.each(['destroyed', 'crashed and destroyed later'])('and the guest is %s', async (fate) => {
    const pair = vif2Pair();
    await pair.device.connect();
    await pair.settle();
    await pair.device.disconnect();
    const pages = pair.host.memory.freePages;
    const refs = pair.host.grants.freeRefs;
    await POINTS[point]?.(pair, async () => {
      if (fate !== 'destroyed') {
        pair.machine.crashDomain(pair.guest.id, 'test');
        await pair.clock.advance(3000);
      }
      pair.machine.destroyDomain(pair.guest.id);
    });
    await pair.settle();
    await pair.clock.during(pair.back.disconnect());
    pair.back.removed();
    // No code of the guest runs any more; only what it had set timers for would still be kept by the clock.
    pair.front.removed();
    await pair.clock.advance(1000);
    expect([pair.host.memory.freePages, pair.host.grants.freeRefs]).toEqual([pages, refs]);
    expect(pair.machine.leaks()).toEqual([]);
    expect(pair.clock.timers).toBe(0);
    pair.machine.shutdown();
  });
});

describe('a guest that is suspended and comes back', () => {
  it('as another domain, with the same address and no memory of the first', async () => {
    const clock = new VirtualClock();
    const machine = Machine.boot({ memoryBytes: 64 << 20, scheduler: clock, now: () => clock.now() });
    const host = machine.createDomain({ name: 'dom0', memoryPages: 4096 });
    const toolstack = new Toolstack(host.store, { scheduler: clock });
    const backends = bindBackends(host, netback2Driver({ poolPages: 64 }));
    const during = async <Result>(work: Promise<Result>): Promise<Result> => {
      let done = false;
      void work.finally(() => (done = true)).catch(() => undefined);
      for (let step = 0; !done && step < 300; step += 1) await clock.advance(100);
      return work;
    };
    const mac = '00:16:3e:00:00:07';
    let received = 0;
    for (let life = 0; life < 3; life += 1) {
      const domain = machine.createDomain({ memoryPages: 1024 });
      const frontends = bindFrontends(domain, netfront2Driver({ poolPages: 64 }));
      await clock.settle();
      await domain.store.read('name');
      const entry = await during(
        toolstack.attach(domain.id, { type: 'vif2', guestTrusted: true, mac } as never),
      );
      expect([entry.frontendState, entry.mac]).toEqual([XenbusState.Connected, mac]);
      const back = backends.devices.at(-1);
      back?.frames$.subscribe(() => (received += 1));
      frontends.devices[0]?.send(numberedFrame(1514, life));
      await clock.settle();
      expect(received).toBe(life + 1);
      // Suspended: the frontend closes in good order; the domain goes, and another is built from its image.
      await during(frontends.close());
      await during(toolstack.detach(domain.id, 'vif2', 0, { force: true })).catch(() => undefined);
      machine.destroyDomain(domain.id);
      await clock.advance(1000);
      expect(machine.leaks()).toEqual([]);
    }
    machine.shutdown();
  });
});
