/**
 * Every field of every message with each of its bits flipped, and at the edges of its range, at every place a message can arrive:
 * what is fatal by the specification ends the connection, or the bypass, and nothing else does.
 */
import { BypassProposer, netback2Driver } from '@netchannel2/netback2';
import { netfront2Driver } from '@netchannel2/netfront2';
import { rawVif2BackendDriver, rawVif2FrontendDriver, WiredDevice } from '@netchannel2/testing';
import type { Domain, DomainId, FramePort } from '@netchannel2/xen';
import { afterEach, describe, expect, it } from 'vitest';
import { BypassIntruder } from './bypass-intruder';
import { BypassSite } from './bypass-site';
import { MESSAGES, type MessageLayout, mutations } from './message-fields';
import { BURST, RawWriter } from './raw-writer';
import { type ReceivingEnd, SpecReceiver } from './spec-receiver';
import { numberedFrame, vif2Pair } from './vif2-pair';

const RING_BYTES = 4096;
const PACKET = 2;
const END: ReceivingEnd = {
  ring: 'parent',
  ringBytes: RING_BYTES,
  maxPackets: 128,
  maxFragments: 18,
  greeted: true,
};

/** A driver and a raw end wired to each other, on a machine that has nobody else. */
interface Arena {
  readonly device: {
    readonly failures: readonly unknown[];
    connect(): Promise<void>;
    disconnect(): Promise<void>;
    remove(): Promise<void>;
  };
  readonly victim: FramePort;
  readonly raw: ConstructorParameters<typeof RawWriter>[0];
  readonly attacker: Domain;
  readonly target: DomainId;
  readonly bypasses: ReceivingEnd['bypasses'];
}

type Machinery = Pick<ReturnType<typeof vif2Pair>, 'machine' | 'clock' | 'guest' | 'host'>;

const ARENAS: Readonly<Record<string, (machinery: Machinery) => Arena>> = {
  'netback2 without bypasses': ({ guest, host, clock }) => {
    const backend = netback2Driver({ poolPages: 64 });
    const device = new WiredDevice({ guest, host, frontend: rawVif2FrontendDriver(), backend, clock });
    return {
      device,
      victim: device.backend,
      raw: device.frontend,
      attacker: guest,
      target: host.id,
      bypasses: undefined,
    };
  },
  'netback2 that may be answered about bypasses': ({ guest, host, clock }) => {
    const bypasses = new BypassProposer({ policy: { kind: 'manual' } });
    const device = new WiredDevice({
      guest,
      host,
      frontend: rawVif2FrontendDriver((nodes) => ({ ...nodes, 'feature-bypass': '1' })),
      backend: netback2Driver({ poolPages: 64, bypasses }),
      clock,
    });
    return {
      device,
      victim: device.backend,
      raw: device.frontend,
      attacker: guest,
      target: host.id,
      bypasses: 'answers',
    };
  },
  'netfront2 of a trusted backend': ({ guest, host, clock }) => {
    const frontend = netfront2Driver({ poolPages: 64 });
    const device = new WiredDevice({ guest, host, frontend, backend: rawVif2BackendDriver(), clock });
    return {
      device,
      victim: device.frontend,
      raw: device.backend,
      attacker: host,
      target: guest.id,
      bypasses: 'offers',
    };
  },
  'netfront2 of a backend nobody trusts': ({ guest, host, clock }) => {
    const device = new WiredDevice({
      guest,
      host,
      frontend: netfront2Driver({ poolPages: 64 }),
      backend: rawVif2BackendDriver(),
      frontendNodes: { 'remote-trusted': '0' },
      clock,
    });
    return {
      device,
      victim: device.frontend,
      raw: device.backend,
      attacker: host,
      target: guest.id,
      bypasses: undefined,
    };
  },
};

/** The first message of a connection is sent to one that has heard nothing yet. */
const comesFirst = ({ type }: MessageLayout) => type === 1;

describe.each(Object.keys(ARENAS))('%s', (name) => {
  it.each(MESSAGES)('$name', async (message) => {
    const machinery = vif2Pair();
    const { machine, clock } = machinery;
    const arena = ARENAS[name]?.(machinery);
    if (arena === undefined) throw new Error('there is no such arena');
    const { device, victim, raw } = arena;
    const pages = arena.attacker.grants.share(arena.target, 1, 'readonly');
    const ref = pages?.refs[0] ?? 0;
    let writer = new RawWriter(raw);
    let spec = new SpecReceiver(END);
    let connected = false;
    let cases = 0;
    /** A connection as the message wants to find it. */
    const meet = async () => {
      await device.disconnect();
      await clock.settle();
      await device.connect();
      await clock.settle();
      connected = true;
      writer = new RawWriter(raw);
      const greeted = !comesFirst(message);
      spec = new SpecReceiver({ ...END, greeted: false, bypasses: arena.bypasses });
      if (greeted) spec.take(writer.show(BURST));
      await clock.settle();
      writer.hear();
    };
    for (const field of message.fields) {
      const honest = message.words(7, ref);
      for (const [index] of mutations(honest, field).entries()) {
        if (!connected || comesFirst(message) || message.type === 3) await meet();
        let id = 7 + cases;
        if (message.type === 3) {
          expect(victim.send(numberedFrame(1514, 1))).toBe(true);
          await clock.settle();
          id = writer.hear().find(({ type }) => type === PACKET)?.word ?? 0;
          spec.sent.add(id);
        }
        const words = mutations(message.words(id, ref), field)[index] ?? [];
        const failures = device.failures.length;
        const fault = spec.take(writer.show(words));
        await clock.settle();
        cases += 1;
        const said = `${field.name}: ${words.map((word) => (word >>> 0).toString(16)).join(' ')}: ${fault}`;
        expect(device.failures.length - failures, said).toBe(fault === undefined ? 0 : 1);
        if (fault !== undefined) connected = false;
        else {
          for (const heard of writer.hear()) if (heard.type === 3) spec.unfinished.delete(heard.word);
          expect(spec.unfinished.size, said).toBe(0);
        }
      }
      // A thousand limit changes in a second would be too many.
      await clock.advance(2000);
    }
    expect(cases).toBeGreaterThan(20);
    await device.remove();
    pages?.end();
    await clock.advance(2000);
    expect(machine.leaks()).toEqual([]);
    expect(clock.timers).toBe(0);
    machine.shutdown();
  });
});

describe('a guest, on the ring of a bypass', () => {
  let site: BypassSite;
  afterEach(async () => {
    expect(await site.finish()).toEqual([]);
  });

  it.each(MESSAGES)('$name', async (message) => {
    site = new BypassSite();
    await site.start();
    const { front, device } = site.guest(0);
    const pages = site.guest(1).domain.grants.share(site.guest(0).domain.id, 1, 'readonly');
    const ref = pages?.refs[0] ?? 0;
    for (const field of message.fields) {
      const all = mutations(message.words(7, ref), field);
      // Opening a bypass takes its time: the edges, and every fifth of the flipped bits.
      for (const [index, words] of all.entries()) {
        if (index >= 4 && index % 5 !== 0) continue;
        const withdrawn = site.proposer.withdraw();
        await site.clock.advance(70_000);
        await withdrawn;
        await site.open();
        const intruder = new BypassIntruder(site);
        const { ringBytes } = intruder;
        const spec = new SpecReceiver({ ...END, ring: 'bypass', ringBytes }, intruder.produced);
        const broken = front.counters.bypassesBroken;
        intruder.say(words);
        const fault = spec.take(words);
        await site.clock.settle();
        const said = `${field.name}: ${words.map((word) => (word >>> 0).toString(16)).join(' ')}: ${fault}`;
        expect(front.counters.bypassesBroken - broken, said).toBe(fault === undefined ? 0 : 1);
      }
    }
    // Whatever is said on a bypass, the parent connection has nothing to do with it.
    expect(device.failures).toEqual([]);
    const withdrawn = site.proposer.withdraw();
    await site.clock.advance(70_000);
    await withdrawn;
    pages?.end();
  });
});
