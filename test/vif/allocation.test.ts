/**
 * A heap profile of traffic in the steady state: what the vif drivers and the packages below them allocate, counted with
 * all that the collector has swept up since. Nothing of it is per frame.
 */
import { type HeapProfiler, Session } from 'node:inspector/promises';
import { FramePool } from '@netchannel2/frames';
import { Machine, type SimulatedDomain } from '@netchannel2/hypervisor';
import type { FramePort } from '@netchannel2/xen';
import { expect, it } from 'vitest';
import { vifPair } from './vif-pair';

const WARM_UP = 120_000;
const FRAMES = 100_000;
/** Bytes between two samples, on average. */
const SAMPLING = 512;
/** A pass may allocate (a reading of the clock, a timer, code being compiled); one number a frame would be 12 bytes. */
const MOST_PER_FRAME = 4;
const MOST_WINDOWS = 8;
const DRIVERS = /packages\/(netfront|netback|netif|frames)\//;

const allocatedIn = (node: HeapProfiler.SamplingHeapProfileNode, sites: Map<string, number>): void => {
  const { url, functionName } = node.callFrame;
  if (DRIVERS.test(url)) sites.set(functionName, (sites.get(functionName) ?? 0) + node.selfSize);
  for (const child of node.children) allocatedIn(child, sites);
};

interface AllocationWindow {
  readonly bytesPerFrame: number;
  /** By function, for the message. */
  readonly sites: string;
}

/** What the drivers allocate while `work` moves {@link FRAMES} frames. */
const profiled = async (work: () => Promise<void>): Promise<AllocationWindow> => {
  const session = new Session();
  session.connect();
  await session.post('HeapProfiler.startSampling', {
    samplingInterval: SAMPLING,
    includeObjectsCollectedByMajorGC: true,
    includeObjectsCollectedByMinorGC: true,
  });
  await work();
  const { profile } = await session.post('HeapProfiler.stopSampling');
  session.disconnect();
  const sites = new Map<string, number>();
  allocatedIn(profile.head, sites);
  const bytes = [...sites.values()].reduce((sum, size) => sum + size, 0);
  return { bytesPerFrame: bytes / FRAMES, sites: JSON.stringify([...sites]) };
};

const flood = async (
  machine: Machine,
  domain: SimulatedDomain,
  port: FramePort,
  length: number,
  count: number,
) => {
  const pool = FramePool.create(domain.memory, 1);
  const frame = pool?.frameFrom(new Uint8Array(length));
  if (pool === undefined || frame === undefined) throw new Error('no pages');
  let sent = 0;
  const work = {
    deferred: false,
    run: () => {
      while (sent < count && port.send(frame)) sent += 1;
    },
  };
  const subscription = port.writable$.subscribe(() => domain.defer(work));
  domain.defer(work);
  await machine.idle();
  subscription.unsubscribe();
  frame.release();
  pool.close();
  expect(sent).toBe(count);
};

it.each([
  ['guest to host', 64],
  ['guest to host', 1514],
  ['host to guest', 64],
  ['host to guest', 1514],
] as const)('%s, %i bytes: nothing is allocated per frame', async (direction, length) => {
  const machine = Machine.boot({ memoryBytes: 64 << 20 });
  const host = machine.createDomain({ memoryPages: 4096 });
  const guest = machine.createDomain({ memoryPages: 4096 });
  const pair = vifPair(guest, host);
  await pair.connect();
  let arrived = 0;
  const note = () => {
    arrived += 1;
  };
  pair.front.frames$.subscribe(note);
  pair.back.frames$.subscribe(note);
  const [domain, port] = direction === 'guest to host' ? [guest, pair.front] : [host, pair.back];
  await flood(machine, domain, port, length, WARM_UP);
  // What is not compiled yet boxes its numbers, and when the compiler gets to it is its own affair: one window in which nothing
  // is allocated shows that nothing has to be.
  let window: AllocationWindow = { bytesPerFrame: Number.POSITIVE_INFINITY, sites: '' };
  let windows = 0;
  while (window.bytesPerFrame >= MOST_PER_FRAME && windows < MOST_WINDOWS) {
    window = await profiled(() => flood(machine, domain, port, length, FRAMES));
    windows += 1;
  }
  expect(arrived).toBe(WARM_UP + windows * FRAMES);
  expect(window.bytesPerFrame, window.sites).toBeLessThan(MOST_PER_FRAME);
  await pair.disconnect();
  machine.shutdown();
});
