import { type HeapProfiler, Session } from 'node:inspector/promises';
import { FramePool } from '@netchannel2/frames';
import type { Machine, SimulatedDomain } from '@netchannel2/hypervisor';
import type { FramePort } from '@netchannel2/xen';

/** Bytes between two samples, on average. */
const SAMPLING = 512;
const WARM_UP = 120_000;
const FRAMES = 100_000;
const MOST_WINDOWS = 8;
/**
 * Bytes per frame below which nothing is allocated per frame. A pass may allocate (a reading of the clock, a timer, code being
 * compiled); one number a frame would be 12 bytes.
 */
export const NOTHING_PER_FRAME = 4;

export interface SteadyTraffic {
  readonly bytesPerFrame: number;
  /** By function, for a message. */
  readonly sites: string;
  /** Frames sent altogether. */
  readonly sent: number;
}

/**
 * What code whose address matches `code` allocates while frames of `length` bytes leave `port` without a pause. What is not
 * compiled yet boxes its numbers, and when the compiler gets to it is its own affair: one window in which nothing is allocated
 * shows that nothing has to be, so the best of a few is told.
 */
export async function steadyTraffic(
  code: RegExp,
  machine: Machine,
  domain: SimulatedDomain,
  port: FramePort,
  length: number,
): Promise<SteadyTraffic> {
  await flood(machine, domain, port, length, WARM_UP);
  let window: AllocationWindow = { bytes: Number.POSITIVE_INFINITY, sites: '' };
  let windows = 0;
  while (window.bytes >= NOTHING_PER_FRAME * FRAMES && windows < MOST_WINDOWS) {
    window = await profiled(code, () => flood(machine, domain, port, length, FRAMES));
    windows += 1;
  }
  return { bytesPerFrame: window.bytes / FRAMES, sites: window.sites, sent: WARM_UP + windows * FRAMES };
}

const allocatedIn = (
  node: HeapProfiler.SamplingHeapProfileNode,
  code: RegExp,
  sites: Map<string, number>,
): void => {
  const { url, functionName } = node.callFrame;
  if (code.test(url)) sites.set(functionName, (sites.get(functionName) ?? 0) + node.selfSize);
  for (const child of node.children) allocatedIn(child, code, sites);
};

interface AllocationWindow {
  readonly bytes: number;
  /** By function, for a message. */
  readonly sites: string;
}

/** What code whose address matches `code` allocates during `work`, with all that the collector has swept up since. */
async function profiled(code: RegExp, work: () => Promise<void>): Promise<AllocationWindow> {
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
  allocatedIn(profile.head, code, sites);
  const bytes = [...sites.values()].reduce((sum, size) => sum + size, 0);
  return { bytes, sites: JSON.stringify([...sites]) };
}

/** Sends one frame of machine memory `count` times, whenever there is room, and waits until the machine has come to rest. */
async function flood(
  machine: Machine,
  domain: SimulatedDomain,
  port: FramePort,
  length: number,
  count: number,
): Promise<void> {
  const pool = FramePool.create(domain.memory, Math.ceil(length / 4096));
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
  if (sent !== count) throw new Error(`${sent} of ${count} frames were sent`);
}
