import { domainId } from '@netchannel2/xen';
import { VirtualTimeScheduler } from 'rxjs';
import { describe, expect, it } from 'vitest';
import { ForwardingCredit } from './forwarding-credit';
import { createEnd, type EndSettings, freshRings, numberedFrame } from './linked-ends.fixture';
import { ScriptedPeer, wordOf } from './scripted-peer.fixture';

/** A real link whose peer has said how much credit it gives, and finishes only what the test says. */
function silentPeer(settings: EndSettings = {}, version: 1 | 2 = 2) {
  const { machine, front, back } = freshRings(undefined, 2);
  machine.second.grants.version = version;
  const end = createEnd(machine.second, machine.first, back, settings);
  const peer = new ScriptedPeer(front, () => machine.first.notify(front.port));
  end.link.start();
  peer.burst(2).publish();
  machine.settle();
  peer.read();
  const pass = (milliseconds: number) => {
    machine.scheduler.maxFrames = machine.scheduler.frame + milliseconds;
    machine.scheduler.flush();
    machine.scheduler.frame = machine.scheduler.maxFrames;
    machine.settle();
  };
  const send = () => {
    const taken = end.link.send(numberedFrame(1514, 1));
    machine.settle();
    return taken;
  };
  const ids = () => {
    const read = peer.read().map((message) => wordOf(message, 1));
    peer.acknowledge();
    return read;
  };
  const finish = (id: number) => {
    peer.finish(id).publish();
    machine.settle();
  };
  return { machine, end, pass, send, ids, finish, grants: machine.second.grants };
}

describe('a packet in exact grants that is not finished', () => {
  it('is given up after two seconds; its credit waits for one late FINISH', () => {
    const { end, pass, send, ids, finish, grants } = silentPeer();
    const before = grants.published;
    expect([send(), send(), send()]).toEqual([true, true, false]);
    const [first = -1, second = -1] = ids();
    pass(1999);
    expect([grants.published, end.link.unfinished]).toEqual([before + 2, 2]);
    pass(300);
    expect([grants.published, end.link.unfinished, end.pool.outstanding]).toEqual([before, 0, 0]);
    expect(send()).toBe(false);
    finish(first);
    expect(end.failures).toEqual([]);
    expect(send()).toBe(true);
    expect(ids()).toEqual([first]);
    finish(first);
    finish(second);
    expect(end.failures).toEqual([]);
    finish(second);
    expect(end.failures).toHaveLength(1);
    end.link.stop();
  });

  it('blocks its credit for a minute at most', () => {
    const { end, pass, send } = silentPeer();
    expect([send(), send()]).toEqual([true, true]);
    pass(2500);
    expect(send()).toBe(false);
    let writable = 0;
    end.writable.subscribe(() => (writable += 1));
    pass(57_000);
    expect([send(), writable]).toEqual([false, 0]);
    pass(4000);
    expect([writable, send()]).toEqual([1, true]);
    expect(end.failures).toEqual([]);
    end.link.stop();
  });

  it('a packet that is finished in time leaves no timer behind for long', () => {
    const { machine, pass, send, ids, finish } = silentPeer();
    send();
    finish(ids()[0] ?? -1);
    pass(250);
    expect(machine.scheduler.actions).toHaveLength(0);
  });
});

describe('a packet that the peer may have mapped', () => {
  it('is never given up: after half a minute the link counts as stuck, until a FINISH comes', () => {
    const { end, pass, send, ids, finish } = silentPeer({ fragmentKind: 'receiver_map' }, 1);
    send();
    const [id = -1] = ids();
    pass(29_900);
    expect(end.failures).toEqual([]);
    pass(600);
    expect([end.failures, end.stalls, end.link.unfinished]).toEqual([['stuck'], [true], 1]);
    pass(60_000);
    expect(end.failures).toEqual(['stuck']);
    finish(id);
    expect([end.stalls, end.link.unfinished]).toEqual([[true, false], 0]);
    end.link.stop();
  });
});

describe('ForwardingCredit', () => {
  const one = domainId(1);

  it('lets one sender have half of the credit', () => {
    const credit = new ForwardingCredit(new VirtualTimeScheduler(), 8);
    for (let parked = 0; parked < 4; parked += 1) {
      expect(credit.allows(one)).toBe(true);
      credit.park(one);
    }
    expect([credit.allows(one), credit.allows(domainId(2))]).toEqual([false, true]);
    credit.unpark(one);
    expect(credit.allows(one)).toBe(true);
  });

  it('keeps books of sixteen senders at a time', () => {
    const credit = new ForwardingCredit(new VirtualTimeScheduler(), 256);
    for (let owner = 0; owner < 16; owner += 1) credit.park(domainId(owner));
    expect([credit.allows(domainId(3)), credit.allows(domainId(16))]).toEqual([true, false]);
    credit.unpark(domainId(3));
    expect(credit.allows(domainId(16))).toBe(true);
    credit.unpark(domainId(3));
    for (let owner = 0; owner < 16; owner += 1) if (owner !== 3) credit.unpark(domainId(owner));
    expect(credit.allows(domainId(20))).toBe(true);
  });

  it('pauses ten seconds after three failures in a row', () => {
    const scheduler = new VirtualTimeScheduler();
    const credit = new ForwardingCredit(scheduler, 8);
    for (const obtained of [false, false, true, false, false]) credit.judge(obtained);
    expect(credit.allows(one)).toBe(true);
    credit.judge(false);
    expect(credit.allows(one)).toBe(false);
    scheduler.frame = 10_000;
    expect(credit.allows(one)).toBe(true);
    for (let time = 0; time < 3; time += 1) credit.judge(false);
    expect(credit.allows(one)).toBe(false);
  });
});
