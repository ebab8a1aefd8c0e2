/**
 * Random peers: each round writes something into a ring, mostly close to what a real peer would write, and notifies. Neither
 * side may throw, hang, emit bytes it was not sent, or leak; a device that gives up is connected anew.
 *
 * `VIF_FUZZ_ROUNDS` sets the number of rounds (default 10 000 a side), `VIF_FUZZ_SEED` the seed.
 */
import { Machine } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { netfrontDriver } from '@netchannel2/netfront';
import { expect, it } from 'vitest';
import { RawRing } from './raw-ring';
import { ScriptedBackend } from './scripted-backend';
import { ScriptedFrontend } from './scripted-frontend';
import { offer, prepare, vifLinks } from './vif-pair';

const ROUNDS = Number(process.env.VIF_FUZZ_ROUNDS ?? 10_000);
const SEED = Number(process.env.VIF_FUZZ_SEED ?? 20_261_124);

/** mulberry32. */
function random(seed: number): (below: number) => number {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const pick = <Value>(next: (below: number) => number, values: readonly [Value, ...Value[]]): Value =>
  values[next(values.length)] ?? values[0];

it('netback survives any frontend', async () => {
  const next = random(SEED);
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const host = machine.createDomain();
  const guest = machine.createDomain();
  const links = vifLinks(guest, host);
  const back = netbackDriver().create(links.back);
  await offer(links.back, back);
  let emitted = 0;
  back.frames$.subscribe((frame) => {
    emitted += 1;
    expect(frame.byteLength).toBeGreaterThanOrEqual(14);
    expect(frame.toBytes().length).toBe(frame.byteLength);
    if (next(4) === 0) back.send(frame);
  });
  let frontend: ScriptedFrontend | undefined;
  let connections = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    if (frontend === undefined || links.back.failures.length > 0) {
      await back.disconnect();
      links.back.failures.length = 0;
      frontend?.close();
      frontend = new ScriptedFrontend(guest, host);
      for (const [node, value] of Object.entries(frontend.nodes())) links.front.own.set(node, value);
      await back.connect();
      connections += 1;
    }
    const peer = frontend;
    const slots = 1 + next(4);
    for (let slot = 0; slot < slots; slot += 1) {
      if (next(6) === 0) {
        peer.put({ type: next(8), more: next(3) === 0, body: Array.from({ length: 6 }, () => next(256)) });
        continue;
      }
      peer.put({
        gref: next(10) === 0 ? next(2 ** 32) : (peer.refs[next(4)] ?? 0),
        offset: pick(next, [0, 0, 0, next(4096), next(65536)]),
        flags: pick(next, [0, 0, 0, 3, 4, 8, 12, next(65536)]),
        size: pick(next, [60, 1514, 4096, next(4096), next(65536)]),
      });
    }
    const answered = peer.tx.get32(RawRing.RSP_PROD);
    if (peer.txProduced - answered > 250) peer.txProduced = answered;
    peer.post(
      ...Array.from({ length: next(3) }, () => (next(10) === 0 ? next(2 ** 32) : (peer.refs[next(4)] ?? 0))),
    );
    if (next(200) === 0) peer.rx.set32(RawRing.REQ_PROD, next(2 ** 32));
    peer.publish(next(100) === 0 ? next(2 ** 32) : undefined);
    back.send(new Uint8Array(60 + next(6000)));
    await machine.idle();
  }
  expect(connections).toBeGreaterThan(1);
  expect(emitted).toBeGreaterThan(0);
  await back.disconnect();
  frontend?.close();
  expect(machine.accounting(host.id)).toMatchObject({ mappings: 0 });
  machine.shutdown();
});

it('netfront survives any backend', async () => {
  const next = random(SEED + 1);
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const host = machine.createDomain();
  const guest = machine.createDomain();
  const links = vifLinks(guest, host);
  for (const [node, value] of Object.entries(ScriptedBackend.features)) links.back.own.set(node, value);
  const front = netfrontDriver().create(links.front);
  const start = { pages: guest.memory.freePages, refs: guest.grants.freeRefs };
  let emitted = 0;
  front.frames$.subscribe((frame) => {
    emitted += 1;
    expect(frame.toBytes().length).toBe(frame.byteLength);
    if (next(4) === 0) front.send(frame);
  });
  let backend: ScriptedBackend | undefined;
  let txAnswered = 0;
  let rxAnswered = 0;
  let connections = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    if (backend === undefined || links.front.failures.length > 0) {
      backend?.close();
      await front.disconnect();
      links.front.failures.length = 0;
      await prepare(links.front, front);
      backend = new ScriptedBackend(host, guest, links.front.own);
      front.connected();
      txAnswered = 0;
      rxAnswered = 0;
      connections += 1;
    }
    const peer = backend;
    front.send(new Uint8Array(60 + next(6000)));
    await machine.idle();
    for (let count = next(4); count > 0; count -= 1) {
      if (txAnswered >= peer.tx.get32(RawRing.REQ_PROD)) break;
      const id = next(100) === 0 ? next(65536) : peer.tx.signed16(txAnswered, 8) & 0xffff;
      peer.answerTx(txAnswered, id, pick(next, [0, 0, 0, -1, 1, next(65536)]));
      txAnswered += 1;
    }
    for (let count = next(4); count > 0; count -= 1) {
      peer.answerRx(rxAnswered, {
        offset: pick(next, [0, 0, 0, next(4096), next(65536)]),
        flags: pick(next, [0, 0, 1, 3, 4, 8, next(65536)]),
        status: pick(next, [60, 1514, 4096, -1, next(4096), next(65536)]),
      });
      if (next(8) === 0)
        peer.rx.write(rxAnswered, [1, next(6)], [1, next(2)], [2, next(65536)], [4, next(4)]);
      rxAnswered += 1;
    }
    peer.publishTx(next(200) === 0 ? next(2 ** 32) : txAnswered);
    peer.publishRx(next(200) === 0 ? next(2 ** 32) : rxAnswered);
    await machine.idle();
  }
  expect(connections).toBeGreaterThan(1);
  expect(emitted).toBeGreaterThan(0);
  backend?.close();
  await front.disconnect();
  expect({ pages: guest.memory.freePages, refs: guest.grants.freeRefs }).toEqual(start);
  machine.shutdown();
});
