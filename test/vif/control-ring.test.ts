/** The control ring: a backend against a peer written from the specification, then both ends against each other. */
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, netbackDriver } from '@netchannel2/netback';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blankUdp } from './ip-packets';
import { patternBytes, sameFrames } from './pattern';
import { RawRing } from './raw-ring';
import { ScriptedControl } from './scripted-control';
import { ScriptedFrontend } from './scripted-frontend';
import { type MapLink, offer, vifLinks, vifPair } from './vif-pair';

const QUEUES = 4;
const SUCCESS = 0;
const NOT_SUPPORTED = 1;
const INVALID = 2;
const GET_FLAGS = 1;
const SET_FLAGS = 2;
const SET_KEY = 3;
const GET_MAPPING_SIZE = 4;
const SET_MAPPING_SIZE = 5;
const SET_MAPPING = 6;
const SET_ALGORITHM = 7;
const GET_GREF_SIZE = 8;
const ADD_GREFS = 9;
const DELETE_GREFS = 10;

/** The key the published vectors are for, as 32-bit words of a page. */
const KEY = '6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa';
const keyBytes = Uint8Array.from((KEY.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16)));
const keyWords = [...new Int32Array(keyBytes.slice().buffer)];

/** Published vectors: source, destination, Toeplitz over addresses, and over ports as well. */
const VECTORS = [
  ['66.9.149.187:2794', '161.142.100.80:1766', 0x323e8fc2, 0x51ccc178],
  ['199.92.111.2:14230', '65.69.140.83:4739', 0xd718262a, 0xc626b0ea],
  ['24.19.198.95:12898', '12.22.207.184:38024', 0xd2d0a5de, 0x5c2b394a],
  ['38.27.205.30:48228', '209.142.163.6:2217', 0x82989176, 0xafc7327f],
  ['153.39.163.191:44251', '202.188.127.2:1303', 0x5d1809c5, 0x10e828a2],
] as const;

const packet = (source: string, destination: string, protocol: 6 | 17): Uint8Array => {
  const bytes = blankUdp(4, 40);
  bytes[23] = protocol;
  const put = (text: string, address: number, port: number) => {
    const [host = '', number = '0'] = text.split(':');
    bytes.set(host.split('.').map(Number), address);
    bytes.set([Number(number) >> 8, Number(number) & 0xff], port);
  };
  put(source, 26, 34);
  put(destination, 30, 36);
  return bytes;
};

let machine: Machine;
let host: SimulatedDomain;
let guest: SimulatedDomain;
const settle = () => machine.idle();

beforeEach(() => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain({ memoryPages: 4096 });
  guest = machine.createDomain({ memoryPages: 4096 });
});

afterEach(() => {
  expect(machine.leaks().filter(({ kind }) => kind !== 'ports')).toEqual([]);
  machine.shutdown();
});

describe('a backend', () => {
  let back: Netback;
  let links: { front: MapLink; back: MapLink };
  let queues: ScriptedFrontend[];
  let control: ScriptedControl;
  const ask = (type: number, ...data: number[]) => control.ask(settle, type, ...data);
  const answered = () => queues.map(({ rx }) => rx.get32(RawRing.RSP_PROD));

  beforeEach(async () => {
    links = vifLinks(guest, host);
    back = netbackDriver({ receivePages: 32, transmitPages: 17 }).create(links.back);
    await offer(links.back, back);
    queues = Array.from({ length: QUEUES }, () => new ScriptedFrontend(guest, host, 8));
    control = new ScriptedControl(guest, host);
    const nodes = Object.assign(
      { 'request-rx-copy': '1', 'feature-sg': '1', 'multi-queue-num-queues': String(QUEUES) },
      ...queues.map((queue, index) => queue.ringNodes(`queue-${index}/`)),
      control.nodes(),
    );
    for (const [node, value] of Object.entries<string>(nodes)) links.front.own.set(node, value);
    await back.connect();
    for (const queue of queues) queue.post(...queue.refs);
    await settle();
  });

  afterEach(async () => {
    await back.disconnect();
    control.close();
    for (const queue of queues) queue.close();
  });

  it('offers the ring', () => {
    expect(links.back.own.get('feature-ctrl-ring')).toBe('1');
  });

  it('vectors 11 and 12: a request and its response, byte by byte', async () => {
    control.put(0);
    control.put(SET_ALGORITHM, 1);
    expect([...control.ring.slot(1)].slice(0, 8)).toEqual([1, 0, 7, 0, 1, 0, 0, 0]);
    control.publish();
    await settle();
    expect([...control.ring.slot(1)].slice(0, 12)).toEqual([1, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    expect(control.response(0)).toEqual([0, 0, NOT_SUPPORTED, 0]);
  });

  it.each<[string, [number, ...number[]][], [status: number, data: number]]>([
    ['flags without an algorithm', [[GET_FLAGS]], [NOT_SUPPORTED, 0]],
    ['setting flags without an algorithm', [[SET_FLAGS, 1]], [INVALID, 0]],
    ['an unknown algorithm', [[SET_ALGORITHM, 2]], [INVALID, 0]],
    ['flags there are', [[SET_ALGORITHM, 1], [GET_FLAGS]], [SUCCESS, 0xf]],
    [
      'all flags',
      [
        [SET_ALGORITHM, 1],
        [SET_FLAGS, 0xf],
      ],
      [SUCCESS, 0],
    ],
    [
      'an unknown flag',
      [
        [SET_ALGORITHM, 1],
        [SET_FLAGS, 0x10],
      ],
      [INVALID, 0],
    ],
    [
      'no flags',
      [
        [SET_ALGORITHM, 1],
        [SET_FLAGS, 0],
      ],
      [SUCCESS, 0],
    ],
    ['a key of 41 bytes', [[SET_KEY, -1, 41]], [INVALID, 0]],
    ['a key that is not granted', [[SET_KEY, 9999, 40]], [INVALID, 0]],
    ['a key of 40 bytes', [[SET_KEY, -1, 40]], [SUCCESS, 0]],
    ['a key cleared', [[SET_KEY, 9999, 0]], [SUCCESS, 0]],
    ['the largest mapping', [[GET_MAPPING_SIZE]], [SUCCESS, 128]],
    ['a mapping of 128', [[SET_MAPPING_SIZE, 128]], [SUCCESS, 0]],
    ['a mapping of 129', [[SET_MAPPING_SIZE, 129]], [INVALID, 0]],
    ['a mapping before its size', [[SET_MAPPING, -1, 1, 0]], [INVALID, 0]],
    [
      'a mapping',
      [
        [SET_MAPPING_SIZE, 8],
        [SET_MAPPING, -1, 8, 0],
      ],
      [SUCCESS, 0],
    ],
    [
      'part of a mapping',
      [
        [SET_MAPPING_SIZE, 8],
        [SET_MAPPING, -1, 2, 6],
      ],
      [SUCCESS, 0],
    ],
    [
      'a mapping beyond its end',
      [
        [SET_MAPPING_SIZE, 8],
        [SET_MAPPING, -1, 2, 7],
      ],
      [INVALID, 0],
    ],
    [
      'an offset that overflows',
      [
        [SET_MAPPING_SIZE, 8],
        [SET_MAPPING, -1, 2, 0xffffffff],
      ],
      [INVALID, 0],
    ],
    [
      'a mapping that is not granted',
      [
        [SET_MAPPING_SIZE, 8],
        [SET_MAPPING, 9999, 8, 0],
      ],
      [INVALID, 0],
    ],
    ['staging buffers there may be', [[GET_GREF_SIZE, 0]], [SUCCESS, 512]],
    ['staging buffers of no queue', [[GET_GREF_SIZE, QUEUES]], [INVALID, 0]],
    ['a list of no queue', [[ADD_GREFS, QUEUES, -1, 1]], [INVALID, 0]],
    ['a list that is not granted', [[ADD_GREFS, 0, 9999, 1]], [INVALID, 0]],
    ['an empty list', [[ADD_GREFS, 0, -1, 0]], [INVALID, 0]],
    ['a list longer than a page', [[ADD_GREFS, 0, -1, 513]], [INVALID, 0]],
    ['an unknown request', [[11]], [NOT_SUPPORTED, 0]],
  ])('%s', async (_, requests, expected) => {
    control.fill(0, 1, 2, 3, 0, 1, 2, 3);
    let answer: unknown;
    for (const [type, ...data] of requests)
      answer = await ask(type, ...data.map((value) => (value === -1 ? control.pageRef : value)));
    expect(answer).toEqual(expected);
    expect(links.back.failures).toEqual([]);
  });

  it.each([
    ['TCP over addresses and ports', 6, 0xf, (vector: (typeof VECTORS)[number]) => [1, vector[3]]],
    ['TCP over addresses alone', 6, 1, (vector: (typeof VECTORS)[number]) => [0, vector[2]]],
    ['UDP over addresses', 17, 0xf, (vector: (typeof VECTORS)[number]) => [0, vector[2]]],
  ] as const)('Toeplitz by the published vectors: %s', async (_, protocol, flags, of) => {
    control.fill(...keyWords);
    await ask(SET_ALGORITHM, 1);
    await ask(SET_KEY, control.pageRef, 40);
    await ask(SET_FLAGS, flags);
    const counts = [0, 0, 0, 0];
    for (const vector of VECTORS) {
      const [type = 0, hash = 0] = of(vector);
      const queue = hash % QUEUES;
      const at = counts[queue] ?? 0;
      expect(back.send(packet(vector[0], vector[1], protocol))).toBe(true);
      await settle();
      counts[queue] = at + 2;
      expect(answered()).toEqual(counts);
      const extra = [4, 0, type, 1, hash & 0xff, (hash >>> 8) & 0xff, (hash >>> 16) & 0xff, hash >>> 24];
      expect([...(queues[queue]?.rx.slot(at + 1) ?? [])]).toEqual(extra);
    }
  });

  it('the mapping chooses the queue; a bad one leaves the old one; nothing is hashed that was not asked for', async () => {
    control.fill(...keyWords);
    await ask(SET_ALGORITHM, 1);
    await ask(SET_KEY, control.pageRef, 40);
    await ask(SET_FLAGS, 2);
    control.fill(3, 3, 3, 3, 3);
    await ask(SET_MAPPING_SIZE, 5);
    expect(await ask(SET_MAPPING, control.pageRef, 5, 0)).toEqual([SUCCESS, 0]);
    control.fill(0, 1, 2, 4, 0);
    expect(await ask(SET_MAPPING, control.pageRef, 5, 0)).toEqual([INVALID, 0]);
    for (const [source, destination] of VECTORS.slice(0, 4)) back.send(packet(source, destination, 6));
    await settle();
    expect(answered()).toEqual([0, 0, 0, 8]);
    for (const queue of queues) queue.post(...queue.refs);
    for (const [source, destination] of VECTORS) back.send(packet(source, destination, 17));
    await settle();
    expect(answered().reduce((sum, count) => sum + count, 0)).toBe(8 + VECTORS.length);
  });

  it('staging buffers: copied from and to without grant operations, until they are deleted', async () => {
    const [queue] = queues;
    if (queue === undefined) throw new Error('no queue');
    const [first = 0, second = 0, third = 0] = queue.refs;
    control.fill(first, 1, second, 0, third, 0);
    expect(await ask(ADD_GREFS, 0, control.pageRef, 3)).toEqual([SUCCESS, 0]);
    expect([control.word(1), control.word(3), control.word(5)]).toEqual([1, 0, 0]);
    const received: Uint8Array[] = [];
    back.frames$.subscribe((frame) => received.push(frame.toBytes()));
    const copies = () => machine.accounting(host.id)?.grantCopies ?? 0;
    const before = copies();
    queue.put({ size: 3000, gref: first, flags: 4 }, { size: 1000, gref: second, offset: 50 });
    queue.publish();
    await settle();
    expect(copies()).toBe(before);
    expect(sameFrames(received, [new Uint8Array(3000).fill(0x10, 0, 2000).fill(0x11, 2000)])).toBe(true);
    expect(queue.txResponses().map(([, status]) => status)).toEqual([0, 0]);

    control.fill(second, 0, 9999, 0, third, 0);
    expect(await ask(DELETE_GREFS, 0, control.pageRef, 3)).toEqual([SUCCESS, 2]);
    expect([control.word(1) >>> 16, control.word(3) >>> 16, control.word(5) >>> 16]).toEqual([0, INVALID, 0]);
    const mid = copies();
    queue.put({ size: 100, gref: second });
    queue.publish();
    await settle();
    expect(copies()).toBe(mid + 1);
  });

  it('one page that cannot be mapped: none is', async () => {
    const [queue] = queues;
    const [first = 0] = queue?.refs ?? [];
    const mappings = machine.accounting(host.id)?.mappings;
    control.fill(first, 0, 9999, 0);
    expect(await ask(ADD_GREFS, 0, control.pageRef, 2)).toEqual([INVALID, 0]);
    expect(control.word(3) >>> 16).toBe(INVALID);
    control.fill(first, 0, first, 0);
    expect(await ask(ADD_GREFS, 0, control.pageRef, 2)).toEqual([INVALID, 0]);
    expect(machine.accounting(host.id)?.mappings).toBe(mappings);
  });

  it('indices too far ahead end the connection', async () => {
    control.publish(129);
    await settle();
    expect(links.back.failures.map(({ message }) => message)).toEqual(['control request index out of range']);
    expect(machine.accounting(host.id)?.mappings).toBe(0);
  });

  it.each([
    ['a port that is missing', { 'event-channel-ctrl': '' }],
    ['a port that is not there', { 'event-channel-ctrl': '999' }],
    ['a ring that is not granted', { 'ctrl-ring-ref': '9999' }],
    ['a ring that is no number', { 'ctrl-ring-ref': 'x' }],
  ])('%s: no connection, and nothing is held', async (_, nodes) => {
    await back.disconnect();
    const before = host.memory.freePages;
    for (const [node, value] of Object.entries(nodes)) links.front.own.set(node, value);
    await expect(back.connect()).rejects.toMatchObject({ code: 'EINVAL' });
    expect(host.memory.freePages).toBe(before);
  });
});

describe('both ends', () => {
  const receiveHash = { types: ['ipv4', 'ipv4Tcp'], key: keyBytes, mapping: [0, 1, 1, 0] } as const;

  it.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])('staging asked: %s, control ring offered: %s', async (staging, controlRing) => {
    const pair = vifPair(guest, host, {
      front: { staging, receiveBuffers: 64 },
      back: { features: { controlRing } },
    });
    await pair.connect();
    const mappings = () => machine.accounting(host.id)?.mappings;
    if (staging && controlRing) await expect.poll(mappings).toBe(3 + 128 + 256);
    expect(pair.links.front.own.has('ctrl-ring-ref')).toBe(staging && controlRing);
    const toHost: Uint8Array[] = [];
    const toGuest: Uint8Array[] = [];
    pair.back.frames$.subscribe((frame) => toHost.push(frame.toBytes()));
    pair.front.frames$.subscribe((frame) => toGuest.push(frame.toBytes()));
    const copies = () => machine.accounting(host.id)?.grantCopies ?? 0;
    const before = copies();
    const sent = [60, 1514, 4096, 9000, 40000].map((length, index) => patternBytes(length, index));
    for (const bytes of sent) {
      expect(pair.front.send(bytes)).toBe(true);
      expect(pair.back.send(bytes)).toBe(true);
      await settle();
    }
    expect(sameFrames(toHost, sent)).toBe(true);
    expect(sameFrames(toGuest, sent)).toBe(true);
    expect(copies() === before).toBe(staging && controlRing);
    await pair.disconnect();
    await settle();
  });

  it('a frontend asks for a spread of its own, changes it, and turns it off', async () => {
    const pages = { transmitPages: 32, receiveBuffers: 64 };
    const pair = vifPair(guest, host, { front: { queues: 2, receiveHash, ...pages } });
    await pair.connect();
    await settle();
    const received: Uint8Array[] = [];
    pair.front.frames$.subscribe((frame) => received.push(frame.toBytes()));
    const sent = VECTORS.flatMap(([source, destination]) => [
      packet(source, destination, 6),
      packet(source, destination, 17),
    ]);
    for (const bytes of sent) pair.back.send(bytes);
    await settle();
    expect(received.length).toBe(sent.length);
    await pair.front.configureReceiveHash({ ...receiveHash, mapping: [1] });
    await expect(pair.front.configureReceiveHash({ ...receiveHash, mapping: [2] })).rejects.toMatchObject({
      name: 'ControlError',
      status: INVALID,
    });
    await pair.front.configureReceiveHash(undefined);
    expect(await pair.front.controlRequest(GET_MAPPING_SIZE)).toBe(128);
    await pair.disconnect();
    await expect(pair.front.controlRequest(GET_MAPPING_SIZE)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  });

  it('a backend without a control ring: the frontend says so when asked', async () => {
    const pair = vifPair(guest, host, { front: { receiveHash }, back: { features: { controlRing: false } } });
    await pair.connect();
    await expect(pair.front.configureReceiveHash(receiveHash)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
    await pair.disconnect();
  });
});
