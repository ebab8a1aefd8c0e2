/**
 * Devices of both classes come and go in fifty guests, orderly, by force, with frames under way and by either end's own
 * doing; after each round nothing is held that was not held before.
 *
 * HOTPLUG_CYCLES=10000 HOTPLUG_SEED=1 for another length or order.
 */
import { isDeepStrictEqual } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { DEVICE_CLASSES, type DeviceClass } from '@netchannel2/device-registry';
import type { InProcessStore } from '@netchannel2/hypervisor';
import { Lab, type LabGuest, SeededRandom } from '@netchannel2/testing';
import { describe, expect, it } from 'vitest';

const CYCLES = Number(process.env.HOTPLUG_CYCLES ?? 150);
const SEED = Number(process.env.HOTPLUG_SEED ?? 20_240_611);
const GUESTS = 50;
/** Guests whose device is on its way in or out at the same time. */
const AT_ONCE = 5;
const REPORT_EVERY = 1000;
/** Pages of the batches one device uses. */
const BATCH_PAGES = 20;

/** Everything a device may leave behind somewhere. */
interface Held {
  readonly store: Readonly<Record<string, number>>;
  readonly leaks: readonly string[];
  /** Of the guests. */
  readonly pages: readonly number[];
  readonly hostPages: number;
  readonly refs: readonly number[];
  readonly bridgePorts: number;
}

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

/** Copy batches give their pages back when nobody holds them any more. */
async function collectGarbage(): Promise<void> {
  gc();
  await new Promise((resolve) => setImmediate(resolve));
}

class Hotplug {
  private constructor(
    private readonly lab: Lab,
    private readonly random: SeededRandom,
  ) {}

  static async start(): Promise<Hotplug> {
    const lab = await Lab.start({
      machine: { memoryBytes: 512 * 1024 * 1024 },
      dom0: { memoryPages: 16_384 },
      drivers: { netfront2: { poolPages: 64 }, netback2: { poolPages: 64 } },
    });
    for (let index = 0; index < GUESTS; index++) {
      await lab.addGuest({ memoryPages: 1024, grantTableVersion: index % 3 === 0 ? 1 : 2 });
    }
    return new Hotplug(lab, new SeededRandom(SEED));
  }

  /** One device in, perhaps a frame each way, and out again. */
  async cycle(guest: LabGuest): Promise<void> {
    const type: DeviceClass = this.random.pick(DEVICE_CLASSES);
    const way = this.random.integer(0, 3);
    const port = await guest.attach(type);
    if (way > 0) for (let count = 0; count < 8; count++) port.send(new Uint8Array(60 + 200 * count));
    if (way === 1) await this.lab.machine.idle();
    const force = way === 3;
    const numbers = (await this.lab.toolstack.list())
      .filter((device) => device.domid === guest.domain.id && device.type === type)
      .map((device) => device.number);
    for (const number of numbers) {
      await this.lab.toolstack.detach(guest.domain.id, type, number, { force });
    }
  }

  async run(cycles: number): Promise<void> {
    const free = [...this.lab.guests];
    let left = cycles;
    const worker = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        if (left > 0 && left % REPORT_EVERY === 0) console.log(`${left} cycles left`);
        const [guest] = free.splice(this.random.integer(0, free.length - 1), 1);
        if (guest === undefined) throw new Error('no guest is free');
        await this.cycle(guest);
        free.push(guest);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
  }

  /** Each guest once with each class: from then on no driver needs anything it has not had. */
  async warmUp(): Promise<void> {
    for (const guest of this.lab.guests) {
      for (const type of DEVICE_CLASSES) {
        await guest.attach(type);
        await guest.detach(type);
      }
    }
  }

  async held(): Promise<Held> {
    const { machine, guests, dom0, bridge } = this.lab;
    const domains = [dom0, ...guests.map((guest) => guest.domain)];
    await collectGarbage();
    await machine.idle();
    const { server } = machine.store as InProcessStore;
    const { nodes, watches, transactions, connections } = server.statistics();
    return {
      store: { nodes, watches, transactions, connections },
      leaks: machine.leaks().map((leak) => leak.message),
      pages: guests.map((guest) => guest.domain.memory.freePages),
      hostPages: dom0.memory.freePages,
      refs: domains.map((domain) => domain.grants.freeRefs),
      bridgePorts: bridge.ports.length,
    };
  }

  /** What is held once two looks in a row see the same. */
  async atRest(): Promise<Held> {
    for (let last = await this.held(); ; ) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const now = await this.held();
      if (isDeepStrictEqual(now, last)) return now;
      last = now;
    }
  }

  stop(): Promise<void> {
    return this.lab.stop();
  }
}

describe('hotplug', () => {
  it(`${CYCLES} devices in ${GUESTS} guests leave nothing`, { timeout: 3_600_000 }, async () => {
    const hotplug = await Hotplug.start();
    await hotplug.warmUp();
    await hotplug.run(50);
    const before = await hotplug.atRest();
    expect(before.leaks).toEqual([]);
    await hotplug.run(CYCLES);
    const after = await hotplug.atRest();
    expect({ ...after, hostPages: 0 }).toEqual({ ...before, hostPages: 0 });
    // Backends share copy batches and keep as many as were ever in use at once, however many devices there were.
    expect(before.hostPages - after.hostPages).toBeLessThanOrEqual(AT_ONCE * BATCH_PAGES);
    await hotplug.stop();
  });
});
