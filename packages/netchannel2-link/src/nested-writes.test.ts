/**
 * Amid the writing of a PACKET its frame is asked for its pages, and whose frame that is may do anything then: send another one,
 * let go of a packet whose FINISH goes out on the same ring, answer a bypass message. The stream stays what it has to be.
 */
import { FramePool } from '@netchannel2/frames';
import { type Frame, FrameChecksum } from '@netchannel2/xen';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEnd, freshRings, numberedFrame } from './linked-ends.fixture';
import { ScriptedPeer, wordOf } from './scripted-peer.fixture';

const TARGET = Uint8Array.of(0x00, 0x16, 0x3e, 0x00, 0x00, 0x02);
const SUGGESTION = [0x00100011, 0x3e1600, 0x0300, 0];

/** A frame that does something of its own whenever it is asked for a page. */
function restless(frame: Frame, step: () => void): Frame {
  return new Proxy(frame, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      const call = (...args: unknown[]): unknown => {
        if (name === 'fragmentPage' || name === 'fragmentOffset' || name === 'fragmentLength') step();
        return Reflect.apply(value, target, args);
      };
      return call;
    },
  });
}

function scene(version: 1 | 2) {
  const { machine, front, back } = freshRings(undefined, 2);
  const end = createEnd(machine.second, machine.first, back);
  machine.second.grants.version = version;
  const peer = new ScriptedPeer(front, () => machine.first.notify(front.port));
  const settle = () => expect(machine.settle()).toBe(true);
  end.link.start();
  peer.burst(200).publish();
  settle();
  peer.read();
  const pool = FramePool.create(machine.second.memory, 64);
  if (pool === undefined) throw new Error('no pages');
  const page = machine.first.grants.share(machine.second.id, 1, 'readonly');
  page.area.bytes.set(TARGET, page.area.base);
  return { machine, end, peer, settle, pool, ref: page.refs[0] ?? -1 };
}

/** What a message is about: the frame it carries, the packet it finishes, or its type. */
type Told = string;

describe.each([1, 2] as const)('a table of version %i', (version) => {
  it('whatever is written amid a message comes behind it, whole', () => {
    const lengths = fc.array(fc.constantFrom(60, 200, 300, 1514, 5000), { minLength: 1, maxLength: 6 });
    const amid = fc.array(fc.constantFrom('send', 'finish', 'control', 'flush'), {
      minLength: 1,
      maxLength: 8,
    });
    fc.assert(
      fc.property(lengths, amid, fc.boolean(), fc.boolean(), (sizes, steps, blank, together) => {
        const { end, peer, settle, pool, machine, ref } = scene(version);
        const held = end.link.holdFinishes(TARGET, () => {});
        // Packets whose FINISHes wait for a word of ours.
        for (let id = 0; id < 8; id += 1) peer.packet(100 + id, ref);
        peer.publish();
        settle();
        peer.read();
        const expected: Told[] = [];
        let number = 0;
        let next = 0;
        const step = () => {
          const what = steps[next];
          next += 1;
          if (what === 'send') {
            number += 1;
            if (end.link.send(numberedFrame(60, number))) expected.push(`frame ${number}`);
          } else if (what === 'finish') held.release();
          else if (what === 'control') end.link.sendControl(Int32Array.from(SUGGESTION), false);
          else end.link.flush();
        };
        for (const length of sizes) {
          number += 1;
          const own = number;
          const frame = pool.frameFrom(numberedFrame(length, own));
          if (frame === undefined) throw new Error('no pages');
          if (blank) {
            frame.checksum = FrameChecksum.blank;
            frame.checksumStart = 14;
            frame.checksumOffset = 4;
          }
          if (end.link.send(restless(frame, step))) expected.push(`frame ${own}${blank ? ' blank' : ''}`);
          frame.release();
          if (!together) settle();
        }
        settle();
        held.release();
        settle();
        const messages = peer.read();
        const frames = messages
          .filter(({ type }) => type === 2)
          .map((message) => {
            const prefix = wordOf(message, 3) & 0xffff;
            const start = 20 + 8 * Math.floor((message.bytes.length - 20 - prefix) / 8);
            const inline = message.bytes.subarray(start, start + prefix);
            // A frame's bytes tell its number.
            const told = Array.from({ length: number + 1 }, (_, index) => index).find((index) =>
              inline.every((byte, at) => byte === numberedFrame(prefix, index)[at]),
            );
            return `frame ${told}${(wordOf(message, 2) & 0x100) === 0 ? '' : ' blank'}`;
          });
        expect([...frames].sort()).toEqual([...expected].sort());
        expect(new Set(frames).size).toBe(frames.length);
        const finished = messages.filter(({ type }) => type === 3).map((message) => wordOf(message, 1));
        expect(finished).toEqual(Array.from({ length: 8 }, (_, id) => 100 + id));
        const controls = steps.slice(0, next).filter((what) => what === 'control').length;
        expect(messages.filter(({ type }) => type === 17)).toHaveLength(controls);
        expect(end.failures).toEqual([]);
        for (const message of messages)
          if (message.type === 2 && (wordOf(message, 2) & 0xff) !== 4) peer.finish(wordOf(message, 1));
        peer.acknowledge().publish();
        settle();
        expect(end.link.unfinished).toBe(0);
        end.link.stop();
        expect([end.pool.outstanding, pool.outstanding]).toEqual([0, 0]);
        machine.scheduler.flush();
      }),
      { numRuns: 160 },
    );
  });

  it('a frame that throws is not sent, and stands in nobody’s way', () => {
    const { end, peer, settle, pool } = scene(version);
    const frame = pool.frameFrom(numberedFrame(5000, 1));
    if (frame === undefined) throw new Error('no pages');
    let calls = 0;
    const broken = restless(frame, () => {
      calls += 1;
      if (calls === 5) throw new Error('out of order');
    });
    expect(() => end.link.send(broken)).toThrow('out of order');
    expect(end.link.send(numberedFrame(200, 2))).toBe(true);
    settle();
    expect(peer.read().map(({ type }) => type)).toEqual([2]);
    end.link.stop();
  });
});
