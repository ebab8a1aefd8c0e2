import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BackRing,
  FrontRing,
  initialiseRing,
  notificationDue,
  REQ_EVENT,
  REQ_PROD,
  RING_BROKEN,
  RSP_EVENT,
  RSP_PROD,
  TX_RING,
} from './index';

const page = () => {
  const words = new Int32Array(new SharedArrayBuffer(4096));
  initialiseRing(words, 0);
  return words;
};

/** A back ring whose unanswered and unconsumed requests are as given. */
const backAt = (responseIndex: number, requestIndex: number) => {
  const words = page();
  words[RSP_PROD] = responseIndex;
  words[REQ_PROD] = requestIndex;
  const ring = new BackRing(words, 0, TX_RING);
  ring.requests();
  ring.requestIndex = requestIndex | 0;
  return { words, ring };
};

describe('notification test', () => {
  it.each([
    ['13', 0, 1, 1, true],
    ['14', 0, 3, 4, false],
    ['15', 5, 9, 5, false],
    ['16', 0xfffffffe, 2, 0xffffffff, true],
    ['17', 0xfffffffe, 2, 3, false],
  ])('vector %s', (_, before, after, event, due) => {
    expect(notificationDue(before, after, event)).toBe(due);
    expect(notificationDue(before | 0, after | 0, event | 0)).toBe(due);
  });
  it('is due exactly when the event lies in (before, after]', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.integer({ min: 0, max: 256 }),
        fc.integer({ min: -300, max: 300 }),
        (before, pushed, distance) => {
          const due = notificationDue(before | 0, (before + pushed) | 0, (before + distance) | 0);
          expect(due).toBe(distance > 0 && distance <= pushed);
        },
      ),
    );
  });
  it('vector 36: an event index never re-armed gives one notification', () => {
    const words = page();
    const front = new FrontRing(words, 0, TX_RING);
    const back = new BackRing(words, 0, TX_RING);
    let notified = 0;
    for (let round = 0; round < 600; round++) {
      front.requestIndex = (front.requestIndex + 1) | 0;
      front.pushRequests();
      back.requests();
      back.requestIndex = (back.requestIndex + 1) | 0;
      back.responseIndex = (back.responseIndex + 1) | 0;
      if (back.pushResponses()) notified++;
      front.responses();
      front.responseIndex = (front.responseIndex + 1) | 0;
    }
    expect(notified).toBe(1);
  });
});

describe('backend end', () => {
  it('vector 18: 300 requests published are more than the ring holds', () => {
    const { words, ring } = backAt(0, 10);
    words[REQ_PROD] = 300;
    expect(ring.requests()).toBe(RING_BROKEN);
  });
  it('vector 19: a full ring', () => {
    const words = page();
    const ring = new BackRing(words, 0, TX_RING);
    words[REQ_PROD] = 256;
    expect(ring.requests()).toBe(256);
  });
  it('a producer index that moves back breaks the ring', () => {
    const { words, ring } = backAt(5, 10);
    words[REQ_PROD] = 7;
    expect(ring.requests()).toBe(RING_BROKEN);
  });
  it('takes over a used ring at its response index', () => {
    const words = page();
    words[RSP_PROD] = 0xfffffff0 | 0;
    words[REQ_PROD] = 3;
    const ring = new BackRing(words, 0, TX_RING);
    expect(ring.requests()).toBe(19);
    expect(ring.requestIndex).toBe(0xfffffff0 | 0);
  });
  it('asks for the request beyond all visible ones when short of slots', () => {
    const { words, ring } = backAt(0, 0);
    words[REQ_PROD] = 7;
    ring.requests();
    ring.requestIndex = 2;
    ring.armNextRequest();
    expect(words[REQ_EVENT]).toBe(8);
  });
});

describe('frontend end', () => {
  it('refuses responses to requests it never made, and ones taken back', () => {
    const words = page();
    const ring = new FrontRing(words, 0, TX_RING);
    words[RSP_PROD] = 1;
    expect(ring.responses()).toBe(RING_BROKEN);
    words[RSP_PROD] = 0;
    ring.requestIndex = 4;
    ring.pushRequests();
    words[RSP_PROD] = 3;
    expect(ring.responses()).toBe(3);
    words[RSP_PROD] = 2;
    expect(ring.responses()).toBe(RING_BROKEN);
    words[RSP_PROD] = 5;
    expect(ring.responses()).toBe(RING_BROKEN);
  });
  it('does not count unpublished requests', () => {
    const words = page();
    const ring = new FrontRing(words, 0, TX_RING);
    ring.requestIndex = 4;
    words[RSP_PROD] = 1;
    expect(ring.responses()).toBe(RING_BROKEN);
  });
  it('has all slots free again once responses are consumed, across the wrap of the indices', () => {
    const words = page();
    const front = new FrontRing(words, 0, TX_RING);
    front.requestIndex = 0x7fffff80;
    front.responseIndex = 0x7fffff80;
    expect(front.free).toBe(256);
    front.requestIndex = (front.requestIndex + 256) | 0;
    expect(front.free).toBe(0);
    expect(front.slot(front.requestIndex)).toBe(front.slot(front.responseIndex));
  });
  it('final check arms only an empty ring', () => {
    const words = page();
    const front = new FrontRing(words, 0, TX_RING);
    front.requestIndex = 2;
    front.pushRequests();
    words[RSP_PROD] = 1;
    expect(front.finalCheckResponses()).toBe(1);
    expect(words[RSP_EVENT]).toBe(1);
    front.responseIndex = 1;
    expect(front.finalCheckResponses()).toBe(0);
    expect(words[RSP_EVENT]).toBe(2);
  });
});

it('indices written by a hostile peer never yield more work than the ring has slots', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -0x8000_0000, max: 0x7fff_ffff }), { maxLength: 20 }),
      (indices) => {
        const words = page();
        const back = new BackRing(words, 0, TX_RING);
        for (const index of indices) {
          words[REQ_PROD] = index;
          const waiting = back.requests();
          expect(waiting).toBeLessThanOrEqual(256);
          if (waiting === RING_BROKEN) return;
          back.requestIndex = (back.requestIndex + Math.min(waiting, 3)) | 0;
          back.responseIndex = back.requestIndex;
          back.pushResponses();
        }
      },
    ),
  );
});
