import { FramePool, LeasedFrame } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netfront, netfrontDriver } from '@netchannel2/netfront';
import { GrantStatus, grantRef } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { patternBytes } from './pattern';
import { RawRing } from './raw-ring';
import { ScriptedBackend } from './scripted-backend';
import { type MapLink, prepare, vifLinks } from './vif-pair';

const MORE = 4;
const EXTRA = 8;

let machine: Machine;
let host: SimulatedDomain;
let guest: SimulatedDomain;
let front: Netfront;
let links: { front: MapLink; back: MapLink };
let backend: ScriptedBackend;
let received: Uint8Array[];
let start: { pages: number; refs: number };

beforeEach(async () => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain();
  guest = machine.createDomain();
  links = vifLinks(guest, host);
  for (const [node, value] of Object.entries(ScriptedBackend.features)) links.back.own.set(node, value);
  front = netfrontDriver().create(links.front);
  start = { pages: guest.memory.freePages, refs: guest.grants.freeRefs };
  await prepare(links.front, front);
  backend = new ScriptedBackend(host, guest, links.front.own);
  received = [];
  front.frames$.subscribe((frame) => received.push(frame.toBytes()));
  await machine.idle();
});

afterEach(async () => {
  backend.close();
  await front.disconnect();
  await machine.idle();
  expect({ pages: guest.memory.freePages, refs: guest.grants.freeRefs }).toEqual(start);
  machine.shutdown();
});

describe('TX responses', () => {
  beforeEach(async () => {
    expect(front.send(new Uint8Array(60))).toBe(true);
    await machine.idle();
  });
  const id = () => backend.tx.signed16(0, 8) & 0xffff;

  it('a good one and an error one', async () => {
    backend.answerTx(0, id(), -1);
    backend.publishTx(1);
    await machine.idle();
    expect(front.counters.dropped.refusedByBackend).toBe(1);
    expect(links.front.failures).toEqual([]);
  });

  it.each<[string, () => void, string]>([
    ['an id out of range', () => backend.answerTx(0, 300, 0), 'TX response to a request not made'],
    ['an id not pending', () => backend.answerTx(0, id() ^ 1, 0), 'TX response to a request not made'],
  ])('%s', async (_, act, message) => {
    act();
    backend.publishTx(1);
    await machine.idle();
    expect(links.front.failures.map((error) => error.message)).toEqual([message]);
    expect(front.send(new Uint8Array(60))).toBe(false);
  });

  it('the same id twice', async () => {
    expect(front.send(new Uint8Array(60))).toBe(true);
    await machine.idle();
    const first = id();
    backend.answerTx(0, first, 0);
    backend.answerTx(1, first, 0);
    backend.publishTx(2);
    await machine.idle();
    expect(links.front.failures.map((error) => error.code)).toEqual(['EPROTO']);
  });

  it.each([2, 300, 0xffffffff])('%i responses for one request', async (producer) => {
    backend.publishTx(producer);
    await machine.idle();
    expect(links.front.failures.map((error) => error.message)).toEqual(['TX response index out of range']);
  });

  it('an answer to a request it was not shown yet: its page is not granted afterwards', async () => {
    const pool = FramePool.create(guest.memory, 1);
    const frame = pool?.frameFrom(patternBytes(60, 1));
    const bytes = new Uint8Array(5000);
    if (pool === undefined || frame === undefined) throw new Error('no pages');
    const early = id() ^ 1;
    guest.run(() => {
      for (let sent = 1; sent < 256; sent += 1) expect(front.send(frame)).toBe(true);
      backend.answerTx(0, early, 0);
      backend.publishTx(1);
      // Answers are looked for, and one slot is still too few.
      expect(front.send(bytes)).toBe(false);
    });
    expect(backend.tx.signed16(1, 8) & 0xffff).toBe(early);
    const statuses = [1, 2].map((slot) => {
      const shown = host.foreign.map(guest.id, [grantRef(backend.tx.unsigned32(slot, 0))], 'readonly');
      if (typeof shown === 'number') return shown;
      shown.unmap();
      return GrantStatus.okay;
    });
    expect(statuses).toEqual([GrantStatus.generalError, GrantStatus.okay]);
    frame.release();
    pool.close();
  });

  it('answered while still mapped: the page stays out of use until it is unmapped', async () => {
    const ref = backend.tx.unsigned32(0, 0);
    const mapping = host.foreign.map(guest.id, [grantRef(ref)], 'readonly');
    if (typeof mapping === 'number') throw new Error(`map: ${mapping}`);
    backend.answerTx(0, id(), 0);
    backend.publishTx(1);
    await machine.idle();
    expect(links.front.failures.map((error) => error.message)).toEqual([
      'backend still uses a page it answered',
    ]);
    await front.disconnect();
    expect(guest.memory.freePages).toBeLessThan(start.pages);
    mapping.unmap();
    backend.close();
    await expect.poll(() => guest.memory.freePages, { timeout: 10_000 }).toBe(start.pages);
  });
});

describe('RX responses', () => {
  it.each<[string, (() => void)[]]>([
    ['an error status', [() => backend.answerRx(0, { status: -1 })]],
    ['data beyond the page', [() => backend.answerRx(0, { offset: 4000, status: 97 })]],
    ['more slots than published', [() => backend.answerRx(0, { status: 100, flags: MORE })]],
    ['a missing extra', [() => backend.answerRx(0, { status: 100, flags: EXTRA })]],
    [
      'a malformed extra',
      [() => backend.answerRx(0, { status: 100, flags: EXTRA }), () => backend.rx.write(1, [1, 9], [1, 0])],
    ],
    ['a packet of 0 bytes', [() => backend.answerRx(0, { status: 0 })]],
  ])('%s: the packet is dropped, its buffers are posted again', async (_, acts) => {
    for (const act of acts) act();
    backend.publishRx(acts.length);
    await machine.idle();
    expect(links.front.failures).toEqual([]);
    expect(front.counters.dropped.receiveError).toBe(1);
    expect(backend.rx.get32(RawRing.REQ_PROD)).toBe(256 + acts.length);
    backend.answerRx(acts.length, { status: 60 });
    backend.publishRx(acts.length + 1);
    await machine.idle();
    expect(received.map((bytes) => bytes.length)).toEqual([60]);
  });

  it.each([257, 0x80000000, 0xffffffff])('index %i', async (producer) => {
    backend.publishRx(producer);
    await machine.idle();
    expect(links.front.failures.map((error) => error.message)).toEqual(['RX response index out of range']);
  });

  it('an index that goes back', async () => {
    backend.answerRx(0, { status: 60 });
    backend.answerRx(1, { status: 60 });
    backend.publishRx(2);
    await machine.idle();
    backend.publishRx(1);
    await machine.idle();
    expect(received.length).toBe(2);
    expect(links.front.failures.map((error) => error.message)).toEqual(['RX response index out of range']);
  });

  it('answered while still mapped: never posted or emitted again', async () => {
    const ref = backend.rx.unsigned32(0, 4);
    const mapping = host.foreign.map(guest.id, [grantRef(ref)], 'readwrite');
    if (typeof mapping === 'number') throw new Error(`map: ${mapping}`);
    backend.answerRx(0, { status: 60 });
    backend.publishRx(1);
    await machine.idle();
    expect(received).toEqual([]);
    expect(links.front.failures.map((error) => error.message)).toEqual([
      'backend still uses a buffer it answered',
    ]);
    await front.disconnect();
    expect(guest.memory.freePages).toBeLessThan(start.pages);
    mapping.unmap();
    backend.close();
    await expect.poll(() => guest.memory.freePages, { timeout: 10_000 }).toBe(start.pages);
  });
});

describe('a backend that is not trusted', () => {
  beforeEach(async () => {
    backend.close();
    await front.disconnect();
    links.front.own.set('trusted', '0');
    await prepare(links.front, front);
    backend = new ScriptedBackend(host, guest, links.front.own);
  });

  it('sees zeros around what is sent, and empty buffers', async () => {
    const pool = FramePool.create(guest.memory, 1);
    const frame = pool?.frameFrom(new Uint8Array(4096).fill(0xee));
    if (pool === undefined || frame === undefined) throw new Error('no pages');
    const header = new LeasedFrame();
    frame.fragmentPage(0).acquire();
    header.addFragment(frame.fragmentPage(0), 100, 60);
    expect(front.send(header)).toBe(true);
    await machine.idle();
    const seen = (ref: number) => {
      const mapping = host.foreign.map(guest.id, [grantRef(ref)], 'readonly');
      if (typeof mapping === 'number') throw new Error(`map: ${mapping}`);
      const { bytes, base } = mapping.area;
      const copy = bytes.slice(base, base + 4096);
      mapping.unmap();
      return copy;
    };
    const expected = new Uint8Array(4096);
    expected.fill(0xee, 0, 60);
    expect(seen(backend.tx.unsigned32(0, 0))).toEqual(expected);
    expect(seen(backend.rx.unsigned32(0, 4))).toEqual(new Uint8Array(4096));
    header.release();
    frame.release();
    pool.close();
  });
});

describe('nodes that do not work out', () => {
  it.each([
    ['rx-copy missing', (): void => void links.back.own.delete('feature-rx-copy'), 'EOPNOTSUPP'],
    ['mac missing', (): void => void links.front.own.delete('mac'), 'ENOENT'],
  ] as const)('%s', async (_, act, code) => {
    backend.close();
    await front.disconnect();
    act();
    await expect(front.prepare()).rejects.toMatchObject({ code });
  });
});
