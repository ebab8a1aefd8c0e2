import { FramePool, LeasedFrame } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import { netbackDriver } from '@netchannel2/netback';
import { FrameChecksum, FrameSegmentation } from '@netchannel2/xen';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { blankUdp, checksumHolds } from './ip-packets';
import { ScriptedFrontend } from './scripted-frontend';
import { offer, vifLinks, vifPair } from './vif-pair';

let machine: Machine;
let host: SimulatedDomain;
let guest: SimulatedDomain;

beforeEach(() => {
  machine = Machine.boot({ memoryBytes: 64 << 20 });
  host = machine.createDomain();
  guest = machine.createDomain();
});

afterEach(() => machine.shutdown());

const poolOf = (domain: SimulatedDomain): FramePool => {
  const pool = FramePool.create(domain.memory, 32);
  if (pool === undefined) throw new Error('no pages');
  return pool;
};

const frameOf = (pool: FramePool, bytes: Uint8Array, properties: Partial<LeasedFrame> = {}): LeasedFrame => {
  const frame = pool.frameFrom(bytes);
  if (frame === undefined) throw new Error('no pages');
  return Object.assign(frame, properties);
};

const bytesOf = (port: ReturnType<typeof vifPair>['front'] | ReturnType<typeof vifPair>['back']) => {
  const frames: [Uint8Array, FrameChecksum][] = [];
  port.frames$.subscribe((frame) => frames.push([frame.toBytes(), frame.checksum]));
  return frames;
};

describe('scatter-gather', () => {
  it('backend without: the frontend sends pieces of one page as one slot, and drops what is longer', async () => {
    const pair = vifPair(guest, host, { back: { features: { scatterGather: false } } });
    await pair.connect();
    const received = bytesOf(pair.back);
    const pool = poolOf(guest);
    const bytes = new Uint8Array(3000).fill(7);
    const whole = frameOf(pool, bytes);
    const pieces = new LeasedFrame();
    whole.fragmentPage(0).acquire();
    pieces.addFragment(whole.fragmentPage(0), 0, 1000);
    whole.fragmentPage(0).acquire();
    pieces.addFragment(whole.fragmentPage(0), 1000, 2000);
    expect(pair.front.send(pieces)).toBe(true);
    expect(pair.front.send(new Uint8Array(4097))).toBe(true);
    await machine.idle();
    expect(received).toEqual([[bytes, FrameChecksum.unknown]]);
    expect(pair.front.counters.dropped.scatterGatherMissing).toBe(1);
    whole.release();
    pieces.release();
    expect(pool.outstanding).toBe(0);
    await pair.disconnect();
  });

  it('frontend without: the backend drops what needs two slots', async () => {
    const pair = vifPair(guest, host, { front: { features: { scatterGather: false } } });
    await pair.connect();
    const received = bytesOf(pair.front);
    expect(pair.back.send(new Uint8Array(4096).fill(1))).toBe(true);
    expect(pair.back.send(new Uint8Array(4097))).toBe(true);
    await machine.idle();
    expect(received.map(([bytes]) => bytes.length)).toEqual([4096]);
    expect(pair.back.counters.dropped.scatterGatherMissing).toBe(1);
    await pair.disconnect();
  });
});

describe('segmentation', () => {
  const gso = {
    checksum: FrameChecksum.blank,
    segmentation: FrameSegmentation.tcpv4,
    segmentSize: 1448,
  } as const;

  it('vector 24: 10000 bytes with GSO take four RX slots', async () => {
    const links = vifLinks(guest, host);
    const back = netbackDriver().create(links.back);
    await offer(links.back, back);
    const frontend = new ScriptedFrontend(guest, host, 4);
    for (const [node, value] of Object.entries(frontend.nodes())) links.front.own.set(node, value);
    await back.connect();
    frontend.post(...frontend.refs);
    await machine.idle();
    const pool = poolOf(host);
    const frame = frameOf(pool, new Uint8Array(10000), gso);
    expect(back.send(frame)).toBe(true);
    frame.release();
    await machine.idle();
    const responses = frontend.rxResponses();
    expect([responses[0], responses[2], responses[3]]).toEqual([
      [0, 0, 0x0f, 4096],
      [2, 0, 4, 4096],
      [3, 0, 0, 1808],
    ]);
    expect([...frontend.rx.slot(1)]).toEqual([1, 0, 0xa8, 0x05, 1, 0, 0, 0]);
    await back.disconnect();
  });
});

describe('checksums', () => {
  const { blank, validated } = FrameChecksum;

  it.each([
    ['IPv4, nothing asked', 4, {}, blank],
    ['IPv4, feature-no-csum-offload', 4, { noChecksumOffload: true }, validated],
    ['IPv6, offload asked', 6, {}, blank],
    ['IPv6, offload not asked', 6, { ipv6ChecksumOffload: false }, validated],
    ['IPv4, IPv6 offload not asked', 4, { ipv6ChecksumOffload: false }, blank],
  ] as const)('to the guest: %s', async (_, version, features, checksum) => {
    const pair = vifPair(guest, host, { front: { features } });
    await pair.connect();
    const received = bytesOf(pair.front);
    const pool = poolOf(host);
    for (const length of [33, 1400, 6001]) {
      const frame = frameOf(pool, blankUdp(version, length), { checksum: blank });
      expect(pair.back.send(frame)).toBe(true);
      frame.release();
    }
    await machine.idle();
    expect(received.map(([, found]) => found)).toEqual([checksum, checksum, checksum]);
    expect(received.map(([bytes]) => checksumHolds(bytes))).toEqual(
      received.map(() => checksum === validated),
    );
    expect(pool.outstanding).toBe(0);
    await pair.disconnect();
  });

  it.each([
    ['IPv4 always blank', 4, false, blank],
    ['IPv6 blank when offered', 6, true, blank],
    ['IPv6 completed when not offered', 6, false, validated],
  ] as const)('from the guest: %s', async (_, version, ipv6ChecksumOffload, checksum) => {
    const pair = vifPair(guest, host, { back: { features: { ipv6ChecksumOffload } } });
    await pair.connect();
    const received = bytesOf(pair.back);
    const pool = poolOf(guest);
    for (const length of [33, 1400, 6001]) {
      const frame = frameOf(pool, blankUdp(version, length), { checksum: blank });
      expect(pair.front.send(frame)).toBe(true);
      frame.release();
    }
    await machine.idle();
    expect(received.map(([, found]) => found)).toEqual([checksum, checksum, checksum]);
    expect(received.map(([bytes]) => checksumHolds(bytes))).toEqual(
      received.map(() => checksum === validated),
    );
    await pair.disconnect();
    expect(pool.outstanding).toBe(0);
  });
});

describe('event channels', () => {
  it.each([
    [true, true],
    [true, false],
    [false, true],
  ])('frontend wants a pair: %s, backend offers it: %s', async (splitEventChannels, offered) => {
    const pair = vifPair(guest, host, {
      front: { splitEventChannels },
      back: { features: { splitEventChannels: offered } },
    });
    await pair.connect();
    expect(pair.links.front.own.has('event-channel-tx')).toBe(splitEventChannels && offered);
    expect(pair.links.front.own.has('event-channel')).toBe(!(splitEventChannels && offered));
    const [toHost, toGuest] = [bytesOf(pair.back), bytesOf(pair.front)];
    for (let index = 0; index < 600; index += 1) {
      while (!pair.front.send(new Uint8Array(60))) await machine.idle();
      while (!pair.back.send(new Uint8Array(60))) await machine.idle();
    }
    await machine.idle();
    expect([toHost.length, toGuest.length]).toEqual([600, 600]);
    await pair.disconnect();
  });
});

describe('queues', () => {
  const flow = (port: number, number: number): Uint8Array => {
    const bytes = blankUdp(4, 40);
    bytes[34] = port >> 8;
    bytes[35] = port & 0xff;
    bytes[60] = number;
    return bytes;
  };

  it.each([
    [1, 4, 1],
    [2, 4, 2],
    [4, 2, 2],
    [4, 1, 1],
  ])('frontend wants %i, backend takes %i: %i, each flow in order', async (queues, maxQueues, expected) => {
    const pages = { transmitPages: 32, receiveBuffers: 64 };
    const pair = vifPair(guest, host, { front: { queues, ...pages }, back: { maxQueues } });
    await pair.connect();
    const own = pair.links.front.own;
    expect(own.get('multi-queue-num-queues')).toBe(String(expected));
    expect(own.has('tx-ring-ref')).toBe(expected === 1);
    expect(own.has(`queue-${expected - 1}/tx-ring-ref`)).toBe(expected > 1);
    const seen: Record<'front' | 'back', Map<number, number[]>> = { front: new Map(), back: new Map() };
    for (const end of ['front', 'back'] as const) {
      pair[end].frames$.subscribe((frame) => {
        const port = frame.uint16(34);
        seen[end].set(port, [...(seen[end].get(port) ?? []), frame.uint8(60)]);
      });
    }
    for (let number = 0; number < 40; number += 1) {
      for (let port = 0; port < 10; port += 1) {
        while (!pair.front.send(flow(port, number))) await machine.idle();
        while (!pair.back.send(flow(port, number))) await machine.idle();
      }
    }
    await machine.idle();
    const numbers = Array.from({ length: 40 }, (_, number) => number);
    for (const end of ['front', 'back'] as const) {
      expect(seen[end].size).toBe(10);
      for (const order of seen[end].values()) expect(order).toEqual(numbers);
    }
    await pair.disconnect();
    expect(machine.leaks().filter((leak) => leak.kind === 'mappings')).toEqual([]);
  });
});

describe('multicast', () => {
  const GROUP = '01:00:5e:00:00:fb';
  const to = (mac: string) => {
    const bytes = new Uint8Array(60);
    bytes.set(mac.split(':').map((byte) => Number.parseInt(byte, 16)));
    return bytes;
  };
  const DESTINATIONS = [
    GROUP,
    '01:00:5e:00:00:01',
    '33:33:00:00:00:01',
    'ff:ff:ff:ff:ff:ff',
    '00:16:3e:00:00:01',
  ];
  const EVERYTHING = [0, 1, 2, 3, 4];
  const LISTED = [0, 3, 4];

  const arrivals = async (pair: ReturnType<typeof vifPair>): Promise<number[]> => {
    const received = bytesOf(pair.front);
    for (const mac of DESTINATIONS) expect(pair.back.send(to(mac))).toBe(true);
    await machine.idle();
    return received.map(([bytes]) => DESTINATIONS.findIndex((mac) => Buffer.compare(to(mac), bytes) === 0));
  };

  it.each([
    [true, true, LISTED],
    [true, false, EVERYTHING],
    [false, true, EVERYTHING],
    [false, false, EVERYTHING],
  ])('frontend asks for a filter: %s, backend has one: %s', async (asked, offered, expected) => {
    const pair = vifPair(guest, host, {
      front: { features: { multicastControl: asked } },
      back: { features: { multicastControl: offered } },
    });
    await pair.connect();
    const joined = pair.front.joinMulticast(GROUP);
    await machine.idle();
    expect(await joined).toBe(true);
    expect(await arrivals(pair)).toEqual(expected);
    // The list is the backend's for one connection; the frontend's is for good.
    await pair.disconnect();
    await pair.connect();
    await machine.idle();
    expect(await arrivals(pair)).toEqual(expected);
    const left = pair.front.leaveMulticast(GROUP);
    await machine.idle();
    expect(await left).toBe(true);
    expect(await arrivals(pair)).toEqual(expected.filter((index) => index !== 0 || expected === EVERYTHING));
    await pair.disconnect();
  });

  it('vector 32 from the frontend: the 65th address is refused, and one left makes room', async () => {
    const pair = vifPair(guest, host, { front: { features: { multicastControl: true } } });
    await pair.connect();
    const group = (index: number) => `01:00:5e:00:01:${index.toString(16).padStart(2, '0')}`;
    const answers = Array.from({ length: 65 }, (_, index) => pair.front.joinMulticast(group(index)));
    await machine.idle();
    expect((await Promise.all(answers)).indexOf(false)).toBe(64);
    const left = pair.front.leaveMulticast(group(3));
    const again = pair.front.joinMulticast(group(64));
    await machine.idle();
    expect(await Promise.all([left, again])).toEqual([true, true]);
    await expect(pair.front.joinMulticast('00:16:3e:00:00:01')).rejects.toThrow(RangeError);
    await pair.disconnect();
  });

  it('a filter turned on and off while connected, where the backend takes notice', async () => {
    const pair = vifPair(guest, host);
    const links = pair.links;
    const { ownPath } = links.front;
    await host.store.makeDirectory(ownPath);
    await host.store.setPermissions(ownPath, [
      { domid: guest.id, access: 'none' },
      { domid: host.id, access: 'read' },
    ]);
    links.back.readsStore('request-multicast-control');
    await pair.connect();
    const joined = pair.front.joinMulticast(GROUP);
    await machine.idle();
    await joined;
    expect(await arrivals(pair)).toEqual(EVERYTHING);
    await pair.front.filterMulticast(true);
    await expect.poll(() => arrivals(pair)).toEqual(LISTED);
    await pair.front.filterMulticast(false);
    await expect.poll(() => arrivals(pair)).toEqual(EVERYTHING);
    await pair.disconnect();
    await expect(pair.front.filterMulticast(true)).rejects.toMatchObject({ code: 'EOPNOTSUPP' });
  });
});

it.each([
  [undefined, 1500],
  ['9000', 9000],
  ['large', 1500],
])('mtu node %s: %i', async (node, mtu) => {
  const pair = vifPair(guest, host);
  if (node !== undefined) for (const link of [pair.links.front, pair.links.back]) link.own.set('mtu', node);
  await pair.connect();
  expect([pair.front.mtu, pair.back.mtu]).toEqual([mtu, mtu]);
  await pair.disconnect();
});
