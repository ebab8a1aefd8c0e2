/**
 * Random peers: each round writes something into a ring, mostly close to what a real peer would write, and notifies. Neither
 * side may throw, hang, emit bytes it was not sent, or leak; a device that gives up is connected anew, and another guest's
 * frames flow all the while.
 *
 * `VIF_FUZZ_MUTATIONS` sets the number of things written (default 10 000 a side), `VIF_FUZZ_SEED` the seed.
 */
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, netbackDriver } from '@netchannel2/netback';
import { netfrontDriver } from '@netchannel2/netfront';
import { SeededRandom } from '@netchannel2/testing';
import { expect, it } from 'vitest';
import { RawRing } from './raw-ring';
import { ScriptedBackend } from './scripted-backend';
import { ScriptedControl } from './scripted-control';
import { ScriptedFrontend } from './scripted-frontend';
import { offer, prepare, type VifPair, vifLinks, vifPair } from './vif-pair';

const MUTATIONS = Number(process.env.VIF_FUZZ_MUTATIONS ?? 10_000);
const SEED = Number(process.env.VIF_FUZZ_SEED ?? 20_261_124);
const TIMEOUT = 60_000 + MUTATIONS * 5;
/** Rounds between looks at a guest that has nothing to do with all this. */
const BYSTANDER_INTERVAL = 200;

/** Numbers below a bound, and choices, that count as mutations. */
class Mutator {
  made = 0;
  private readonly random: SeededRandom;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
  }

  below(bound: number): number {
    return this.random.integer(0, bound - 1);
  }

  chance(one: number): boolean {
    return this.below(one) === 0;
  }

  pick(values: readonly number[]): number {
    return values[this.below(values.length)] ?? 0;
  }
}

const boot = () => {
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const host = machine.createDomain({ memoryPages: 4096 });
  return { machine, host, guest: machine.createDomain({ memoryPages: 2048 }) };
};

const checkBystander = async (machine: Machine, bystander: VifPair): Promise<void> => {
  let flowed = 0;
  const note = () => {
    flowed += 1;
  };
  const subscriptions = [bystander.back.frames$.subscribe(note), bystander.front.frames$.subscribe(note)];
  expect(bystander.front.send(new Uint8Array(60))).toBe(true);
  expect(bystander.back.send(new Uint8Array(60))).toBe(true);
  await machine.idle();
  for (const subscription of subscriptions) subscription.unsubscribe();
  expect(flowed).toBe(2);
};

/** A hostile frontend: what it writes in one round. */
const frontendRound = (mutator: Mutator, peer: ScriptedFrontend, control: ScriptedControl): void => {
  const ref = () => (mutator.chance(10) ? mutator.below(2 ** 32) : (peer.refs[mutator.below(4)] ?? 0));
  for (let slots = 1 + mutator.below(4); slots > 0; slots -= 1) {
    mutator.made += 1;
    if (mutator.chance(6)) {
      const body = Array.from({ length: 6 }, () => mutator.below(256));
      peer.put({ type: mutator.below(8), more: mutator.chance(3), body });
      continue;
    }
    peer.put({
      gref: ref(),
      offset: mutator.pick([0, 0, 0, mutator.below(4096), mutator.below(65536)]),
      flags: mutator.pick([0, 0, 0, 3, 4, 8, 12, mutator.below(65536)]),
      size: mutator.pick([60, 1514, 4096, mutator.below(4096), mutator.below(65536)]),
    });
  }
  const answered = peer.tx.get32(RawRing.RSP_PROD);
  if (peer.txProduced - answered > 250) peer.txProduced = answered;
  const posts = Array.from({ length: mutator.below(3) }, ref);
  mutator.made += posts.length;
  peer.post(...posts);
  if (mutator.chance(4)) {
    mutator.made += 1;
    const words = [ref(), mutator.below(4), ref(), mutator.below(65536), mutator.below(2 ** 32)];
    if (mutator.chance(2)) control.fill(...words);
    const argument = () =>
      mutator.pick([control.pageRef, mutator.below(8), mutator.below(600), mutator.below(2 ** 32)]);
    control.put(mutator.below(12), argument(), argument(), argument());
    control.publish();
  }
  if (mutator.chance(60)) {
    // Anything, anywhere on a ring page, indices and events included.
    mutator.made += 1;
    const ring = mutator.chance(2) ? peer.tx : peer.rx;
    ring.set32(mutator.below(200) * 4, mutator.below(2 ** 32));
  }
  if (mutator.chance(200)) peer.rx.set32(RawRing.REQ_PROD, mutator.below(2 ** 32));
  peer.publish(mutator.chance(100) ? mutator.below(2 ** 32) : undefined);
};

it.each([
  ['copied in', false],
  ['handed on in its grants', true],
])(
  'netback survives any frontend; what it sends is %s',
  async (_, handsOn) => {
    const mutator = new Mutator(SEED + (handsOn ? 2 : 0));
    const { machine, host, guest } = boot();
    const bystander = vifPair(machine.createDomain(), host);
    await bystander.connect();
    const links = vifLinks(guest, host);
    // Few pages: a hostile guest has its device connected anew thousands of times.
    const back: Netback = netbackDriver({ receivePages: 32, transmitPages: 17 }).create(links.back);
    await offer(links.back, back);
    let emitted = 0;
    let handedOn = 0;
    let malformed = 0;
    back.frames$.subscribe((frame) => {
      emitted += 1;
      if (frame.byteLength < 14 || frame.toBytes().length !== frame.byteLength) malformed += 1;
      if (mutator.chance(4)) back.send(frame);
    });
    if (handsOn)
      back.divert({
        forward(frame) {
          if (mutator.chance(5) || !bystander.back.acceptsGranted(frame)) return false;
          if (frame.deliverEarlier() && bystander.back.sendGranted(frame)) handedOn += 1;
          return true;
        },
      });
    let frontend: ScriptedFrontend | undefined;
    let control: ScriptedControl | undefined;
    let connections = 0;
    for (let round = 0; mutator.made < MUTATIONS; round += 1) {
      if (frontend === undefined || control === undefined || links.back.failures.length > 0) {
        await back.disconnect();
        links.back.failures.length = 0;
        control?.close();
        frontend?.close();
        frontend = new ScriptedFrontend(guest, host);
        control = new ScriptedControl(guest, host);
        const nodes = { ...frontend.nodes(), ...control.nodes() };
        for (const [node, value] of Object.entries(nodes)) links.front.own.set(node, value);
        await back.connect();
        connections += 1;
      }
      frontendRound(mutator, frontend, control);
      back.send(new Uint8Array(60 + mutator.below(6000)));
      await machine.idle();
      if (round % BYSTANDER_INTERVAL === 0) await checkBystander(machine, bystander);
    }
    expect(connections).toBeGreaterThan(1);
    expect([emitted > 0, malformed]).toEqual([true, 0]);
    expect(handedOn > 0).toBe(handsOn);
    await back.disconnect();
    await bystander.disconnect();
    control?.close();
    frontend?.close();
    expect(machine.leaks().filter(({ kind }) => kind !== 'ports')).toEqual([]);
    machine.shutdown();
  },
  TIMEOUT,
);

/** Where a hostile backend is in its rings. */
interface Answered {
  tx: number;
  rx: number;
}

const backendRound = (mutator: Mutator, peer: ScriptedBackend, answered: Answered): void => {
  for (let count = mutator.below(4); count > 0; count -= 1) {
    if (answered.tx >= peer.tx.get32(RawRing.REQ_PROD)) break;
    mutator.made += 1;
    const id = mutator.chance(100) ? mutator.below(65536) : peer.tx.signed16(answered.tx, 8) & 0xffff;
    peer.answerTx(answered.tx, id, mutator.pick([0, 0, 0, -1, 1, mutator.below(65536)]));
    answered.tx += 1;
  }
  for (let count = 1 + mutator.below(4); count > 0; count -= 1) {
    mutator.made += 1;
    peer.answerRx(answered.rx, {
      offset: mutator.pick([0, 0, 0, mutator.below(4096), mutator.below(65536)]),
      flags: mutator.pick([0, 0, 1, 3, 4, 8, mutator.below(65536)]),
      status: mutator.pick([60, 1514, 4096, -1, mutator.below(4096), mutator.below(65536)]),
    });
    if (mutator.chance(8)) {
      const body = [mutator.below(65536), mutator.below(4)] as const;
      peer.rx.write(answered.rx, [1, mutator.below(6)], [1, mutator.below(2)], [2, body[0]], [4, body[1]]);
    }
    answered.rx += 1;
  }
  if (mutator.chance(60)) {
    mutator.made += 1;
    const ring = mutator.chance(2) ? peer.tx : peer.rx;
    ring.set32(mutator.below(200) * 4, mutator.below(2 ** 32));
  }
  peer.publishTx(mutator.chance(200) ? mutator.below(2 ** 32) : answered.tx);
  peer.publishRx(mutator.chance(200) ? mutator.below(2 ** 32) : answered.rx);
};

it.each([
  ['granted one by one', false],
  ['shared for good', true],
])(
  'netfront survives any backend; its buffers are %s',
  async (_, staging) => {
    const mutator = new Mutator(SEED + (staging ? 3 : 1));
    const { machine, host, guest } = boot();
    const links = vifLinks(guest, host);
    for (const [node, value] of Object.entries(ScriptedBackend.features)) links.back.own.set(node, value);
    const front = netfrontDriver({ staging }).create(links.front);
    const held = (domain: SimulatedDomain) => [domain.memory.freePages, domain.grants.freeRefs];
    const start = held(guest);
    let emitted = 0;
    front.frames$.subscribe((frame) => {
      emitted += 1;
      expect(frame.toBytes().length).toBe(frame.byteLength);
      if (mutator.chance(4)) front.send(frame);
    });
    let backend: ScriptedBackend | undefined;
    const answered: Answered = { tx: 0, rx: 0 };
    let connections = 0;
    while (mutator.made < MUTATIONS) {
      if (backend === undefined || links.front.failures.length > 0) {
        backend?.close();
        await front.disconnect();
        links.front.failures.length = 0;
        await prepare(links.front, front);
        backend = new ScriptedBackend(host, guest, links.front.own);
        front.connected();
        answered.tx = 0;
        answered.rx = 0;
        connections += 1;
      }
      front.send(new Uint8Array(60 + mutator.below(6000)));
      await machine.idle();
      backendRound(mutator, backend, answered);
      await machine.idle();
    }
    expect(connections).toBeGreaterThan(1);
    expect(emitted).toBeGreaterThan(0);
    backend?.close();
    await front.disconnect();
    expect(held(guest)).toEqual(start);
    machine.shutdown();
  },
  TIMEOUT,
);
