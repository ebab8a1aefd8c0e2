import { netback2Driver } from '@netchannel2/netback2';
import {
  type BypassSetup,
  MessageType,
  messageHeader,
  PROD,
  writeBypassSetup,
} from '@netchannel2/netchannel2';
import { netfront2Driver } from '@netchannel2/netfront2';
import {
  type RawVif2Backend,
  type RawVif2Frontend,
  rawVif2BackendDriver,
  rawVif2FrontendDriver,
  SeededRandom,
  WiredDevice,
} from '@netchannel2/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { BypassIntruder } from './bypass-intruder';
import { BypassSite } from './bypass-site';

/** Half as many offers, and an eighth as many messages on bypass rings; `soak:bypass` sets more. */
const MUTATIONS = Number(process.env.BYPASS_FUZZ_MUTATIONS ?? 4000);
const FORGIVEN = 61_000;

const message = (type: number, ...words: number[]) => [
  messageHeader(type, 0, 4 + 4 * words.length),
  ...words,
];
const BURST = [message(MessageType.setMaxPackets, 64), message(5, 18), message(4, 0x0101)];

describe('a guest that abuses its answers', () => {
  let site: BypassSite;
  let raw: WiredDevice<RawVif2Frontend, ReturnType<ReturnType<typeof netback2Driver>['create']>>;
  beforeEach(async () => {
    site = new BypassSite();
    await site.start();
  });
  afterEach(async () => {
    await raw.remove();
    expect(await site.finish()).toEqual([]);
  });
  const connect = async (feature: string) => {
    const guest = site.machine.createDomain({ memoryPages: 512 });
    raw = new WiredDevice({
      clock: site.clock,
      guest,
      host: site.host,
      frontend: rawVif2FrontendDriver((nodes) => ({ ...nodes, 'feature-bypass': feature })),
      backend: netback2Driver({ bypasses: site.proposer, poolPages: 64 }),
      backendNodes: { 'remote-mac': '02:00:00:00:09:09' },
    });
    await raw.connect();
    raw.frontend.transmit(...BURST);
    await site.clock.settle();
  };
  const transmit = async (...messages: number[][]) => {
    raw.frontend.transmit(...messages);
    await site.clock.settle();
  };

  it.each([9, 10, 12, 13, 15])('message type %i of it ends its connection', async (type) => {
    await connect('1');
    await transmit(message(type, ...new Array<number>(15).fill(1)));
    expect(raw.failures.map(({ message: text }) => text)).toEqual([
      `message type ${type} is not allowed here`,
    ]);
  });

  it.each([11, 14, 16, 17])('without bypasses agreed on so does type %i', async (type) => {
    await connect('0');
    await transmit(message(type, 1, 0, 0));
    expect(raw.failures).toHaveLength(1);
  });

  it('BYPASS_FRONTEND_READY without an offer does, and a second one', async () => {
    await connect('1');
    expect(site.proposer.propose(raw.backend, site.guest(1).back)).toBeUndefined();
    await transmit(message(MessageType.bypassFrontendReady, -12));
    expect([raw.failures.length, site.states().length]).toEqual([0, 0]);
    await transmit(message(MessageType.bypassFrontendReady, 5));
    expect(raw.failures.map(({ message: text }) => text)).toEqual([
      'BYPASS_FRONTEND_READY that nobody asked for',
    ]);
  });

  it('answers about bypasses that are not there are ignored, and so is a hint for nobody', async () => {
    await connect('1');
    await transmit(message(14, 77), message(16, 78), message(17, 0, 0, 0), message(14, 0));
    expect(raw.failures).toEqual([]);
  });

  it('a port that does not exist costs the bypass, not the other guest', async () => {
    await connect('1');
    expect(site.proposer.propose(raw.backend, site.guest(1).back)).toBeUndefined();
    await transmit(message(MessageType.bypassFrontendReady, 900));
    // The other guest could not bind it; this one never says that it let go.
    expect(site.states()).toEqual(['detaching']);
    await site.clock.advance(5000);
    expect(site.states()).toEqual([]);
    expect(site.guest(1).front.counters.bypassesRefused).toBe(1);
    expect(site.send(0, 1, 3, 60)).toBe(true);
    await site.clock.settle();
    expect(site.guest(1).received).toEqual([3]);
  });

  it('one that never answers is given up, and gets nothing for a minute', async () => {
    await connect('1');
    expect(site.proposer.propose(raw.backend, site.guest(1).back)).toBeUndefined();
    await site.clock.advance(10_000);
    expect(site.states()).toEqual([]);
    expect(site.proposer.propose(raw.backend, site.guest(1).back)).toMatch(/not answered|left alone/);
    await transmit(message(MessageType.bypassFrontendReady, 7));
    expect(raw.failures).toEqual([]);
  });
});

describe('offers of a backend', () => {
  let site: BypassSite;
  let raw: WiredDevice<ReturnType<ReturnType<typeof netfront2Driver>['create']>, RawVif2Backend>;
  const connect = async (trusted: boolean) => {
    site = new BypassSite({ guests: [2] });
    await site.start();
    const driver = rawVif2BackendDriver();
    const guest = site.machine.createDomain({ memoryPages: 512 });
    raw = new WiredDevice({
      clock: site.clock,
      guest,
      host: site.host,
      frontend: netfront2Driver({ poolPages: 64 }),
      backend: {
        ...driver,
        create: (link) => {
          const device = driver.create(link);
          const features = device.features.bind(device);
          return Object.assign(device, {
            features: async () => ({ ...(await features()), 'feature-bypass': '1' }),
          });
        },
      },
      frontendNodes: { mac: '02:00:00:00:09:01', 'remote-trusted': trusted ? '1' : '0' },
    });
    await raw.connect();
    raw.backend.transmit(...BURST);
    await site.clock.settle();
    return guest;
  };
  afterEach(async () => {
    await raw.remove();
    expect(await site.finish()).toEqual([]);
  });

  it.each([9, 10, 13, 15])('type %i from an untrusted one ends the connection', async (type) => {
    await connect(false);
    raw.backend.transmit(message(type, ...new Array<number>(15).fill(1)));
    await site.clock.settle();
    expect(raw.failures.map(({ message: text }) => text)).toEqual([
      `message type ${type} is not allowed here`,
    ]);
  });

  it('from a trusted one are refused, whatever they say, and cost nothing', {
    timeout: 600_000,
  }, async () => {
    const guest = await connect(true);
    const free = [guest.memory.freePages, guest.grants.freeRefs];
    const random = new SeededRandom(7);
    const some = (...values: number[]) => values[random.integer(0, values.length - 1)] ?? 0;
    const rounds = MUTATIONS >> 1;
    for (let round = 0; round < rounds; round += 1) {
      const pages = some(1, 1, 2, 3, 16);
      const refs = () => Array.from({ length: pages }, () => some(0, 1, 8, 40, 4000, -1));
      const setup: BypassSetup = {
        type: some(0, 1) === 0 ? MessageType.bypassFrontend : MessageType.bypassBackend,
        port: some(-5, 0, 1, 3, 900, 0x7fffffff),
        ringDomain: some(0x7ff0, 0, 1, guest.id, 99),
        peerDomain: some(1, guest.id, 0x7ff0, 0x7fff, 99, 0),
        handle: some(0, 1, 2, -1),
        remoteMac: Uint8Array.of(some(2, 2, 1), 0, 0, 0, 9, some(1, 2)),
        peerTrusted: some(0, 1) === 1,
        controlRef: some(0, 8, 40, 4000, -1),
        producerRefs: refs(),
        consumerRefs: refs(),
      };
      const words = new Int32Array(48);
      const size = writeBypassSetup(words, 0, setup);
      // The largest message of such a ring is a quarter of it; a header may also claim less than the pages take.
      const claimed = some(size, size, 40);
      words[0] = messageHeader(setup.type, 0, claimed);
      if (some(0, 0, 0, 1) === 1) words[5] = random.integer(0, 0x7fffffff);
      placed(raw.backend, words.subarray(0, claimed >> 2));
      await site.clock.settle();
      if (round % 16 === 0) raw.backend.transmit(message(some(13, 15), some(0, 1, 2, 99)));
    }
    await site.clock.settle();
    expect(raw.failures).toEqual([]);
    const { bypassesRefused, bypassesOpened } = raw.frontend.counters;
    expect([bypassesRefused > 0, bypassesOpened]).toEqual([true, 0]);
    expect([guest.memory.freePages, guest.grants.freeRefs]).toEqual(free);
    expect(site.machine.accounting(guest.id)).toMatchObject({ mappings: 0 });
  });
});

let written = 0;
/** Writes a message and, where it would cross the ring's end, a PAD before it. Also takes what the frontend answered. */
function placed({ ring, notify, port, link }: RawVif2Backend, words: Int32Array): void {
  written = ring.index('produce', PROD);
  const left = ring.ringBytes - (written & (ring.ringBytes - 1));
  if (words.length * 4 >= left)
    ring.write([messageHeader(255, 0, left), ...new Array<number>(left / 4 - 1).fill(0)]);
  ring.write(words);
  ring.publish();
  ring.setIndex('consume', 1, ring.index('consume', PROD));
  if (port !== undefined) link.domain.events.notify(port);
  else notify();
}

describe('the other end of a bypass', () => {
  let site: BypassSite;
  beforeEach(async () => {
    site = new BypassSite();
    await site.start();
    await site.open();
  });
  afterEach(async () => {
    expect(await site.finish()).toEqual([]);
  });

  const expectBroken = async () => {
    await site.clock.settle();
    expect(site.states()).toEqual([]);
    expect(site.guest(0).front.counters.bypassesBroken).toBe(1);
    expect(site.guest(0).device.failures).toEqual([]);
    expect(site.proposer.propose(site.guest(0).back, site.guest(1).back)).toMatch(/left alone/);
    expect([site.send(0, 1, 1, 1514), site.send(1, 0, 1, 60)]).toEqual([true, true]);
    await site.clock.settle();
    expect(site.guests.map(({ received }) => received)).toEqual([[1], [1]]);
  };

  const FORBIDDEN = [0, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 254];
  it.each(FORBIDDEN)('message type %i breaks it, and nothing else', async (type) => {
    new BypassIntruder(site).say(message(type, ...new Array<number>(15).fill(1)));
    await expectBroken();
  });

  it.each<[string, number[]]>([
    ['BYPASS_READY twice', message(12, 0)],
    ['SET_MAX_PACKETS twice', message(1, 5)],
    ['a size that is no multiple of 8', [messageHeader(4, 0, 12), 0, 0]],
    ['FINISH of nothing', message(3, 40)],
    ['receiver_map', [messageHeader(2, 0, 32), 1, 3, 0, 0, 100, 8, 0]],
    ['a small packet with a fragment', [messageHeader(2, 0, 32), 1, 4, 0, 0, 100, 8, 0]],
    ['a PAD in the middle of the ring', message(255, 0, 0, 0)],
  ])('%s breaks it', async (_, words) => {
    new BypassIntruder(site).say(words);
    await expectBroken();
  });

  it('an index that jumps breaks it', async () => {
    new BypassIntruder(site).claim(PROD, 0x40000000);
    await expectBroken();
  });

  it('one that finishes nothing is left after ten seconds', async () => {
    // It sleeps: its events are never heard.
    site.deafen(1);
    let number = 1;
    while (site.send(0, 1, number, 1514)) number += 1;
    await site.clock.advance(25_000);
    expect(site.states()).toEqual([]);
    expect(site.guest(0).front.counters.bypassesBroken).toBe(1);
    site.hear(1);
    expect(site.send(0, 1, number, 60)).toBe(true);
    await site.clock.settle();
    expect(site.guest(1).received.at(-1)).toBe(number);
  });

  it('any bytes end in a bypass that is gone or in nothing, and leave nothing behind', {
    timeout: 600_000,
  }, async () => {
    const random = new SeededRandom(11);
    let mutations = 0;
    while (mutations < MUTATIONS >> 3) {
      const intruder = new BypassIntruder(site);
      for (let said = 0; site.states().length > 0 && said < 50; said += 1) {
        mutations += 1;
        const type = random.integer(0, 3) === 0 ? random.integer(0, 255) : random.integer(2, 4);
        const size = random.integer(0, 9) === 0 ? random.integer(0, 80) : 8 * random.integer(1, 6);
        const words = [messageHeader(type, random.integer(0, 255), size)];
        for (let word = 1; word < Math.max(2, size >> 2); word += 1)
          words.push(random.integer(0, 2) === 0 ? random.integer(0, 0x7fffffff) : random.integer(0, 300));
        if (random.integer(0, 60) === 0) intruder.claim(random.integer(0, 3), random.integer(0, 0x7fffffff));
        else intruder.say(words, size);
        await site.clock.settle();
      }
      const withdrawn = site.proposer.withdraw();
      await site.clock.advance(12_000);
      await withdrawn;
      expect(site.states()).toEqual([]);
      expect(site.guests.map(({ device }) => device.failures)).toEqual([[], []]);
      for (const { received } of site.guests) received.length = 0;
      expect([site.send(0, 1, 1, 1514), site.send(1, 0, 1, 60)]).toEqual([true, true]);
      await site.clock.settle();
      expect(site.guests.map(({ received }) => received)).toEqual([[1], [1]]);
      await site.clock.advance(FORGIVEN);
      await site.open();
    }
  });
});
