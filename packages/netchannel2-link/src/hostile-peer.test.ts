import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEnd, type EndSettings, freshRings, numberedFrame } from './linked-ends.fixture';
import { ScriptedPeer, wordOf } from './scripted-peer.fixture';

/** A real link as backend, a scripted frontend. */
function scripted(settings: EndSettings = {}, order = 1) {
  const { machine, front, back } = freshRings(undefined, order);
  const end = createEnd(machine.second, machine.first, back, settings);
  const peer = new ScriptedPeer(front, () => machine.first.notify(front.port));
  const settle = () => expect(machine.settle()).toBe(true);
  end.frames.subscribe((frame) => end.received.push(frame.toBytes()));
  /** A page of the peer, granted to the link as a whole. */
  const page = machine.first.grants.share(machine.second.id, 1, 'readonly');
  const ref = page.refs[0] ?? -1;
  return { machine, end, peer, settle, page, ref };
}

function started(settings: EndSettings = {}, credit = 64, order = 1) {
  const setup = scripted(settings, order);
  setup.end.link.start();
  setup.peer.burst(credit).publish();
  setup.settle();
  setup.peer.read();
  setup.peer.acknowledge();
  return setup;
}

const finishes = (peer: ScriptedPeer) =>
  peer
    .read()
    .filter((message) => message.type === 3)
    .map((message) => [wordOf(message, 1), message.flags]);

const offer = (maxPackets: number) => ({
  offer: { checksumOffload: true, tcpv4Segmentation: true, maxFragments: 18, maxPackets },
});

describe('start', () => {
  it('sends the burst once and takes a burst that was there before', () => {
    const { end, peer, settle } = scripted(offer(128));
    peer.burst(4).publish();
    end.link.start();
    settle();
    expect(peer.read().map((message) => Buffer.from(message.bytes).toString('hex'))).toEqual([
      '0100080080000000',
      '0500080012000000',
      '0400080001010000',
    ]);
    expect(end.link.up).toBe(true);
  });

  it('sends no PACKET before SET_MAX_PACKETS, then tells who waited', () => {
    const { end, peer, settle } = scripted();
    end.link.start();
    let writable = 0;
    end.writable.subscribe(() => {
      writable += 1;
    });
    expect(end.link.send(numberedFrame(60, 1))).toBe(false);
    settle();
    expect(peer.read().map((message) => message.type)).toEqual([1, 5, 4]);
    peer.burst(1).publish();
    settle();
    expect(writable).toBe(1);
    expect(end.link.send(numberedFrame(60, 1))).toBe(true);
    settle();
    expect(peer.read().map((message) => message.type)).toEqual([2]);
  });
});

describe('fatal', () => {
  const cases: [string, (peer: ScriptedPeer, ref: number) => void][] = [
    ['#1 header size 12', (peer) => peer.put(3, 0, 12, 0, 0, 0, 0, 0).publish()],
    ['#1 header size 4', (peer) => peer.put(3, 0, 4, 0, 0, 0, 0, 0).publish()],
    ['#1 header size 0', (peer) => peer.put(3, 0, 0, 0, 0, 0, 0, 0).publish()],
    ['#2 size 16 but 8 available', (peer) => peer.put(1, 0, 16, 0, 0, 0, 0, 0).publish()],
    ['#5 prod jumps by R + 8', (peer) => peer.publish(peer.produced + 8200)],
    ['prod goes back', (peer) => peer.publish(peer.produced - 8)],
    ['#8 FINISH for a small packet', (peer) => peer.finish(0x80000000).publish()],
    ['FINISH for an unknown id', (peer) => peer.finish(3).publish()],
    ['FINISH for an absurd id', (peer) => peer.finish(0x7fffffff).publish()],
    ['#17 PAD of 16 in the middle', (peer) => peer.message(0x001000ff, 0, 0, 0).publish()],
    ['#18 BYPASS_READY on a parent ring', (peer) => peer.message(0x0008000c, 0).publish()],
    ['#18 SET_MAX_PACKETS twice', (peer) => peer.message(0x00080001, 5).publish()],
    [
      '#14 BYPASS_FRONTEND from an untrusted peer',
      (peer) => peer.message(0x00280009, 0, 0, 1, 0, 1 << 24, 5, 0, 7, 8).publish(),
    ],
    ['message type 0', (peer) => peer.message(0x00080000, 0).publish()],
    ['message type 6', (peer) => peer.message(0x00080006, 0).publish()],
    ['message type 254', (peer) => peer.message(0x000800fe, 0).publish()],
    ['SET_MAX_FRAGMENTS 0', (peer) => peer.message(0x00080005, 0).publish()],
    ['PACKET of 16 bytes', (peer) => peer.message(0x00100002, 0, 4, 0).publish()],
    ['PACKET of type 2', (peer, ref) => peer.packet(1, ref, 100, 0, 2).publish()],
    ['small PACKET with a fragment', (peer, ref) => peer.packet(1, ref, 100, 0, 4).publish()],
    ['prefix of 300', (peer) => peer.message(0x00180002, 1, 4, 300, 0, 0).publish()],
    ['the same id twice', (peer, ref) => peer.packet(1, ref).packet(1, ref).publish()],
    ['cons ahead of prod', (peer) => peer.acknowledge(0x10000)],
    [
      '1001 limit changes',
      (peer) => {
        for (let count = 0; count < 500; count += 1) peer.message(0x00080005, 18);
        peer.publish();
      },
    ],
  ];

  it.each(cases)('%s', (name, act) => {
    const { end, peer, settle, ref } = started();
    act(peer, ref);
    if (name.startsWith('cons')) end.link.send(new Uint8Array(14));
    settle();
    if (name.startsWith('1001')) {
      expect(end.failures).toEqual([]);
      for (let count = 0; count < 501; count += 1) peer.message(0x00080005, 18);
      peer.publish();
      settle();
    }
    if (name.startsWith('cons')) while (end.failures.length === 0 && end.link.send(numberedFrame(250, 1)));
    expect(end.failures).toHaveLength(1);
    expect(end.failures[0]).toMatch(/^EPROTO /);
    expect(end.link.send(numberedFrame(60, 1))).toBe(false);
    peer.publish(peer.produced);
    settle();
    expect(end.failures).toHaveLength(1);
    end.link.stop();
    expect(end.pool.outstanding).toBe(0);
  });

  it('SET_MAX_PACKETS 0', () => {
    const { end, peer, settle } = scripted();
    end.link.start();
    peer.burst(0).publish();
    settle();
    expect(end.failures).toHaveLength(1);
  });

  it('#7 N + 1 unfinished packets', () => {
    const { end, peer, settle, ref } = started(offer(4));
    for (let id = 0; id < 5; id += 1) peer.packet(id, ref);
    peer.publish();
    settle();
    expect(end.failures).toHaveLength(1);
  });

  it('16 packets in a row with impossible fragments', () => {
    const { end, peer, settle, ref } = started();
    for (let id = 0; id < 15; id += 1) peer.packet(id, ref, 200, 4000);
    peer.publish();
    settle();
    expect(end.failures).toEqual([]);
    peer.packet(15, ref, 0, 0).publish();
    settle();
    expect(end.failures).toHaveLength(1);
  });

  it('100 packets in a row whose grants do not work', () => {
    const { end, peer, settle } = started({}, 64, 2);
    for (let round = 0; round < 4; round += 1) {
      for (let id = 0; id < 33; id += 1) peer.packet(id, 8000);
      peer.publish();
      settle();
      peer.read();
      peer.acknowledge();
      expect(end.failures).toHaveLength(round === 3 ? 1 : 0);
    }
  });

  it('more than 64 finished packets that stay in use', () => {
    const { machine, end, peer, settle } = started({}, 256, 4);
    machine.second.grants.held.fill(1);
    for (let count = 0; count < 65; count += 1) end.link.send(numberedFrame(1514, count));
    settle();
    for (const message of peer.read()) peer.finish(wordOf(message, 1));
    peer.publish();
    settle();
    expect(end.failures).toHaveLength(1);
    end.link.stop();
    expect(end.pool.outstanding).toBe(65);
    machine.second.grants.letGo();
    expect(end.pool.outstanding).toBe(0);
  });
});

describe('harmless', () => {
  it('#4 a message ending exactly at the end of the ring', () => {
    const { end, peer, settle } = started();
    // The burst, 203 messages of 40 bytes, and one of the 48 bytes that are left.
    for (let count = 0; count < 203; count += 1) {
      peer.small(1);
      if (count % 40 === 0) peer.publish();
      settle();
    }
    expect(8192 - peer.produced).toBe(48);
    peer
      .put(2, 0, 48, 0, 9, 0, 0, 0, 4, 0, 0, 0, 28, 0, 0, 0, 0, 0, 0, 0, ...new Array<number>(28).fill(1))
      .publish();
    settle();
    expect(end.failures).toEqual([]);
    expect(end.received).toHaveLength(204);
    expect(end.received[203]).toHaveLength(28);
  });

  it('#7 N packets with N + 5 small ones in between', () => {
    const { end, peer, settle, ref } = started(offer(4));
    for (let id = 0; id < 4; id += 1) peer.packet(id, ref).small(7).small(7);
    peer.small(7).publish();
    settle();
    expect(end.failures).toEqual([]);
    expect(end.received).toHaveLength(13);
    expect(finishes(peer)).toEqual([
      [0, 0],
      [1, 0],
      [2, 0],
      [3, 0],
    ]);
  });

  it.each<[string, number, number]>([
    ['#10 offset 4000 size 200', 200, 4000],
    ['fragment of size 0', 0, 0],
    ['length 13', 13, 0],
  ])('%s: dropped and finished', (_, size, offset) => {
    const { end, peer, settle, ref } = started();
    peer.packet(77, ref, size, offset).packet(78, ref).publish();
    settle();
    expect(finishes(peer)).toEqual([
      [77, 1],
      [78, 0],
    ]);
    expect(end.received).toHaveLength(1);
    expect(end.failures).toEqual([]);
  });

  it('#9 more fragments than advertised: dropped and finished', () => {
    const { end, peer, settle, ref } = started({
      offer: { checksumOffload: true, tcpv4Segmentation: true, maxFragments: 1 },
    });
    peer.message(0x00280002, 5, 1, 0, 0, 100, ref, 100, ref, 0).publish();
    settle();
    expect(finishes(peer)).toEqual([[5, 1]]);
    expect(end.counters.dropped.fragmentLimit).toBe(1);
  });

  it.each([
    ['a bad reference', 8000],
    ['an enormous reference', 0xffffffff],
  ])('%s: dropped and finished', (_, ref) => {
    const { end, peer, settle } = started();
    peer.packet(9, ref).publish();
    settle();
    expect(finishes(peer)).toEqual([[9, 1]]);
    expect(end.counters.dropped.notObtained).toBe(1);
    expect(end.pool.outstanding).toBe(0);
  });

  it('a PAD up to the end of the ring, and surplus bytes of fixed messages', () => {
    const { end, peer, settle } = started();
    peer.message(0x00100004, 0x0100, 0, 0).publish();
    settle();
    expect(end.failures).toEqual([]);
  });

  it('#22 FINISHes wait privately while the peer takes none, and all arrive', () => {
    const { end, peer, settle, ref } = started(offer(64), 256, 0);
    while (end.link.send(new Uint8Array(200).fill(2)));
    settle();
    const ids: number[] = [];
    for (let round = 0; round < 2; round += 1) {
      for (let count = 0; count < 40; count += 1) {
        const id = round * 40 + count;
        peer.packet(id, ref);
        ids.push(id);
      }
      peer.publish();
      settle();
    }
    expect(end.failures).toEqual([]);
    expect(end.link.send(numberedFrame(60, 1))).toBe(false);
    const seen: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      seen.push(...finishes(peer).map(([id]) => id ?? -1));
      peer.acknowledge();
      settle();
    }
    expect(seen).toEqual(ids);
    expect(end.link.send(numberedFrame(60, 1))).toBe(true);
  });

  it('#23 a peer that never finishes: credits out, refused, stalled after ten seconds, running again after one FINISH', () => {
    const { machine, end, peer, settle } = started({}, 4);
    for (let count = 0; count < 4; count += 1) expect(end.link.send(numberedFrame(1514, count))).toBe(true);
    expect(end.link.send(numberedFrame(1514, 4))).toBe(false);
    settle();
    const packets = peer.read();
    peer.acknowledge();
    settle();
    expect(packets.map((message) => message.type)).toEqual([2, 2, 2, 2]);
    expect((packets[3]?.bytes[9] ?? 0) & 8).toBe(8);
    expect(end.stalls).toEqual([]);
    machine.scheduler.maxFrames = 10_000;
    machine.scheduler.flush();
    expect(end.stalls).toEqual([true]);
    peer.finish(wordOf(packets[2] ?? { type: 0, flags: 0, bytes: new Uint8Array(8) }, 1)).publish();
    settle();
    expect(end.stalls).toEqual([true, false]);
    expect(end.link.send(numberedFrame(1514, 4))).toBe(true);
    end.link.stop();
    machine.scheduler.maxFrames = Number.POSITIVE_INFINITY;
    machine.scheduler.flush();
  });

  it('what the sender grants is exact, read-only, and gone after FINISH', () => {
    const { machine, end, peer, settle } = started();
    const { grants } = machine.second;
    const before = grants.published;
    end.link.send(numberedFrame(1514, 1));
    settle();
    const [packet] = peer.read();
    if (packet === undefined) throw new Error('no packet');
    const ref = wordOf(packet, 6);
    expect([wordOf(packet, 5) & 0xffff, wordOf(packet, 5) >>> 16]).toEqual([1514 - 128, 128]);
    expect([grants.offsets[ref], grants.lengths[ref]]).toEqual([128, 1514 - 128]);
    expect(grants.published).toBe(before + 1);
    peer.finish(wordOf(packet, 1)).publish();
    settle();
    expect(grants.published).toBe(before);
    expect(end.pool.outstanding).toBe(0);
  });

  it('a table of version 1 sends receiver_copy or receiver_map over whole pages kept shared', () => {
    for (const fragmentKind of ['receiver_copy', 'receiver_map'] as const) {
      const { machine, end, peer, settle } = scripted({ fragmentKind });
      machine.second.grants.version = 1;
      end.link.start();
      peer.burst(8).publish();
      settle();
      peer.read();
      end.link.send(numberedFrame(1514, 1));
      settle();
      const [packet] = peer.read();
      if (packet === undefined) throw new Error('no packet');
      expect(wordOf(packet, 2) & 0xff).toBe(fragmentKind === 'receiver_copy' ? 1 : 3);
      expect(wordOf(packet, 5)).toBe(1514 - 128);
      expect(machine.second.grants.lengths[wordOf(packet, 6)]).toBe(4096);
      end.link.stop();
      expect(machine.second.grants.published).toBe(0);
    }
  });
});

describe('mutations', () => {
  it('any message bytes end in a closed link or in nothing, and leave nothing behind', () => {
    const word = fc.oneof(
      fc.integer(),
      fc.nat(300),
      fc.constantFrom(0x00080001, 0x00200002, 0x00280002, 0x00080003),
    );
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 20 }), fc.array(word, { minLength: 1, maxLength: 40 })), {
          maxLength: 20,
        }),
        (messages) => {
          const { end, peer, settle, ref } = started();
          end.link.send(numberedFrame(1514, 1));
          for (const [type, words] of messages) {
            const length = (words.length | 1) + 1;
            const body = words.slice(0, length - 1);
            while (body.length < length - 1) body.push(ref);
            peer.message((length << 18) | type, ...body).publish();
            settle();
            peer.read();
            peer.acknowledge();
            settle();
          }
          expect(end.failures.length).toBeLessThanOrEqual(1);
          end.link.stop();
          expect(end.pool.outstanding).toBe(0);
        },
      ),
      { numRuns: 150 },
    );
  });
});
