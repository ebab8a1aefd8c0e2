import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { type Netback, netbackDriver } from '@netchannel2/netback';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { RawRing } from './raw-ring';
import { type RawExtra, type RawRequest, ScriptedFrontend } from './scripted-frontend';
import { type MapLink, offer, type VifPair, vifLinks, vifPair, withoutKernels } from './vif-pair';

const MORE = 4;
const EXTRA = 8;
const ERROR = -1;
const OKAY = 0;
const NULL = 1;

let machine: Machine;
let host: SimulatedDomain;
let guest: SimulatedDomain;
let bystander: VifPair;
let back: Netback;
let links: { front: MapLink; back: MapLink };
let frontend: ScriptedFrontend;
let received: Uint8Array[];

const connect = async (nodes: Record<string, string>) => {
  for (const [node, value] of Object.entries(nodes)) links.front.own.set(node, value);
  await back.connect();
  await machine.idle();
};

beforeEach(async () => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain();
  guest = machine.createDomain();
  bystander = vifPair(machine.createDomain(), host);
  await bystander.connect();
  links = vifLinks(guest, host);
  back = netbackDriver().create(links.back);
  frontend = new ScriptedFrontend(guest, host);
  received = [];
  back.frames$.subscribe((frame) => received.push(frame.toBytes()));
  await offer(links.back, back);
  await connect(frontend.nodes());
});

afterEach(async () => {
  // Whatever happened, another guest's frames still flow both ways.
  let flowed = 0;
  bystander.back.frames$.subscribe(() => {
    flowed += 1;
  });
  bystander.front.frames$.subscribe(() => {
    flowed += 1;
  });
  expect(bystander.front.send(new Uint8Array(60))).toBe(true);
  expect(bystander.back.send(new Uint8Array(60))).toBe(true);
  await machine.idle();
  expect(flowed).toBe(2);
  await bystander.disconnect();
  await back.disconnect();
  expect(machine.leaks().filter((leak) => leak.kind === 'mappings')).toEqual([]);
  machine.shutdown();
});

const fragments = (count: number): RawRequest[] =>
  Array.from({ length: count }, (_, index) => ({ size: 100, flags: index < count - 1 ? MORE : 0 }));

describe('what a frontend may do wrong and stay connected', () => {
  it.each<[string, (RawRequest | RawExtra)[], number[]]>([
    ['21: fragments longer than the packet', [{ size: 100, flags: MORE }, { size: 200 }], [ERROR, ERROR]],
    ['22: first fragment of 10 bytes', [{ size: 60, flags: MORE }, { size: 50 }], [ERROR, ERROR]],
    [
      '26: 20 data slots',
      [{ size: 4000, flags: MORE }, ...fragments(19)],
      Array.from({ length: 20 }, () => ERROR),
    ],
    [
      '26: 21 data slots',
      [{ size: 4000, flags: MORE }, ...fragments(20)],
      Array.from({ length: 21 }, () => ERROR),
    ],
    ['unknown gref', [{ size: 60, gref: 9999 }], [ERROR]],
    ['absurd gref', [{ size: 60, gref: 0xffffffff }], [ERROR]],
    [
      'unknown gref in a fragment',
      [
        { size: 160, flags: MORE },
        { size: 100, gref: 9999 },
      ],
      [OKAY, ERROR],
    ],
    ['13 bytes', [{ size: 13 }], [ERROR]],
    ['0 bytes', [{ size: 0 }], [ERROR]],
  ])('vector %s', async (_, slots, statuses) => {
    frontend.put(...slots, { size: 60 });
    frontend.publish();
    await machine.idle();
    expect(frontend.txResponses().map(([, status]) => status)).toEqual([...statuses, OKAY]);
    expect(
      frontend
        .txResponses()
        .map(([id]) => id)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: slots.length + 1 }, (_, index) => index));
    expect(received).toEqual([new Uint8Array(60).fill(0x10)]);
    expect(links.back.failures).toEqual([]);
  });

  it.each([true, false])(
    'a bad reference and longer packets among packets of one slot: the others arrive, in order (kernels: %s)',
    async (kernels) => {
      if (!kernels) {
        withoutKernels(host);
        await back.connect();
      }
      frontend.put(
        { size: 60 },
        { size: 61, gref: 9999 },
        { size: 62, flags: 2 },
        { size: 160, flags: MORE },
        { size: 100 },
        { size: 63 },
      );
      frontend.publish();
      await machine.idle();
      expect(frontend.txResponses()).toEqual(
        [OKAY, ERROR, OKAY, OKAY, OKAY, OKAY].map((status, id) => [id, status]),
      );
      expect(received.map(({ length }) => length)).toEqual([60, 62, 160, 63]);
      expect([back.counters.dropped.fetchFailed, back.counters.framesReceived]).toEqual([1, 4]);
    },
  );

  it.each([true, false])(
    'nothing is plain that is too short or crosses its page (kernels: %s)',
    async (kernels) => {
      if (!kernels) {
        withoutKernels(host);
        await back.connect();
      }
      frontend.put({ size: 4096 }, { size: 14, offset: 4082 }, { size: 13 }, { size: 60, offset: 4037 });
      frontend.publish();
      await machine.idle();
      expect(received.map(({ length }) => length)).toEqual([4096, 14]);
      expect(back.counters.dropped.malformed).toBe(1);
      expect(links.back.failures.map(({ message }) => message)).toEqual([
        'TX ring: data crosses the page border',
      ]);
    },
  );

  it('vector 20: a GSO packet of three slots', async () => {
    frontend.put(
      { size: 6000, flags: 0x0f, id: 6 },
      { type: 1, body: [0xa8, 0x05, 1, 0, 0, 0] },
      { size: 3000, id: 8, gref: frontend.refs[1] ?? 0 },
    );
    let segmentation: unknown;
    back.frames$.subscribe((frame) => {
      segmentation = [frame.checksum, frame.segmentation, frame.segmentSize];
    });
    frontend.publish();
    await machine.idle();
    expect(frontend.txResponses()).toEqual([
      [6, OKAY],
      [expect.any(Number), NULL],
      [8, OKAY],
    ]);
    expect(segmentation).toEqual([2, 1, 1448]);
    const bytes = new Uint8Array(6000).fill(0x10);
    bytes.fill(0x11, 3000);
    expect(received).toEqual([bytes]);
  });

  it('vector 25: 19 data slots', async () => {
    frontend.put({ size: 1814, flags: MORE }, ...fragments(18));
    frontend.publish();
    await machine.idle();
    expect(received.map((bytes) => bytes.length)).toEqual([1814]);
  });

  it('vector 32: 65 multicast addresses', async () => {
    for (let index = 0; index < 65; index += 1) {
      frontend.put({ size: 0, flags: EXTRA, id: 9 }, { type: 2, body: [1, 0, 0x5e, 0, 0, index] });
    }
    frontend.publish();
    await machine.idle();
    const responses = frontend.txResponses();
    expect(responses.slice(0, 2)).toEqual([
      [9, OKAY],
      [expect.any(Number), NULL],
    ]);
    expect(responses.slice(-2)).toEqual([
      [9, ERROR],
      [expect.any(Number), NULL],
    ]);
  });

  it('vector 33: a packet of 5000 bytes and one posted buffer', async () => {
    frontend.post(frontend.refs[0] ?? 0);
    await machine.idle();
    const frame = new Uint8Array(5000).fill(0x77);
    expect(back.send(frame)).toBe(true);
    await machine.idle();
    expect(frontend.rx.get32(RawRing.REQ_EVENT)).toBe(2);
    expect(frontend.rx.get32(RawRing.RSP_PROD)).toBe(0);
    frontend.post(frontend.refs[1] ?? 0);
    await machine.idle();
    expect(frontend.rxResponses()).toEqual([
      [0, 0, MORE, 4096],
      [1, 0, 0, 904],
    ]);
  });

  it('vector 34: the second of three buffers is not granted', async () => {
    frontend.post(frontend.refs[0] ?? 0, 9999, frontend.refs[1] ?? 0);
    await machine.idle();
    expect(back.send(new Uint8Array(10000).fill(0x77))).toBe(true);
    await machine.idle();
    const statuses = frontend.rxResponses().map(([, , , status]) => status);
    expect(statuses).toEqual([4096, ERROR, 1808]);
    expect(back.counters.dropped.copyFailed).toBe(1);
    expect(links.back.failures).toEqual([]);
  });

  it('vector 36: a frontend that never re-arms gets one notification', async () => {
    for (let round = 0; round < 20; round += 1) {
      frontend.put({ size: 60 });
      frontend.publish();
      await machine.idle();
    }
    expect(frontend.txResponses().length).toBe(20);
    expect(frontend.events).toBe(1);
  });

  it('a packet that changes while it is read is copied once', async () => {
    frontend.put({ size: 60 });
    frontend.publish();
    frontend.txProduced = 0;
    frontend.put({ size: 60, gref: frontend.refs[1] ?? 0, id: 7 });
    await machine.idle();
    expect(received).toEqual([new Uint8Array(60).fill(0x11)]);
    expect(frontend.txResponses()).toEqual([[7, OKAY]]);
  });
});

describe('what ends the connection', () => {
  it.each<[string, (RawRequest | RawExtra)[], number | undefined, string]>([
    ['18: indices too far ahead', [], 300, 'index out of range'],
    ['indices running backwards', [{ size: 60 }], 0xffffffff, 'index out of range'],
    ['23: incomplete packet', [{ size: 100, flags: MORE }, { size: 50 }], 1, 'incomplete packet'],
    ['27: 22 data slots', [{ size: 4000, flags: MORE }, ...fragments(21)], undefined, 'too many fragments'],
    ['28: extra of type 0', [{ size: 60, flags: EXTRA }, { type: 0 }], undefined, 'unknown extra info type'],
    ['28: extra of type 6', [{ size: 60, flags: EXTRA }, { type: 6 }], undefined, 'unknown extra info type'],
    [
      '28: extra missing',
      [
        { size: 60, flags: EXTRA },
        { type: 1, more: true },
      ],
      undefined,
      'extra info missing',
    ],
    [
      '29: fragment beyond its page',
      [
        { size: 1000, flags: MORE },
        { size: 97, offset: 4000 },
      ],
      undefined,
      'crosses the page border',
    ],
    ['30: first slot beyond its page', [{ size: 14, offset: 4090 }], undefined, 'crosses the page border'],
    [
      '31: segment size 0',
      [
        { size: 60, flags: EXTRA },
        { type: 1, body: [0, 0, 1] },
      ],
      undefined,
      'segment size 0',
    ],
    [
      '31: segmentation type 3',
      [
        { size: 60, flags: EXTRA },
        { type: 1, body: [9, 0, 3] },
      ],
      undefined,
      'segment',
    ],
  ])('vector %s', async (_, slots, producer, message) => {
    frontend.put({ size: 60 });
    frontend.put(...slots);
    frontend.publish(producer === undefined || producer > 200 ? producer : producer + 1);
    await machine.idle();
    expect(links.back.failures.map((error) => error.message)).toEqual([expect.stringContaining(message)]);
    expect(links.back.failures[0]?.code).toBe('EPROTO');
    expect(machine.accounting(host.id)?.mappings).toBe(2);
    expect(back.send(new Uint8Array(60))).toBe(false);
    frontend.publish();
    await machine.idle();
    expect(links.back.failures.length).toBe(1);
  });

  it('RX indices too far ahead', async () => {
    frontend.rx.set32(RawRing.REQ_PROD, 257);
    expect(back.send(new Uint8Array(60))).toBe(false);
    expect(links.back.failures.map((error) => error.message)).toEqual(['RX request index out of range']);
  });
});

describe('nodes that do not work out', () => {
  it.each<[string, Record<string, string>, string, string]>([
    ['no rx-copy', { 'request-rx-copy': '0' }, 'EOPNOTSUPP', 'request-rx-copy'],
    ['garbage ring ref', { 'tx-ring-ref': 'abc' }, 'EINVAL', 'tx-ring-ref is "abc"'],
    ['ring ref not granted', { 'tx-ring-ref': '9999' }, 'EINVAL', 'GNTST_'],
    ['a port that is not there', { 'event-channel': '999' }, 'EINVAL', 'event channel 999'],
    [
      'two queues, keys of one',
      { 'multi-queue-num-queues': '2' },
      'EINVAL',
      'queue-0/tx-ring-ref is missing',
    ],
    ['nine queues', { 'multi-queue-num-queues': '9' }, 'EINVAL', 'multi-queue-num-queues'],
  ])('%s', async (_, nodes, code, message) => {
    await back.disconnect();
    const before = host.memory.freePages;
    const other = new ScriptedFrontend(guest, host);
    const error = await connect({ ...other.nodes(), ...nodes }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) });
    expect(host.memory.freePages).toBe(before);
  });

  it('tx and rx ring the same', async () => {
    await back.disconnect();
    const other = new ScriptedFrontend(guest, host).nodes();
    const error = await connect({ ...other, 'rx-ring-ref': other['tx-ring-ref'] ?? '' }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'EINVAL' });
  });
});
