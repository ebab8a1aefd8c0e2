import { FramePool } from '@netchannel2/frames';
import { describe, expect, it } from 'vitest';
import { FLUSH_EVERY } from './link-settings';
import { createEnd, freshRings, numberedFrame } from './linked-ends.fixture';
import { ScriptedPeer } from './scripted-peer.fixture';
import { SendGate } from './send-gate';

describe('a send gate', () => {
  it('lets nothing pass while nothing waits', () => {
    const gate = new SendGate();
    gate.open();
    expect(gate.left).toBe(0);
  });

  it('lets all pass but the one that makes a flush due, over several openings', () => {
    const gate = new SendGate();
    gate.count(1);
    gate.open();
    gate.left -= 2;
    gate.close();
    expect([gate.left, gate.due]).toEqual([0, false]);
    gate.open();
    expect(gate.left).toBe(FLUSH_EVERY - 1 - 3);
    gate.left = 0;
    gate.count(1);
    expect(gate.due).toBe(true);
    gate.open();
    expect(gate.left).toBe(0);
    gate.shown();
    expect(gate.due).toBe(false);
  });
});

describe('frames sent in one turn', () => {
  const scene = () => {
    const { machine, front, back } = freshRings(undefined, 4);
    const end = createEnd(machine.second, machine.first, back);
    const peer = new ScriptedPeer(front, () => machine.first.notify(front.port));
    end.link.start();
    peer.burst(200).publish();
    machine.settle();
    peer.read();
    const pool = FramePool.create(machine.second.memory, 4);
    if (pool === undefined) throw new Error('no pages');
    return { machine, end, peer, pool };
  };

  it.each([
    [60, 'bytes'],
    [60, 'a frame'],
    [1514, 'bytes'],
    [1514, 'a frame'],
  ])('of %i bytes, given as %s, are shown after every thirty-two', (length, kind) => {
    const { end, peer, pool } = scene();
    const frame = kind === 'bytes' ? numberedFrame(length, 1) : pool.frameFrom(numberedFrame(length, 1));
    if (frame === undefined) throw new Error('no pages');
    const shown: number[] = [];
    let seen = 0;
    for (let sent = 1; sent <= 2 * FLUSH_EVERY + 5; sent += 1) {
      expect(end.link.send(frame)).toBe(true);
      const now = peer.read().length;
      seen += now;
      if (now > 0) shown.push(sent);
    }
    expect(shown).toEqual([FLUSH_EVERY, 2 * FLUSH_EVERY]);
    end.link.flush();
    expect(seen + peer.read().length).toBe(2 * FLUSH_EVERY + 5);
    expect(end.counters.framesSent).toBe(2 * FLUSH_EVERY + 5);
    end.link.stop();
    expect(end.link.send(frame)).toBe(false);
  });

  it('of both lengths in turn are shown no more often', () => {
    const { end, peer, pool } = scene();
    const [short, long] = [60, 1514].map((length) => pool.frameFrom(numberedFrame(length, 1)));
    if (short === undefined || long === undefined) throw new Error('no pages');
    const shown: number[] = [];
    for (let sent = 1; sent <= 2 * FLUSH_EVERY; sent += 1) {
      expect(end.link.send(sent % 3 === 0 ? numberedFrame(200, 2) : sent % 2 === 0 ? short : long)).toBe(
        true,
      );
      if (peer.read().length > 0) shown.push(sent);
    }
    expect(shown).toEqual([FLUSH_EVERY, 2 * FLUSH_EVERY]);
    end.link.stop();
  });
});
